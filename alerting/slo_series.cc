#include "alerting/slo_series.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "alerting/slo_alerts.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "tsdb/sample.h"

namespace tarsier::alerting {
namespace {

const double kNothing = std::nan("");

/// What a series is called, beside what says whose it is.
struct Name {
  std::string metric;
  LabelMap labels = {};
};

// What is told of an objective comes by one of these: names are only made where they are asked for.

class LabelsOut final {
 public:
  explicit LabelsOut(tsdb::LabelsBuilder base) : base_(std::move(base)) {}
  template <typename MakeName>
  void add(double, MakeName&& make_name) {
    const Name name = make_name();
    tsdb::LabelsBuilder labels = base_;
    labels.set(tsdb::kMetricName, name.metric);
    for (const auto& [label, text] : name.labels) labels.set(label, text);
    out.push_back(labels.build());
  }
  std::vector<tsdb::Labels> out;

 private:
  const tsdb::LabelsBuilder base_;
};

class ValuesOut final {
 public:
  explicit ValuesOut(std::vector<double>& out) : out_(out) {}
  template <typename MakeName>
  void add(double value, MakeName&&) {
    out_.push_back(value);
  }

 private:
  std::vector<double>& out_;
};

double as_seconds(Duration duration) { return static_cast<double>(duration.ms) / 1000; }

template <typename Out>
void add_first(const BurnReading& reading, const Verdicts& verdicts, EventCounts cumulative,
               Out& out) {
  out.add(reading.has_counts ? cumulative.total : kNothing,
          [] { return Name{"tarsier_slo_events_total"}; });
  out.add(reading.has_counts ? cumulative.bad : kNothing,
          [] { return Name{"tarsier_slo_bad_events_total"}; });
  out.add(static_cast<double>(verdicts.state), [] { return Name{"tarsier_slo_state"}; });
}

template <typename Out>
void add_own(const Slo& slo, const BurnReading& reading, Out& out) {
  out.add(slo.objective(), [] { return Name{"tarsier_slo_objective_ratio"}; });
  const Duration period = nominal_period(slo.definition().period);
  out.add(as_seconds(period), [] { return Name{"tarsier_slo_period_seconds"}; });
  for (std::size_t i = 0; i <= slo.windows().size(); ++i) {
    const bool is_period = i == slo.windows().size();
    const WindowValue& value = is_period ? reading.period : reading.windows[i];
    const auto named = [&](const char* metric) {
      return [metric, i, is_period, &slo] {
        return Name{metric,
                    {{"window", is_period ? period_text(slo.definition().period)
                                          : format_duration(slo.windows()[i])}}};
      };
    };
    out.add(value.ratio, named("tarsier_slo_error_ratio"));
    out.add(value.ratio / slo.budget(), named("tarsier_slo_burn_rate"));
    out.add(value.coverage, named("tarsier_slo_coverage_ratio"));
  }
  const double remaining = budget_remaining(slo, reading.period);
  out.add(remaining, [] { return Name{"tarsier_slo_budget_remaining_ratio"}; });
  // At the rate of the last hour, or of what is nearest to it.
  double burn = kNothing;
  for (std::size_t i = 0; i < slo.windows().size() && slo.windows()[i] <= hours(1); ++i) {
    burn = reading.windows[i].ratio / slo.budget();
  }
  const std::optional<Duration> left = time_to_exhaustion(burn, remaining, period);
  out.add(left ? as_seconds(*left) : std::numeric_limits<double>::infinity(),
          [] { return Name{"tarsier_slo_time_to_exhaustion_seconds"}; });
}

template <typename Out>
void add_sloth(const Slo& slo, const BurnReading& reading, Out& out) {
  // Sloth takes 1 - objective / 100 here, and (100 - objective) / 100 in its alerts.
  const double percent = slo.definition().objective_percent;
  const double budget = 1 - percent / 100;
  const auto ratio = [](std::string window) {
    return Name{"slo:sli_error:ratio_rate" + window, {{"sloth_window", std::move(window)}}};
  };
  for (std::size_t i = 0; i < slo.windows().size(); ++i) {
    out.add(reading.windows[i].ratio, [&] { return ratio(format_duration(slo.windows()[i])); });
  }
  const SloPeriod& period = slo.definition().period;
  out.add(reading.period.ratio, [&] { return ratio(period_text(period)); });
  out.add(percent / 100, [] { return Name{"slo:objective:ratio"}; });
  out.add(budget, [] { return Name{"slo:error_budget:ratio"}; });
  out.add(as_seconds(nominal_period(period)) / 86'400, [] { return Name{"slo:time_period:days"}; });
  out.add(reading.windows.front().ratio / budget,
          [] { return Name{"slo:current_burn_rate:ratio"}; });
  out.add(reading.period.ratio / budget, [] { return Name{"slo:period_burn_rate:ratio"}; });
  out.add(1 - reading.period.ratio / budget,
          [] { return Name{"slo:period_error_budget_remaining:ratio"}; });
  out.add(1, [&] {
    return Name{"sloth_slo_info",
                {{"sloth_mode", "tarsier"},
                 {"sloth_objective", plain_number(percent)},
                 {"sloth_spec", "prometheus/v1"},
                 {"sloth_version", "tarsier"}}};
  });
}

/// Events of the period: `x:increase30d` of all and of those that its file calls errors or success.
template <typename Out>
void add_pyrra_increases(const Slo& slo, const PyrraNames& names, const BurnReading& reading,
                         Out& out) {
  const EventCounts events =
      reading.has_counts ? reading.period.events : EventCounts{kNothing, kNothing};
  const auto named = [&](const std::string& base, std::string_view what,
                         const LabelMap& labels = {}) {
    return [&base, what, &labels, &slo] {
      return Name{fmt::format("{}:{}{}", base, what, period_text(slo.definition().period)), labels};
    };
  };
  if (slo.definition().sli.kind == SliDefinition::Kind::kGauge) {
    out.add(events.total, named(names.all_base, "count"));
    out.add(events.total - events.bad, named(names.all_base, "sum"));
    return;
  }
  // Where both are parts of one metric, all is the sum of them.
  out.add(names.adds_up ? events.total - events.bad : events.total,
          named(names.all_base, "increase"));
  if (!names.is_apart) return;
  out.add(names.part_is_bad ? events.bad : events.total - events.bad,
          named(names.part_base, "increase", names.part_labels));
}

template <typename Out>
void add_pyrra(const Slo& slo, const PyrraNames& names, const BurnReading& reading, Out& out) {
  for (std::size_t i = 0; i < slo.windows().size(); ++i) {
    // A ratio despite its name.
    out.add(reading.windows[i].ratio, [&] {
      return Name{fmt::format("{}:burnrate{}", names.all_base, format_duration(slo.windows()[i]))};
    });
  }
  const auto five = std::lower_bound(slo.windows().begin(), slo.windows().end(), minutes(5)) -
                    slo.windows().begin();
  const EventCounts recent = reading.windows[static_cast<std::size_t>(five)].events;
  out.add(slo.objective(), [] { return Name{"pyrra_objective"}; });
  out.add(as_seconds(nominal_period(slo.definition().period)), [] { return Name{"pyrra_window"}; });
  out.add(1 - reading.period.ratio, [] { return Name{"pyrra_availability"}; });
  out.add(reading.has_counts ? recent.total / 300 : kNothing,
          [] { return Name{"pyrra_requests:rate5m"}; });
  out.add(reading.has_counts ? recent.bad / 300 : kNothing,
          [] { return Name{"pyrra_errors:rate5m"}; });
  add_pyrra_increases(slo, names, reading, out);
}

template <typename Out>
void add_all(const Slo& slo, const PyrraNames* pyrra, const BurnReading& reading,
             const Verdicts& verdicts, EventCounts cumulative, Out& out) {
  add_first(reading, verdicts, cumulative, out);
  add_own(slo, reading, out);
  if (slo.definition().format == SloFormat::kSloth) add_sloth(slo, reading, out);
  if (pyrra != nullptr) add_pyrra(slo, *pyrra, reading, out);
}

}  // namespace

SloOutputs::SloOutputs(std::shared_ptr<const Slo> slo) : slo_(std::move(slo)) {
  if (slo_->definition().format == SloFormat::kPyrra) {
    pyrra_ = std::make_unique<const PyrraNames>(*slo_);
  }
}

std::vector<tsdb::Labels> SloOutputs::labels(const tsdb::Labels& group) const {
  LabelsOut out(slo_identity_labels(*slo_, group));
  add_all(*slo_, pyrra_.get(), reading_without_data(*slo_, {}, std::nullopt), {}, {}, out);
  return std::move(out.out);
}

void SloOutputs::values(const BurnReading& reading, const Verdicts& verdicts,
                        EventCounts cumulative, std::vector<double>& out) const {
  out.clear();
  ValuesOut values(out);
  add_all(*slo_, pyrra_.get(), reading, verdicts, cumulative, values);
}

void SloOutputs::first_values(const BurnReading& reading, const Verdicts& verdicts,
                              EventCounts cumulative, std::vector<double>& out) {
  out.clear();
  ValuesOut values(out);
  add_first(reading, verdicts, cumulative, values);
}

void SloSampleBatch::add(SloSeries& owner, std::uint32_t index, tsdb::SeriesRef series,
                         tsdb::Sample sample) {
  refs_.push_back(series);
  samples_.push_back(sample);
  owners_.push_back({.series = &owner, .index = index});
}

Status SloSampleBatch::flush() {
  outcomes_.resize(refs_.size());
  appender_->append_batch(refs_, samples_, outcomes_);
  Status out;
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    if (outcomes_[i] != tsdb::AppendOutcome::kUnknownSeries) continue;
    Status status = owners_[i].series->append_anew(*appender_, owners_[i].index, samples_[i]);
    if (out.ok()) out = std::move(status);
  }
  refs_.clear();
  samples_.clear();
  owners_.clear();
  return out;
}

Status SloSeries::append_anew(tsdb::Appender& appender, std::uint32_t index, tsdb::Sample sample) {
  const std::vector<tsdb::Labels> labels = outputs_->labels(*group_);
  series_[index].ref = TRY(appender.resolve(labels[index]));
  static_cast<void>(appender.append(series_[index].ref, sample));
  return {};
}

Status SloSeries::append(SloSampleBatch& batch, const SloOutputs& outputs,
                         const tsdb::Labels& group, std::span<const double> values, Timestamp t) {
  outputs_ = &outputs;
  group_ = &group;
  if (series_.empty()) series_.resize(values.size());
  CHECK(values.size() <= series_.size());
  std::vector<tsdb::Labels> labels;
  for (std::size_t i = 0; i < values.size(); ++i) {
    Written& series = series_[i];
    const bool is_there = !std::isnan(values[i]);
    if (!is_there && !series.is_live) continue;
    if (series.ref.value == 0) {
      if (labels.empty()) labels = outputs.labels(group);
      series.ref = TRY(batch.appender().resolve(labels[i]));
    }
    batch.add(*this, static_cast<std::uint32_t>(i), series.ref,
              {.t = t, .v = is_there ? values[i] : tsdb::stale_marker()});
    series.is_live = is_there;
  }
  return {};
}

void SloSeries::end(tsdb::Appender& appender, Timestamp t) {
  for (Written& series : series_) {
    if (!series.is_live) continue;
    series.is_live = false;
    // One that the head has forgotten has ended long ago.
    static_cast<void>(appender.append(series.ref, {.t = t, .v = tsdb::stale_marker()}));
  }
}

}  // namespace tarsier::alerting
