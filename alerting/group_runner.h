#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alerting/alert_table.h"
#include "alerting/rule.h"
#include "alerting/rule_evaluation.h"
#include "alerting/rule_order.h"
#include "alerting/rule_settings.h"
#include "alerting/rule_status.h"
#include "alerting/series_output.h"
#include "alerting/shared_scans.h"
#include "base/mutex.h"
#include "base/summary_metric.h"

namespace tarsier::alerting {

/// A rule that is no longer configured, with what it leaves behind.
struct RemovedRule {
  std::string owner;  ///< In the journal.
  std::string generator_url;
  AlertTable alerts;
  std::unique_ptr<SeriesOutput> output;
};

/// Where in its interval a group is evaluated: spread over it, and always the same for one file and
/// name.
Duration slot_offset_of(std::string_view file, std::string_view name, Duration interval);

/// Counts over all groups, for metrics.
struct RuleTotals {
  std::atomic<std::uint64_t> template_expansions{0};
  std::atomic<std::uint64_t> template_failures{0};
  std::atomic<std::uint64_t> delivery_failures{0};
  SummaryMetric rule_seconds;
  SummaryMetric group_seconds;
};

/// One rule group at work: its rules with their alerts and series. An evaluation runs the rules in
/// order, each rule's samples visible to the next at the same timestamp; state changes go to the
/// journal before anybody is told. One thread evaluates; any number may ask for the status.
class GroupRunner final {
 public:
  GroupRunner(RuleGroup group, std::shared_ptr<const RuleSettings> settings,
              const RuleOptions& options, const RuleDoors& doors, RuleTotals& totals);

  // Before the first evaluation: at most one of the two.

  /// At the start of the process: goes on where the journal says the rules stood, or plans to
  /// restore `for` from stored series.
  void resume();
  /// Takes over what rules of the same identity had; what is left of `former` are removed rules,
  /// whose series end and whose alerts resolve with the next evaluation. REQUIRES: `former` does
  /// not evaluate, and never will again.
  void adopt(GroupRunner& former);

  /// One evaluation of all rules. `now` is the moment it really is.
  void evaluate(Timestamp ts, Timestamp now);
  /// Makes a running evaluation end soon, its state as after the last whole rule.
  void cancel();
  void count_missed(std::uint64_t iterations);
  void set_settings(std::shared_ptr<const RuleSettings> settings);

  /// Everything it holds, of a group that is no longer configured.
  std::vector<RemovedRule> dissolve();

  const RuleGroup& group() const { return group_; }
  const std::string& key() const { return key_; }
  Duration interval() const { return interval_; }
  Duration query_offset() const { return query_offset_; }
  Duration slot_offset() const;  ///< The evaluation moments are k * interval + this.
  std::vector<std::string> owners() const;

  RuleGroupStatus status() const;
  RuleGroupCounts counts() const;
  bool has_alert(const tsdb::Labels& labels) const;  ///< Pending or firing.
  bool writes(const tsdb::Labels& series) const;

 private:
  struct State;
  struct News;

  void evaluate_rule(State& state, Timestamp ts, const RuleSettings& settings);
  /// The status says what failed; samples are counted.
  Status run_recording(State& state, const query::QueryResult& answer, Timestamp at);
  Status run_alerting(State& state, const query::QueryResult& answer, Timestamp ts,
                      const RuleSettings& settings);
  Status write(State& state, const std::vector<OutputSample>& samples, Timestamp at);
  Result<query::QueryResult> ask(const std::string& query, Timestamp at);
  TemplateContext template_context(Timestamp ts, const RuleSettings& settings);
  bool has_journalled_alerts() const;
  void journal(const State& state, const AlertChanges& changes, Timestamp ts);
  void tell(Timestamp ts);
  void skip_outage(Timestamp ts);
  void restore_series(Timestamp ts, Timestamp now);
  void retire_removed(Timestamp ts);

  const RuleGroup group_;
  const std::string key_;
  const Duration interval_;
  const Duration query_offset_;
  const RuleOptions options_;
  const RuleDoors& doors_;
  RuleTotals& totals_;
  const std::vector<RuleBatch> batches_;

  // Of the evaluating thread.
  std::vector<RemovedRule> removed_;
  std::unique_ptr<SharedScans> scans_;              ///< Of the running evaluation.
  std::optional<Timestamp> journalled_evaluation_;  ///< Before the restart; until it is dealt with.
  int evaluations_until_restore_ = 0;
  std::atomic<std::uint64_t> iteration_samples_{0};
  std::atomic<bool> has_transitions_{false};  ///< In the journal, perhaps not synced yet.

  mutable Mutex mutex_;
  std::deque<State> states_;  ///< Tables and published fields GUARDED_BY(mutex_).
  std::shared_ptr<const RuleSettings> settings_ GUARDED_BY(mutex_);
  std::vector<News> news_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<CancelToken>> running_ GUARDED_BY(mutex_);
  bool is_cancelled_ GUARDED_BY(mutex_) = false;
  RuleGroupCounts counts_ GUARDED_BY(mutex_);
  double evaluation_seconds_ GUARDED_BY(mutex_) = 0;
  Timestamp last_evaluation_ GUARDED_BY(mutex_) = kNotYet;

 public:
  ~GroupRunner();
};

/// Ends what removed rules left behind: stale markers at `at` for series that `is_written` says
/// nobody else writes, and an explicit resolve at `ts` for firing alerts that `is_active` says
/// nobody else has. What is done is taken out of `rules`; the rest is to be tried again.
void retire_rules(std::vector<RemovedRule>& rules, const std::string& source, Timestamp ts,
                  Timestamp at, const RuleDoors& doors,
                  const std::function<bool(const tsdb::Labels&)>& is_active,
                  const std::function<bool(const tsdb::Labels&)>& is_written);

}  // namespace tarsier::alerting
