#include "alerting/slo_series.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "alerting/slo_alerts.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "query/parse.h"
#include "tsdb/sample.h"

namespace tarsier::alerting {
namespace {

class Outputs final {
 public:
  explicit Outputs(tsdb::LabelsBuilder base) : base_(std::move(base)) {}

  void add(std::string_view name, double value) {
    tsdb::LabelsBuilder labels = base_;
    labels.set(tsdb::kMetricName, name);
    out.push_back({.labels = labels.build(), .value = value});
  }
  void add(std::string_view name, double value, std::string_view label, std::string_view text) {
    tsdb::LabelsBuilder labels = base_;
    labels.set(tsdb::kMetricName, name);
    labels.set(label, text);
    out.push_back({.labels = labels.build(), .value = value});
  }
  void add_labelled(std::string_view name, double value, const LabelMap& more) {
    tsdb::LabelsBuilder labels = base_;
    labels.set(tsdb::kMetricName, name);
    for (const auto& [label, text] : more) labels.set(label, text);
    out.push_back({.labels = labels.build(), .value = value});
  }
  std::vector<SloOutput> out;

 private:
  const tsdb::LabelsBuilder base_;
};

double as_seconds(Duration duration) { return static_cast<double>(duration.ms) / 1000; }

void add_own(const Slo& slo, const BurnReading& reading, const Verdicts& verdicts,
             EventCounts cumulative, Outputs& out) {
  const double nothing = std::nan("");
  out.add("tarsier_slo_events_total", reading.has_counts ? cumulative.total : nothing);
  out.add("tarsier_slo_bad_events_total", reading.has_counts ? cumulative.bad : nothing);
  out.add("tarsier_slo_state", static_cast<double>(verdicts.state));
  out.add("tarsier_slo_objective_ratio", slo.objective());
  const Duration period = nominal_period(slo.definition().period);
  out.add("tarsier_slo_period_seconds", as_seconds(period));
  const auto add_window = [&](const std::string& name, const WindowValue& value) {
    out.add("tarsier_slo_error_ratio", value.ratio, "window", name);
    out.add("tarsier_slo_burn_rate", value.ratio / slo.budget(), "window", name);
    out.add("tarsier_slo_coverage_ratio", value.coverage, "window", name);
  };
  for (std::size_t i = 0; i < slo.windows().size(); ++i) {
    add_window(format_duration(slo.windows()[i]), reading.windows[i]);
  }
  add_window(period_text(slo.definition().period), reading.period);
  const double remaining = budget_remaining(slo, reading.period);
  out.add("tarsier_slo_budget_remaining_ratio", remaining);
  // At the rate of the last hour, or of what is nearest to it.
  double burn = nothing;
  for (std::size_t i = 0; i < slo.windows().size() && slo.windows()[i] <= hours(1); ++i) {
    burn = reading.windows[i].ratio / slo.budget();
  }
  const std::optional<Duration> left = time_to_exhaustion(burn, remaining, period);
  out.add("tarsier_slo_time_to_exhaustion_seconds",
          left ? as_seconds(*left) : std::numeric_limits<double>::infinity());
}

void add_sloth(const Slo& slo, const BurnReading& reading, Outputs& out) {
  // Sloth takes 1 - objective / 100 here, and (100 - objective) / 100 in its alerts.
  const double budget = 1 - slo.definition().objective_percent / 100;
  const auto name_of = [](const std::string& window) {
    return "slo:sli_error:ratio_rate" + window;
  };
  for (std::size_t i = 0; i < slo.windows().size(); ++i) {
    const std::string window = format_duration(slo.windows()[i]);
    out.add(name_of(window), reading.windows[i].ratio, "sloth_window", window);
  }
  const std::string period = period_text(slo.definition().period);
  out.add(name_of(period), reading.period.ratio, "sloth_window", period);
  out.add("slo:objective:ratio", slo.definition().objective_percent / 100);
  out.add("slo:error_budget:ratio", budget);
  out.add("slo:time_period:days", as_seconds(nominal_period(slo.definition().period)) / 86'400);
  out.add("slo:current_burn_rate:ratio", reading.windows.front().ratio / budget);
  out.add("slo:period_burn_rate:ratio", reading.period.ratio / budget);
  out.add("slo:period_error_budget_remaining:ratio", 1 - reading.period.ratio / budget);
  out.add_labelled("sloth_slo_info", 1,
                   {{"sloth_mode", "tarsier"},
                    {"sloth_objective", plain_number(slo.definition().objective_percent)},
                    {"sloth_spec", "prometheus/v1"},
                    {"sloth_version", "tarsier"}});
}

/// `http_requests_total` and `x_count` without their ends.
std::string pyrra_base(const std::string& selector) {
  std::string name = selector.substr(0, selector.find('{'));
  for (const std::string_view end : {"_total", "_count", "_bucket"}) {
    if (name.ends_with(end)) {
      name.resize(name.size() - end.size());
      break;
    }
  }
  return name;
}

/// Labels that the matchers of `selector` pick among the series of one name, by which Pyrra groups
/// its increases: their values here are the matchers' own texts, which is what the same matchers
/// find. Nothing where they would not.
std::optional<LabelMap> picking_labels(const std::string& selector, const std::string& all) {
  const Result<std::vector<tsdb::Matcher>> own = query::parse_metric_selector(selector);
  const Result<std::vector<tsdb::Matcher>> others = query::parse_metric_selector(all);
  if (!own.ok() || !others.ok()) return std::nullopt;
  LabelMap out;
  for (const tsdb::Matcher& matcher : *own) {
    if (matcher.name() == tsdb::kMetricName) continue;
    if (std::find(others->begin(), others->end(), matcher) != others->end()) continue;
    if (matcher.matches("") || !matcher.matches(matcher.value())) return std::nullopt;
    out.emplace_back(matcher.name(), matcher.value());
  }
  return out;
}

/// Events of the period: `x:increase30d` of all and of those that its file calls errors or success.
void add_pyrra_increases(const Slo& slo, const BurnReading& reading, Outputs& out) {
  using Kind = SliDefinition::Kind;
  const SliDefinition& sli = slo.definition().sli;
  const std::string period = period_text(slo.definition().period);
  const EventCounts events = reading.period.events;
  const auto named = [&](const std::string& selector, std::string_view what) {
    return fmt::format("{}:{}{}", pyrra_base(selector), what, period);
  };
  if (sli.kind == Kind::kGauge) {
    out.add(named(sli.gauge, "count"), events.total);
    out.add(named(sli.gauge, "sum"), events.total - events.bad);
    return;
  }
  if (sli.kind == Kind::kLatency) return out.add(named(sli.histogram, "increase"), events.total);
  const bool is_errors = sli.kind == Kind::kErrors;
  const std::string& part = is_errors ? sli.errors : sli.good;
  const double count = is_errors ? events.bad : events.total - events.bad;
  const std::optional<LabelMap> labels = picking_labels(part, sli.total);
  const bool is_same = pyrra_base(part) == pyrra_base(sli.total);
  const bool is_apart = !is_same || (labels && !labels->empty());
  // Classic histograms: Pyrra tells `le=""` from the bucket. Otherwise all is the sum of its parts.
  const bool adds_up = is_errors && is_same && is_apart;
  out.add(named(sli.total, "increase"), adds_up ? events.total - events.bad : events.total);
  if (is_apart) out.add_labelled(named(part, "increase"), count, labels.value_or(LabelMap()));
}

void add_pyrra(const Slo& slo, const BurnReading& reading, Outputs& out) {
  const SliDefinition& sli = slo.definition().sli;
  const std::string base = pyrra_base(!sli.total.empty()       ? sli.total
                                      : !sli.histogram.empty() ? sli.histogram
                                                               : sli.gauge);
  for (std::size_t i = 0; i < slo.windows().size(); ++i) {
    // A ratio despite its name.
    out.add(fmt::format("{}:burnrate{}", base, format_duration(slo.windows()[i])),
            reading.windows[i].ratio);
  }
  const WindowValue& recent = reading.windows.front();
  const double window_s = as_seconds(slo.windows().front());
  out.add("pyrra_objective", slo.objective());
  out.add("pyrra_window", as_seconds(nominal_period(slo.definition().period)));
  out.add("pyrra_availability", 1 - reading.period.ratio);
  out.add("pyrra_requests:rate5m", recent.events.total / window_s);
  out.add("pyrra_errors:rate5m", recent.events.bad / window_s);
  if (reading.has_counts) add_pyrra_increases(slo, reading, out);
}

}  // namespace

std::vector<SloOutput> slo_outputs(const Slo& slo, const tsdb::Labels& group,
                                   const BurnReading& reading, const Verdicts& verdicts,
                                   EventCounts cumulative) {
  Outputs out(slo_identity_labels(slo, group));
  add_own(slo, reading, verdicts, cumulative, out);
  if (slo.definition().format == SloFormat::kSloth) add_sloth(slo, reading, out);
  if (slo.definition().format == SloFormat::kPyrra) add_pyrra(slo, reading, out);
  return std::move(out.out);
}

Status SloSeries::append_one(tsdb::Appender& appender, Written& series, Timestamp t, double value) {
  if (series.ref.value != 0) {
    const tsdb::AppendOutcome outcome = appender.append(series.ref, {.t = t, .v = value});
    if (outcome != tsdb::AppendOutcome::kUnknownSeries) return {};
  }
  series.ref = TRY(appender.resolve(series.labels));
  static_cast<void>(appender.append(series.ref, {.t = t, .v = value}));
  return {};
}

Status SloSeries::put(tsdb::Appender& appender, Written& series, double value, Timestamp t) {
  if (!std::isnan(value)) {
    TRY(append_one(appender, series, t, value));
    series.is_live = true;
  } else if (series.is_live) {
    TRY(append_one(appender, series, t, tsdb::stale_marker()));
    series.is_live = false;
  }
  return {};
}

Status SloSeries::append(tsdb::Appender& appender, const std::vector<SloOutput>& outputs,
                         Timestamp t) {
  if (series_.size() != outputs.size()) {
    end(appender, t);
    series_.clear();
    for (const SloOutput& output : outputs) {
      series_.push_back({.labels = output.labels, .ref = {}, .is_live = false});
    }
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TRY(put(appender, series_[i], outputs[i].value, t));
  }
  return {};
}

Status SloSeries::append_first(tsdb::Appender& appender,
                               const std::array<double, kOutputsOfEveryStep>& values, Timestamp t) {
  for (std::size_t i = 0; i < std::min(values.size(), series_.size()); ++i) {
    TRY(put(appender, series_[i], values[i], t));
  }
  return {};
}

void SloSeries::end(tsdb::Appender& appender, Timestamp t) {
  for (Written& series : series_) {
    if (!series.is_live) continue;
    series.is_live = false;
    static_cast<void>(append_one(appender, series, t, tsdb::stale_marker()));
  }
}

}  // namespace tarsier::alerting
