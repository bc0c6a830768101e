#include "query/federate.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/number_text.h"
#include "base/protobuf_writer.h"
#include "query/parse.h"
#include "tsdb/histogram.h"
#include "tsdb/matcher.h"

namespace tarsier::query {
namespace {

HttpResponse plain_error(int status, const std::string& text) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = text + "\n";
  return response;
}

struct Format {
  bool is_protobuf = false;
  bool allows_utf8 = false;
};

/// The first of the formats we speak with the highest quality. OpenMetrics is not among them.
Format negotiate(std::string_view accept) {
  Format best;
  double best_quality = 0;
  while (!accept.empty()) {
    const std::size_t size = std::min(accept.find(','), accept.size());
    std::string_view clause = trimmed(accept.substr(0, size));
    accept.remove_prefix(std::min(size + 1, accept.size()));
    const std::string_view type = trimmed(clause.substr(0, clause.find(';')));
    const auto has = [&](std::string_view parameter) {
      return clause.find(parameter) != std::string_view::npos;
    };
    Format format;
    format.is_protobuf = type == "application/vnd.google.protobuf" &&
                         has("proto=io.prometheus.client.MetricFamily") &&
                         has("encoding=delimited");
    format.allows_utf8 = has("escaping=allow-utf-8");
    if (!format.is_protobuf && type != "text/plain" && type != "*/*") continue;
    double quality = 1;
    if (const std::size_t at = clause.find("q="); at != std::string_view::npos) {
      std::from_chars(clause.data() + at + 2, clause.data() + clause.size(), quality);
    }
    if (quality > best_quality) {
      best = format;
      best_quality = quality;
    }
  }
  return best;
}

/// A series' newest sample.
struct Found {
  tsdb::Labels labels;
  Timestamp t;
  double value = 0;
  std::optional<tsdb::FloatHistogram> histogram;
};

Status find_series(const tsdb::SeriesSet& set, TimeRange range, const CancelToken* cancel,
                   std::map<tsdb::Labels, Found>& found) {
  tsdb::SampleColumns floats;
  tsdb::HistogramColumns histograms;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (i % 1024 == 0 && cancel->is_cancelled()) return cancelled("the client has left");
    Found f;
    std::optional<tsdb::Sample> newest = TRY(set.last_sample(i, range));
    if (newest) {
      f.t = newest->t;
      f.value = newest->v;
    }
    if (set.may_have_histograms(i)) {
      floats.clear();
      histograms.clear();
      TRY(set.read_mixed(i, range, floats, histograms));
      const std::size_t last = histograms.size();
      if (last > 0 && (!newest || histograms.times_ms[last - 1] > newest->t.ms)) {
        f.t = Timestamp{histograms.times_ms[last - 1]};
        f.histogram = histograms.at(last - 1);
        newest = tsdb::Sample{f.t, histograms.sums[last - 1]};
      }
    }
    if (!newest || tsdb::is_stale_marker(newest->v)) continue;
    f.labels = set.labels(i);
    if (f.labels.get(tsdb::kMetricName).empty()) continue;
    found.emplace(f.labels, std::move(f));
  }
  return {};
}

using ExternalLabels = std::vector<std::pair<std::string, std::string>>;

/// The labels as they are sent: the series' own, then what it lacks of the server's.
std::vector<tsdb::LabelView> sent_labels(const tsdb::Labels& labels,
                                         const ExternalLabels& external_labels) {
  std::vector<tsdb::LabelView> sent;
  for (const tsdb::LabelView& label : labels) {
    if (label.name != tsdb::kMetricName) sent.push_back(label);
  }
  for (const auto& [name, value] : external_labels) {
    if (!labels.has(name)) sent.push_back({name, value});
  }
  return sent;
}

std::string escaped(std::string_view name, bool is_metric) {
  std::string out(name);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char c = out[i];
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool is_digit = i > 0 && c >= '0' && c <= '9';
    if (!is_letter && !is_digit && !(is_metric && c == ':')) out[i] = '_';
  }
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"') {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_text(std::string& out, const Found& f, const ExternalLabels& external_labels,
                 const Format& format, std::string& family) {
  const std::string_view raw_name = f.labels.get(tsdb::kMetricName);
  const bool is_quoted = format.allows_utf8 && !tsdb::is_legacy_metric_name(raw_name);
  const std::string name = format.allows_utf8 ? std::string(raw_name) : escaped(raw_name, true);
  if (family != raw_name) {
    family = raw_name;
    out += "# TYPE ";
    is_quoted ? append_quoted(out, name) : void(out += name);
    out += " untyped\n";
  }
  char separator = '{';
  if (is_quoted) {
    out += '{';
    append_quoted(out, name);
    separator = ',';
  } else {
    out += name;
  }
  for (const tsdb::LabelView& label : sent_labels(f.labels, external_labels)) {
    out += separator;
    separator = ',';
    if (tsdb::is_legacy_label_name(label.name)) {
      out += label.name;
    } else if (format.allows_utf8) {
      append_quoted(out, label.name);
    } else {
      out += escaped(label.name, false);
    }
    out += '=';
    append_quoted(out, label.value);
  }
  if (separator == ',') out += '}';
  out += ' ' + short_number(f.value) + ' ' + std::to_string(f.t.ms) + '\n';
}

void append_spans(ProtobufWriter& message, std::uint32_t field,
                  const std::vector<tsdb::BucketSpan>& spans) {
  for (const tsdb::BucketSpan& span : spans) {
    std::string text;
    ProtobufWriter fields(text);
    fields.zigzag(1, span.offset);
    fields.varint(2, span.length);
    message.bytes(field, text);
  }
}

/// Custom buckets have no native form there: they are sent as a classic histogram.
std::string histogram_message(const tsdb::FloatHistogram& h) {
  std::string text;
  ProtobufWriter fields(text);
  fields.real(2, h.sum);
  fields.real(4, h.count);
  if (h.layout.is_custom()) {
    double cumulative = 0;
    std::size_t next = 0;
    std::int64_t index = 0;
    std::vector<double> counts(h.layout.custom_bounds.size() + 1, 0);
    for (const tsdb::BucketSpan& span : h.layout.positive_spans) {
      index += span.offset;
      for (std::uint32_t i = 0; i < span.length; ++i, ++index) {
        if (index >= 0 && static_cast<std::size_t>(index) < counts.size()) {
          counts[static_cast<std::size_t>(index)] = h.positive_counts[next];
        }
        ++next;
      }
    }
    for (std::size_t b = 0; b < h.layout.custom_bounds.size(); ++b) {
      cumulative += counts[b];
      std::string bucket;
      ProtobufWriter bucket_fields(bucket);
      bucket_fields.real(2, h.layout.custom_bounds[b]);
      bucket_fields.real(4, cumulative);
      fields.bytes(3, bucket);
    }
    return text;
  }
  fields.zigzag(5, h.layout.schema);
  fields.real(6, h.layout.zero_threshold);
  fields.real(8, h.zero_count);
  append_spans(fields, 9, h.layout.negative_spans);
  for (const double count : h.negative_counts) fields.real(11, count);
  append_spans(fields, 12, h.layout.positive_spans);
  for (const double count : h.positive_counts) fields.real(14, count);
  return text;
}

/// A family is what has one name and one kind.
struct Family {
  std::string name;
  std::uint64_t type = 0;
  std::string metrics;

  void flush(std::string& out) {
    if (metrics.empty()) return;
    std::string message;
    ProtobufWriter fields(message);
    fields.bytes(1, name);
    fields.varint(3, type);
    message += metrics;
    put_uvarint(out, message.size());
    out += message;
    metrics.clear();
  }
};

void append_protobuf(std::string& out, const Found& f, const ExternalLabels& external_labels,
                     const Format& format, Family& family) {
  constexpr std::uint64_t kUntyped = 3;
  constexpr std::uint64_t kHistogram = 4;
  constexpr std::uint64_t kGaugeHistogram = 5;
  const std::uint64_t type = !f.histogram                                          ? kUntyped
                             : f.histogram->hint == tsdb::CounterResetHint::kGauge ? kGaugeHistogram
                                                                                   : kHistogram;
  const std::string_view raw_name = f.labels.get(tsdb::kMetricName);
  const std::string name = format.allows_utf8 ? std::string(raw_name) : escaped(raw_name, true);
  if (name != family.name || type != family.type) {
    family.flush(out);
    family.name = name;
    family.type = type;
  }
  std::string metric;
  ProtobufWriter fields(metric);
  for (const tsdb::LabelView& label : sent_labels(f.labels, external_labels)) {
    std::string pair;
    ProtobufWriter pair_fields(pair);
    pair_fields.bytes(1, format.allows_utf8 ? std::string(label.name) : escaped(label.name, false));
    pair_fields.bytes(2, label.value);
    fields.bytes(1, pair);
  }
  if (f.histogram) {
    fields.bytes(7, histogram_message(*f.histogram));
  } else {
    std::string value;
    ProtobufWriter(value).real(1, f.value);
    fields.bytes(5, value);
  }
  fields.integer(6, f.t.ms);
  ProtobufWriter(family.metrics).bytes(4, metric);
}

}  // namespace

HttpResponse federate(const HttpRequest& request, tsdb::Queryable& storage, Timestamp now,
                      Duration lookback, const ExternalLabels& global_labels) {
  const TimeRange range{now - lookback + milliseconds(1), now};
  std::map<tsdb::Labels, Found> found;
  const auto collect = [&](const std::vector<tsdb::Matcher>& matchers) -> Status {
    const auto querier = TRY(storage.querier(range));
    tsdb::SelectHints hints;
    hints.range = range;
    hints.function = "series";
    const auto set = TRY(querier->select(matchers, hints, request.cancel.get()));
    return find_series(*set, range, request.cancel.get(), found);
  };
  for (const std::string_view text : request.parameter_values("match[]")) {
    const auto matchers = parse_metric_selector(text);
    if (!matchers.ok()) return plain_error(400, matchers.status().message());
    if (const Status status = collect(*matchers); !status.ok()) {
      return plain_error(500, status.message());
    }
  }

  ExternalLabels external_labels = global_labels;
  const auto is_instance = [](const auto& label) { return label.first == "instance"; };
  if (std::none_of(external_labels.begin(), external_labels.end(), is_instance)) {
    external_labels.emplace_back("instance", "");
  }
  std::sort(external_labels.begin(), external_labels.end());
  std::vector<const Found*> sorted;
  for (const auto& [labels, f] : found) sorted.push_back(&f);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Found* a, const Found* b) {
    return a->labels.get(tsdb::kMetricName) < b->labels.get(tsdb::kMetricName);
  });

  const Format format = negotiate(request.header("Accept"));
  const std::string escaping = format.allows_utf8 ? "; escaping=allow-utf-8" : "";
  HttpResponse response;
  if (format.is_protobuf) {
    response.content_type =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
        "encoding=delimited" +
        escaping;
    Family family;
    for (const Found* f : sorted) {
      append_protobuf(response.body, *f, external_labels, format, family);
    }
    family.flush(response.body);
    return response;
  }
  response.content_type = "text/plain; version=0.0.4; charset=utf-8" + escaping;
  std::string family;
  for (const Found* f : sorted) {
    if (!f->histogram) append_text(response.body, *f, external_labels, format, family);
  }
  return response;
}

}  // namespace tarsier::query
