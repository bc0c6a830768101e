#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/rule.h"
#include "alerting/slo_math.h"
#include "alerting/time_zone.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

/// Which names an objective's file speaks, and so which series and labels it is shown with.
enum class SloFormat : unsigned char { kOwn, kSloth, kPyrra, kOpenSlo };
/// "tarsier", "sloth", "pyrra", "openslo".
std::string_view slo_format_name(SloFormat format);

/// How windows are computed. Never mixed inside one objective.
enum class SloCounting : unsigned char {
  kEvents,  ///< Every event counted once, at the sample that reveals it.
  kPromql,  ///< What the PromQL expression says, to the bit.
};

/// How a sample of a followed series changes the counts.
enum class SliMeasure : unsigned char {
  kCounter,      ///< By the increase since the sample before.
  kSampleCount,  ///< By one.
  kSampleSum,    ///< By its value.
  kComparison,   ///< By one where the comparison with `bound` holds.
  kHistogram,    ///< Native: total by its count, bad by what lies above `bound`.
};
enum class SliComparison : unsigned char { kLess, kLessEqual, kGreater, kGreaterEqual };

/// One summand of an indicator: what the series of a selector add to bad and total events.
struct SliTerm {
  std::vector<tsdb::Matcher> matchers;
  SliMeasure measure = SliMeasure::kCounter;
  double bad_weight = 0;
  double total_weight = 0;
  double bound = 0;  ///< Of kComparison and kHistogram.
  SliComparison comparison = SliComparison::kGreaterEqual;
  bool operator==(const SliTerm&) const = default;
};

/// What an objective measures, as its file says it. Selectors are PromQL selectors, queries PromQL
/// with `$window` where the window's length goes.
struct SliDefinition {
  enum class Kind : unsigned char {
    kErrors,      ///< `errors`, `total`: selectors of counters.
    kGood,        ///< `good`, `total`: selectors of counters.
    kLatency,     ///< `histogram`: a selector without suffix; `bound` in seconds.
    kGauge,       ///< `gauge`: 1 is good, 0 is bad.
    kRatio,       ///< `ratio`: a query that gives the share of errors.
    kQueries,     ///< `errors` or `good`, `total`: queries.
    kComparison,  ///< `gauge`: a sample is good where `comparison` with `bound` holds.
    kBuckets,     ///< `good` (a selector with `le`), `total`: of a classic histogram.
  };
  Kind kind = Kind::kErrors;
  std::string errors;
  std::string good;
  std::string total;
  std::string histogram;
  std::string gauge;
  std::string ratio;
  double bound = 0;
  SliComparison comparison = SliComparison::kGreaterEqual;
  bool is_native = false;  ///< Of kLatency: classic buckets are not looked for.
  bool operator==(const SliDefinition&) const = default;
};

/// What belongs to the alerts of one severity.
struct SloSeverityAlerts {
  bool is_on = true;
  LabelMap labels;
  LabelMap annotations;
  BurnGuards guards;
  bool operator==(const SloSeverityAlerts&) const = default;
};

struct SloAlerting {
  std::string name;  ///< `alertname`; empty: the format's.
  SloSeverityAlerts page;
  SloSeverityAlerts ticket;
  /// Raised when samples stop; wait before it, or the format's formula.
  bool alerts_on_no_data = true;
  std::optional<Duration> no_data_wait;
  std::string no_data_name;  ///< Empty: the format's.
  /// A firing alert outlives its data for so long; absent: its tier's long window.
  std::optional<Duration> hold_without_data;
  /// Tiers whose long window is not covered by data fire all the same.
  bool fires_uncovered = false;
  std::vector<BurnTier> tiers;  ///< Empty: those of the format and the period.
  /// Of Pyrra's files: the label `severity` of each tier, the fastest first, and of the alert about
  /// missing samples. Empty: Pyrra's.
  std::vector<std::string> tier_severities;
  std::string no_data_severity;
  bool operator==(const SloAlerting&) const = default;
};

/// One objective as its file has it. A value, compared at reloads.
struct SloDefinition {
  std::string file;
  SloFormat format = SloFormat::kOwn;
  std::string name;
  std::string service;
  std::string description;
  double objective_percent = 0;
  SloPeriod period;
  SliDefinition sli;
  std::vector<std::string> group_by;
  SloCounting counting = SloCounting::kEvents;
  LabelMap labels;
  LabelMap annotations;
  SloAlerting alerts;
  std::vector<std::string> warnings;  ///< Of reading the file.

  /// `<service>-<name>`, or the name alone.
  std::string id() const { return service.empty() ? name : service + "-" + name; }
  bool operator==(const SloDefinition&) const = default;
};

/// What becomes one alert: all tiers of a severity or, as Pyrra has it, one tier. Those from
/// `begin` up to `end` of Slo::tiers().
struct AlertUnit {
  Severity severity = Severity::kPage;
  std::size_t begin = 0;
  std::size_t end = 0;
};
inline constexpr std::size_t kAlertUnitsMax = 4;

/// Something wrong with an objective; `field` is where: "objective", "sli.errors", "alerts.tiers".
struct SloProblem {
  std::string field;
  std::string text;
};

/// An objective made ready to run. Immutable; any number of threads.
class Slo final {
 public:
  /// Everything that is wrong; empty if nothing is.
  static std::vector<SloProblem> check(const SloDefinition& definition);
  /// kInvalid with the first of the problems.
  static Result<std::shared_ptr<const Slo>> compile(SloDefinition definition);

  const SloDefinition& definition() const { return definition_; }
  const std::string& id() const { return id_; }
  double objective() const { return objective_; }  ///< 0.999
  double budget() const { return budget_; }        ///< In the format's operation order.
  /// Page tiers first, each severity by its long window.
  const std::vector<BurnTier>& tiers() const { return tiers_; }
  /// At most kAlertUnitsMax, in the order of tiers.
  const std::vector<AlertUnit>& alert_units() const { return alert_units_; }
  /// All tiers of a severity; empty where there are none.
  AlertUnit tiers_of(Severity severity) const;
  /// Labels that the indicator's selector pins, without those grouped by: Pyrra puts them on
  /// alerts and series. Empty for other formats.
  const LabelMap& pinned_labels() const { return pinned_labels_; }
  /// Ascending, without the period.
  const std::vector<Duration>& windows() const { return windows_; }
  Duration period_at_most() const { return longest_period(definition_.period); }
  /// Empty where the indicator cannot be counted event by event.
  const std::vector<SliTerm>& terms() const { return terms_; }
  const std::vector<std::string>& group_by() const { return group_by_; }
  /// kPromql also where events cannot be counted.
  SloCounting counting() const { return counting_; }
  /// What is suspicious without being wrong: unreachable tiers, factors at most 1, ...
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// The share of errors in a window, as PromQL.
  std::string ratio_query(Duration window) const;
  /// Bad and all events of a window, as PromQL; empty where only a ratio is known.
  std::string bad_query(Duration window) const;
  std::string total_query(Duration window) const;

  /// The selector or query that says whether there is anything to measure.
  const std::string& measured_text() const;

  /// PromQL that gives something as long as there are samples.
  std::string presence_query() const;

  /// What the counts mean, without name or labels: equal signatures, equal counts.
  std::string signature() const;

 private:
  Slo() = default;
  SloDefinition definition_;
  std::string id_;
  double objective_ = 0;
  double budget_ = 0;
  std::vector<BurnTier> tiers_;
  std::vector<AlertUnit> alert_units_;
  LabelMap pinned_labels_;
  std::vector<Duration> windows_;
  std::vector<SliTerm> terms_;
  std::vector<std::string> group_by_;
  SloCounting counting_ = SloCounting::kEvents;
  std::vector<std::string> warnings_;
};

/// Identity over all files: kInvalid naming both places when two objectives share an id.
Status check_unique(const std::vector<std::shared_ptr<const Slo>>& slos);

}  // namespace tarsier::alerting
