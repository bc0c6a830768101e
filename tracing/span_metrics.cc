#include "tracing/span_metrics.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/utf8.h"
#include "tracing/trace_state.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kOther = "__other__";
constexpr std::string_view kUnknownService = "unknown_service";
constexpr std::size_t kLabelBytesMax = 1024;

std::vector<double> tempo_bounds() {
  std::vector<double> out;
  for (double bound = 0.002; out.size() < 14; bound *= 2) out.push_back(bound);
  return out;
}

std::vector<double> connector_bounds(bool in_seconds) {
  std::vector<double> out = {2,   4,   6,     8,     10,    50,    100,    200,
                             400, 800, 1'000, 1'400, 2'000, 5'000, 10'000, 15'000};
  if (in_seconds) {
    for (double& bound : out) bound /= 1000;
  }
  return out;
}

SeriesForm form_of(const SpanMetricsOptions& options) {
  SeriesForm form;
  SeriesForm::Histogram histogram;
  if (options.names == SpanMetricNames::kTempo) {
    form.counters = {"traces_spanmetrics_calls_total", "traces_spanmetrics_size_total"};
    histogram.name = "traces_spanmetrics_latency";
  } else {
    std::string prefix = span_label_name(options.metric_namespace);
    if (!prefix.empty()) prefix += '_';
    form.counters = {prefix + "calls_total"};
    histogram.name = prefix + (options.in_seconds ? "duration_seconds" : "duration_milliseconds");
  }
  if (options.has_classic_histograms) {
    histogram.buckets.bounds = !options.histogram_buckets.empty() ? options.histogram_buckets
                               : options.names == SpanMetricNames::kTempo
                                   ? tempo_bounds()
                                   : connector_bounds(options.in_seconds);
  }
  histogram.buckets.has_native = options.has_native_histograms;
  form.histograms.push_back(std::move(histogram));
  return form;
}

GeneratedSeries::Options series_options(const SpanMetricsOptions& options) {
  SeriesForm form = form_of(options);
  const std::size_t rows_max = std::max<std::size_t>(
      options.active_series_max / std::max<std::size_t>(form.series_per_row(), 1), 1);
  return {.form = std::move(form),
          .rows_max = rows_max,
          .stale_after = options.stale_after,
          .exemplar_label = options.exemplar_label};
}

struct BuiltInNames {
  std::string_view service, span_name, span_kind, status_code, status_message;
};

BuiltInNames built_in_names(SpanMetricNames names) {
  return {names == SpanMetricNames::kTempo ? "service" : "service_name", "span_name", "span_kind",
          "status_code", "status_message"};
}

std::vector<std::string> dimension_labels(const SpanMetricsOptions& options) {
  const BuiltInNames own = built_in_names(options.names);
  std::vector<std::string> out;
  for (const std::string& attribute : options.dimensions) {
    std::string name = span_label_name(attribute);
    for (const std::string_view taken :
         {own.service, own.span_name, own.span_kind, own.status_code, own.status_message}) {
      if (name == taken) name = "__" + name;
    }
    while (std::find(out.begin(), out.end(), name) != out.end()) name = "__" + name;
    out.push_back(std::move(name));
  }
  return out;
}

}  // namespace

std::string span_label_value(std::string_view text) {
  text = text.substr(0, kLabelBytesMax);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = utf8_sequence_size(text);
    if (size == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::string span_label_name(std::string_view attribute) {
  std::string out(attribute);
  for (char& c : out) {
    const bool is_plain =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!is_plain) c = '_';
  }
  if (!out.empty() && out[0] >= '0' && out[0] <= '9') out.insert(0, 1, '_');
  return out;
}

double span_weight(const SpanRecord& span, bool* is_unknown) {
  if (!span.trace_state.empty()) {
    const OtelTraceState state = parse_otel_trace_state(span.trace_state);
    if (state.threshold) return adjusted_count(*state.threshold);
  }
  if (is_unknown != nullptr) *is_unknown = true;
  return 1;
}

std::string_view clean_label_value(std::string_view text, std::deque<std::string>& owned) {
  if (text.size() <= kLabelBytesMax && is_valid_utf8(text)) return text;
  return owned.emplace_back(span_label_value(text));
}

/// One span as it is counted: as its labels will say it, so that equal labels have equal keys.
/// Views of the batch, of a constant, or of what observe() keeps.
struct SpanMetrics::Counted {
  const SpanRecord* span = nullptr;
  std::string_view service;
  std::string_view name;
  std::string_view status_message;
  SpanKind kind = SpanKind::kUnspecified;
  StatusCode status = StatusCode::kUnset;
  double weight = 1;
  /// One per dimension.
  std::vector<std::string> dimensions;
};

/// Builds the bytes a span's row is found by: every label with its length before it.
class SpanMetrics::Keys final {
 public:
  static void put(std::string& out, std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    out.append(reinterpret_cast<const char*>(&size), sizeof size);
    out += text;
  }
  static void put(std::string& out, const Counted& span) {
    out += static_cast<char>(span.kind);
    out += static_cast<char>(span.status);
    put(out, span.service);
    put(out, span.name);
    put(out, span.status_message);
    for (const std::string& value : span.dimensions) put(out, value);
  }
};

SpanMetrics::SpanMetrics(SpanMetricsOptions options, Doors doors, Timestamp now)
    : options_(std::move(options)),
      doors_(std::move(doors)),
      hash_(doors_.hash_key),
      dimension_labels_(dimension_labels(options_)),
      series_(series_options(options_), now),
      next_(now + options_.interval) {}

SpanMetrics::~SpanMetrics() = default;

void SpanMetrics::observe(const SpanBatch& batch, const SpanAdmission& admission, Timestamp now) {
  const std::vector<SpanResource>& resources = batch.resources();
  // What resources say of the dimensions, found once for all their spans.
  std::vector<std::vector<std::string>> of_resources(resources.size());
  const auto gather = [&](std::string_view key, const AttributeValue& value,
                          std::vector<std::string>& out) {
    for (std::size_t i = 0; i < options_.dimensions.size(); ++i) {
      if (out[i].empty() && options_.dimensions[i] == key) append_text(value, out[i]);
    }
  };
  if (!options_.dimensions.empty()) {
    for (std::size_t i = 0; i < resources.size(); ++i) {
      of_resources[i].resize(options_.dimensions.size());
      for_each_resource_attribute(resources[i].wire,
                                  [&](std::string_view key, const AttributeValue& value) {
                                    gather(key, value, of_resources[i]);
                                  });
    }
  }
  const bool walks_spans = !options_.dimensions.empty() || !options_.span_multiplier_key.empty();
  std::vector<Counted> spans;
  spans.reserve(batch.spans().size());
  std::deque<std::string> owned;
  std::string key_bytes;
  std::vector<std::size_t> key_ends;
  for_each_admitted(batch, admission, [&](const SpanRecord& span) {
    Counted& one = spans.emplace_back();
    one.span = &span;
    if (options_.has_service) {
      const std::string_view service = resources[span.resource_index].service_name;
      one.service = service.empty() ? kUnknownService : clean_label_value(service, owned);
    }
    if (options_.has_span_name) one.name = clean_label_value(span.name, owned);
    if (options_.has_status_message) {
      one.status_message = clean_label_value(span.status_message, owned);
    }
    const bool has_known_kind =
        span.kind >= SpanKind::kUnspecified && span.kind <= SpanKind::kConsumer;
    if (options_.has_span_kind && has_known_kind) one.kind = span.kind;
    const bool has_known_status =
        span.status == StatusCode::kOk || span.status == StatusCode::kError;
    if (options_.has_status_code && has_known_status) one.status = span.status;
    bool is_unknown = false;
    one.weight = span_weight(span, &is_unknown);
    if (is_unknown) spans_of_unknown_weight_.add();
    if (walks_spans) {
      one.dimensions = of_resources[span.resource_index];
      for_each_span_attribute(span.wire, [&](std::string_view key, const AttributeValue& value) {
        if (is_unknown && key == options_.span_multiplier_key && value.is_number() &&
            value.number() > 0) {
          one.weight = value.number();
          is_unknown = false;
        }
        gather(key, value, one.dimensions);
      });
      for (std::string& value : one.dimensions) value = span_label_value(value);
    }
    Keys::put(key_bytes, one);
    key_ends.push_back(key_bytes.size());
  });
  std::vector<std::string_view> inputs(spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const std::size_t begin = i == 0 ? 0 : key_ends[i - 1];
    inputs[i] = std::string_view(key_bytes).substr(begin, key_ends[i] - begin);
  }
  std::vector<Hash128> hashes(spans.size());
  hash_.hash_batch(inputs, hashes);
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < spans.size(); ++i) count(spans[i], hashes[i], now, candidates);
  spans_.add(spans.size());
  if (!candidates.empty()) show(std::move(candidates), now);
}

bool SpanMetrics::apply(const Counted& span, const Hash128& key, Timestamp now,
                        std::vector<Candidate>& candidates) {
  const bool is_in_ms = options_.names == SpanMetricNames::kConnector && !options_.in_seconds;
  const double duration =
      static_cast<double>(span.span->duration_ns()) / (is_in_ms ? 1'000'000 : 1'000'000'000);
  return series_.update(key, now, [&](SeriesRow& row) {
    row.counters[0] += span.weight;
    if (row.counters.size() > 1) {
      row.counters[1] += static_cast<double>(span.span->wire.size()) * span.weight;
    }
    row.histograms[0].observe(duration, span.weight);
    if (!options_.has_exemplars || row.exemplar_due > now) return;
    row.exemplar_due = now + options_.exemplar_interval;
    candidates.push_back({key, {.trace_id = span.span->trace_id, .value = duration, .t = now}});
  });
}

void SpanMetrics::count(const Counted& span, const Hash128& key, Timestamp now,
                        std::vector<Candidate>& candidates) {
  if (!apply(span, key, now, candidates)) count_in_new_row(span, key, now, candidates);
}

void SpanMetrics::count_in_new_row(const Counted& span, const Hash128& key, Timestamp now,
                                   std::vector<Candidate>& candidates) {
  using Creation = GeneratedSeries::Creation;
  if (span.name != kOther && !admit_name(span.service, span.name)) {
    spans_overflowed_.add();
    Counted other = span;
    other.name = kOther;
    std::string bytes;
    Keys::put(bytes, other);
    return count(other, hash_.hash(bytes), now, candidates);
  }
  const Creation made = series_.create(key, labels_of(span), now);
  if (made != Creation::kCreated && span.name != kOther) release_name(span.service, span.name);
  if (made != Creation::kFull) {
    apply(span, key, now, candidates);
    return;
  }
  // Kinds and statuses are few: what they count stays right when nothing else has room.
  spans_overflowed_.add();
  Counted rest = span;
  rest.service = options_.has_service ? kOther : std::string_view();
  rest.name = options_.has_span_name ? kOther : std::string_view();
  rest.status_message = {};
  for (std::string& value : rest.dimensions) value.clear();
  // A key no other row can have: labels have their length before them.
  std::string bytes = "overflow";
  bytes += static_cast<char>(rest.kind);
  bytes += static_cast<char>(rest.status);
  const Hash128 rest_key = hash_.hash(bytes);
  if (apply(rest, rest_key, now, candidates)) return;
  tsdb::LabelsBuilder labels(labels_of(rest));
  if (options_.names == SpanMetricNames::kConnector) labels.set("otel_metric_overflow", "true");
  series_.create(rest_key, labels.build(), now, GeneratedSeries::Bound::kExceed);
  apply(rest, rest_key, now, candidates);
}

tsdb::Labels SpanMetrics::labels_of(const Counted& span) const {
  const BuiltInNames names = built_in_names(options_.names);
  tsdb::LabelsBuilder out;
  if (options_.has_service) out.set(names.service, span.service);
  if (options_.has_span_name) out.set(names.span_name, span.name);
  if (options_.has_span_kind) out.set(names.span_kind, kind_name(span.kind));
  if (options_.has_status_code) out.set(names.status_code, status_name(span.status));
  if (options_.has_status_message) out.set(names.status_message, span.status_message);
  for (std::size_t i = 0; i < span.dimensions.size(); ++i) {
    out.set(dimension_labels_[i], span.dimensions[i]);
  }
  return out.build();
}

bool SpanMetrics::admit_name(std::string_view service, std::string_view name) {
  if (!options_.has_span_name) return true;
  const MutexLock lock(names_mutex_);
  auto& names = names_[std::string(service)];
  std::string known(name);
  const auto found = names.find(known);
  if (found != names.end()) {
    ++found->second;
    return true;
  }
  if (names.size() >= options_.span_names_per_service_max) return false;
  names.emplace(std::move(known), 1);
  return true;
}

void SpanMetrics::release_name(std::string_view service, std::string_view name) {
  if (!options_.has_span_name) return;
  const MutexLock lock(names_mutex_);
  const auto of_service = names_.find(std::string(service));
  if (of_service == names_.end()) return;
  const auto found = of_service->second.find(std::string(name));
  if (found == of_service->second.end() || --found->second > 0) return;
  of_service->second.erase(found);
  if (of_service->second.empty()) names_.erase(of_service);
}

bool SpanMetrics::may_pin(Timestamp now) {
  const MutexLock lock(pins_mutex_);
  if (const std::int64_t second = now.ms / 1000; second != pin_second_) {
    pin_second_ = second;
    pins_this_second_ = 0;
  }
  return pins_this_second_++ < options_.exemplars_per_second_max;
}

void SpanMetrics::show(std::vector<Candidate> candidates, Timestamp now) {
  std::erase_if(candidates, [&](const Candidate&) { return !may_pin(now); });
  std::vector<PinOutcome> outcomes(candidates.size(), PinOutcome::kKept);
  if (doors_.pins != nullptr) {
    std::vector<TraceId> traces;
    for (const Candidate& one : candidates) traces.push_back(one.exemplar.trace_id);
    doors_.pins->pin(traces, outcomes);
  }
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (outcomes[i] == PinOutcome::kPinned || outcomes[i] == PinOutcome::kKept) {
      exemplars_.add();
      series_.update(candidates[i].key, now,
                     [&](SeriesRow& row) { row.exemplar = candidates[i].exemplar; });
    } else {
      exemplars_unresolved_.add();
      // The next span of the series may have more luck.
      series_.update(candidates[i].key, now,
                     [&](SeriesRow& row) { row.exemplar_due = Timestamp{0}; });
    }
  }
}

Timestamp SpanMetrics::run_due(Timestamp now) {
  if (now < next_) return next_;
  write(now);
  next_ = now + options_.interval;
  return next_;
}

void SpanMetrics::write(Timestamp now) {
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  const BuiltInNames names = built_in_names(options_.names);
  series_.write(*appender, now, [&](const tsdb::Labels& labels) {
    release_name(labels.get(names.service), labels.get(names.span_name));
  });
  const Status status = appender->commit().status();
  if (status.ok()) return;
  failures_.add();
  if (doors_.log != nullptr) {
    doors_.log->warn("Writing span metrics failed", {{"err", status.message()}});
  }
}

void SpanMetrics::collect(MetricWriter& out) const {
  out.gauge("tarsier_span_metrics_rows", "Sets of labels that span metrics are kept for.",
            static_cast<double>(series_.row_count()));
  const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    out.counter(name, help, static_cast<double>(value));
  };
  counter("tarsier_span_metrics_spans_total", "Spans counted.", spans_.value());
  counter("tarsier_span_metrics_unknown_probability_total",
          "Spans that counted once because their trace state names no threshold.",
          spans_of_unknown_weight_.value());
  counter("tarsier_span_metrics_overflow_total", "Spans counted under __other__.",
          spans_overflowed_.value());
  counter("tarsier_span_metrics_exemplars_total", "Exemplars chosen; their traces are kept.",
          exemplars_.value());
  counter("tarsier_span_metrics_exemplars_passed_over_total",
          "Exemplars not shown because their trace was dropped already.",
          exemplars_unresolved_.value());
  counter("tarsier_span_metrics_series_refused_total", "Series that storage refused.",
          series_.refused_count());
  counter("tarsier_span_metrics_write_failures_total", "Writes that failed as a whole.",
          failures_.value());
}

}  // namespace tarsier::tracing
