#include "ingest/exposition/openmetrics_rules.h"

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/quote.h"
#include "ingest/exposition/line_parts.h"
#include "ingest/metric_family.h"
#include "ingest/exposition/number.h"
#include "ingest/exposition/openmetrics.h"

namespace tarsier::ingest {
namespace {

using tsdb::MetricType;

constexpr std::size_t kExemplarCharactersMax = 128;

/// What one histogram point has shown so far.
struct HistogramPoint {
  std::optional<double> last_bound;
  double last_bucket = 0;
  bool has_infinite_bucket = false;
  bool has_negative_bound = false;
  std::optional<double> count;
  std::optional<double> sum;

  bool is_empty() const { return !last_bound && !count && !sum; }
};

/// One label set of a family, without what tells its samples apart.
struct Metric {
  std::string key;
  bool has_time = false;
  std::int64_t time_ms = 0;
  HistogramPoint point;
};

/// The family that is being read, and the metrics in it.
struct Family {
  std::string name;
  MetricType type = MetricType::kUnknown;
  std::string unit;
  std::set<EntryKind> metadata;  // Which kinds of line it had.
  bool has_samples = false;
  std::optional<Metric> metric;
  std::set<std::string> finished_metrics;
};

Status broken(std::string_view rule) { return invalid(std::string(rule)); }

bool is_histogram(MetricType type) {
  return type == MetricType::kHistogram || type == MetricType::kGaugeHistogram;
}

/// The label that tells the samples of one metric apart; empty if there is none.
std::string_view distinguishing_label(const Family& family) {
  if (is_histogram(family.type)) return "le";
  if (family.type == MetricType::kSummary) return "quantile";
  if (family.type == MetricType::kStateset) return family.name;
  return {};
}

std::string_view label_value(const ExposedLabels& labels, std::string_view name) {
  for (const tsdb::LabelView& label : labels.views()) {
    if (label.name == name) return label.value;
  }
  return {};
}

/// Strict labels: legacy names, unquoted, none twice, no trailing comma. `views` borrow `braces`.
Status check_label_list(std::string_view braces, const std::vector<tsdb::LabelView>& views) {
  // A comma inside quotes is followed by the quote, never by the brace.
  if (braces.ends_with(",}")) return broken("trailing comma in labels");
  std::set<std::string_view> names;
  for (const tsdb::LabelView& label : views) {
    if (!names.insert(label.name).second) {
      return invalid(fmt::format("duplicate label name {}", quote(label.name)));
    }
    if (label.name == tsdb::kMetricName) continue;
    if (!tsdb::is_legacy_label_name(label.name) || label.name.data()[-1] == '"') {
      return invalid(fmt::format("invalid label name {}", quote(label.name)));
    }
  }
  return {};
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

Status check_not_negative(std::string_view sample, double value) {
  if (std::isnan(value)) return invalid(fmt::format("{} is NaN", sample));
  if (value < 0) return invalid(fmt::format("{} is negative", sample));
  return {};
}

class RuleChecker final {
 public:
  explicit RuleChecker(std::string_view body) : body_(body), parser_(body) {}

  Status run() {
    for (;;) {
      const EntryKind kind = parser_.next();
      if (kind == EntryKind::kError) return parser_.status();
      if (kind == EntryKind::kEnd) return at_line(finish_family());
      TRY(at_line(kind == EntryKind::kSeries ? take_sample() : take_metadata(kind)));
    }
  }

 private:
  Status at_line(Status status) const {
    return with_line_number(std::move(status), body_, parser_.entry_begin());
  }

  // Families.

  Status take_metadata(EntryKind kind) {
    const ExposedMetadata& metadata = parser_.metadata();
    if (metadata.family.data()[-1] == '"') return broken("quoted metric name");
    if (!family_ || family_->name != metadata.family) TRY(start_family(metadata.family));
    if (family_->has_samples) {
      return invalid(fmt::format("metadata of {} after its samples", family_->name));
    }
    if (!family_->metadata.insert(kind).second) {
      return invalid(fmt::format("repeated metadata for {}", family_->name));
    }
    if (kind == EntryKind::kType) family_->type = metadata.type;
    if (kind == EntryKind::kUnit) family_->unit = metadata.text;
    return {};
  }

  Status start_family(std::string_view name) {
    TRY(finish_family());
    family_.emplace();
    family_->name = name;
    return {};
  }

  Status finish_family() {
    if (!family_) return {};
    TRY(finish_metric());
    const MetricType type = family_->type;
    if (!family_->unit.empty() && (type == MetricType::kInfo || type == MetricType::kStateset)) {
      return invalid(
          fmt::format("{} of type {} has a unit", family_->name, tsdb::metric_type_name(type)));
    }
    std::set<std::string> names = {family_->name};
    for (const std::string_view suffix : family_suffixes(type)) {
      names.insert(family_->name + std::string(suffix));
    }
    for (const std::string& name : names) {
      const auto [owner, is_new] = owners_.try_emplace(name, family_->name);
      if (is_new) continue;
      if (owner->second == family_->name) {
        return invalid(fmt::format("samples of {} are not together", family_->name));
      }
      return invalid(
          fmt::format("{} and {} clash over the name {}", owner->second, family_->name, name));
    }
    family_.reset();
    return {};
  }

  // Samples.

  Status take_sample() {
    const ExposedSample& sample = parser_.sample();
    TRY(labels_.parse_series(sample.section, Dialect::kOpenMetrics, MetricType::kUnknown));
    TRY(check_label_list(sample.section, labels_.views()));
    const std::string_view name = labels_.views()[0].value;
    if (sample.section.starts_with('{')) return broken("quoted metric name");
    if (!family_ || !is_sample_of(name)) TRY(start_family(name));
    family_->has_samples = true;
    TRY(enter_metric(sample));
    const std::string_view suffix = name.substr(family_->name.size());
    if (sample.has_exemplar) TRY(check_exemplar(suffix));
    return check_value(suffix, sample.value);
  }

  /// The bare name belongs to the family even where its type has no such sample.
  bool is_sample_of(std::string_view name) const {
    if (name == family_->name) return true;
    if (!name.starts_with(family_->name)) return false;
    const std::string_view suffix = name.substr(family_->name.size());
    for (const std::string_view known : family_suffixes(family_->type)) {
      if (suffix == known) return true;
    }
    return false;
  }

  /// Makes the sample's label set the current metric and checks its place and time.
  Status enter_metric(const ExposedSample& sample) {
    std::map<std::string_view, std::string_view> identity;
    for (const tsdb::LabelView& label : labels_.views()) {
      if (label.name == tsdb::kMetricName || label.value.empty()) continue;
      if (label.name != distinguishing_label(*family_)) identity.emplace(label.name, label.value);
    }
    std::string key;
    for (const auto& [name, value] : identity) key += fmt::format("{}={},", name, quote(value));

    std::optional<Metric>& metric = family_->metric;
    if (!metric || metric->key != key) {
      TRY(finish_metric());
      if (family_->finished_metrics.contains(key)) {
        return invalid(fmt::format("samples of {}{{{}}} are not together", family_->name, key));
      }
      metric.emplace();
      metric->key = key;
      metric->has_time = sample.has_time;
      metric->time_ms = sample.time_ms;
      return {};
    }
    if (metric->has_time != sample.has_time) return broken("only some samples have timestamps");
    if (!sample.has_time) return {};
    if (sample.time_ms < metric->time_ms) return broken("timestamps go back");
    if (sample.time_ms > metric->time_ms) {
      TRY(finish_point());
      metric->time_ms = sample.time_ms;
    }
    return {};
  }

  Status finish_metric() {
    if (!family_->metric) return {};
    TRY(finish_point());
    family_->finished_metrics.insert(family_->metric->key);
    family_->metric.reset();
    return {};
  }

  Status finish_point() {
    const HistogramPoint point = family_->metric->point;
    family_->metric->point = {};
    if (!is_histogram(family_->type) || point.is_empty()) return {};
    const bool is_gauge = family_->type == MetricType::kGaugeHistogram;
    if (!point.has_infinite_bucket) return broken("histogram without a +Inf bucket");
    if (point.count && *point.count != point.last_bucket) {
      return broken("count differs from the +Inf bucket");
    }
    if (!is_gauge && point.has_negative_bound) {
      return point.sum ? broken("histogram with a negative bucket has a _sum") : Status();
    }
    if (point.count.has_value() != point.sum.has_value()) {
      return broken("count and sum come together");
    }
    if (point.sum && !(is_gauge && point.has_negative_bound)) {
      return check_not_negative("sum", *point.sum);
    }
    return {};
  }

  Status check_value(std::string_view suffix, double value) {
    switch (family_->type) {
      case MetricType::kCounter:
        if (suffix == "_created") return {};
        if (suffix != "_total") return broken("counter sample without _total");
        return check_not_negative("counter", value);
      case MetricType::kHistogram:
      case MetricType::kGaugeHistogram: return check_histogram_sample(suffix, value);
      case MetricType::kSummary: return check_summary_sample(suffix, value);
      case MetricType::kStateset:
        if (label_value(labels_, family_->name).empty()) {
          return broken("stateset sample without the label of its state");
        }
        if (value != 0 && value != 1) return broken("stateset value is neither 0 nor 1");
        return {};
      case MetricType::kInfo:
        if (suffix != "_info") return broken("info sample without _info");
        if (value != 1) return broken("info value is not 1");
        return {};
      case MetricType::kGauge:
      case MetricType::kUnknown: return {};
    }
    return {};
  }

  Status check_histogram_sample(std::string_view suffix, double value) {
    HistogramPoint& point = family_->metric->point;
    if (suffix.empty()) return broken("histogram sample without a suffix");
    if (suffix == "_created") return {};
    if (suffix != "_bucket") {
      if (std::isnan(value)) return broken("histogram sample is NaN");
      const bool is_sum = suffix.ends_with("sum");
      (is_sum ? point.sum : point.count) = value;
      return is_sum ? Status() : check_not_negative("count", value);
    }
    TRY(check_not_negative("bucket", value));
    const std::string_view le = label_value(labels_, "le");
    double bound = 0;
    if (parse_number(le, bound) != NumberError::kNone || std::isnan(bound)) {
      return invalid(fmt::format("invalid le {}", quote(le)));
    }
    if (std::isinf(bound) && bound > 0 && le != "+Inf") return broken("+Inf is misspelled");
    if (point.last_bound && bound <= *point.last_bound) return broken("buckets are not in order");
    if (point.last_bound && value < point.last_bucket) return broken("bucket counts decrease");
    point.last_bound = bound;
    point.last_bucket = value;
    point.has_infinite_bucket = le == "+Inf";
    point.has_negative_bound = point.has_negative_bound || bound < 0;
    return {};
  }

  Status check_summary_sample(std::string_view suffix, double value) {
    if (suffix == "_created") return {};
    if (!suffix.empty()) return check_not_negative(suffix, value);
    const std::string_view text = label_value(labels_, "quantile");
    double quantile = 0;
    if (parse_number(text, quantile) != NumberError::kNone || !(quantile >= 0 && quantile <= 1)) {
      return invalid(fmt::format("invalid quantile {}", quote(text)));
    }
    if (value < 0) return broken("quantile value is negative");
    return {};
  }

  Status check_exemplar(std::string_view suffix) {
    const bool is_allowed = (is_histogram(family_->type) && suffix == "_bucket") ||
                            (family_->type == MetricType::kCounter && suffix == "_total");
    if (!is_allowed) return broken("exemplar on a sample that cannot have one");
    const std::string_view braces = parser_.exemplar().braces;
    ExposedLabels labels;
    TRY(labels.parse_exemplar(braces));
    TRY(check_label_list(braces, labels.views()));
    std::size_t characters = 0;
    for (const tsdb::LabelView& label : labels.views()) {
      characters += count_code_points(label.name) + count_code_points(label.value);
    }
    if (characters > kExemplarCharactersMax) {
      return invalid(fmt::format("exemplar labels have {} characters, more than {}", characters,
                                 kExemplarCharactersMax));
    }
    return {};
  }

  std::string_view body_;
  OpenMetricsParser parser_;
  ExposedLabels labels_;
  std::optional<Family> family_;
  std::map<std::string, std::string> owners_;  // Every name a finished family claims.
};

}  // namespace

Status check_openmetrics(std::string_view body) { return RuleChecker(body).run(); }

}  // namespace tarsier::ingest
