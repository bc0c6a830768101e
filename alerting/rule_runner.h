#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alerting/group_runner.h"
#include "alerting/rule.h"
#include "alerting/rule_settings.h"
#include "alerting/rule_status.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::alerting {

/// Every rule group there is, each with its own schedule: a group's moments are a whole number of
/// intervals apart, at an offset that depends on its file and name alone, so that groups are spread
/// and a restart does not shift them. Groups run concurrently on the pool of the doors. Driven by
/// `run_due`; made and ended by `server`. `apply` and `run_due` are for one thread at a time, the
/// rest for any.
class RuleRunner final {
 public:
  RuleRunner(RuleOptions options, RuleDoors doors);
  ~RuleRunner();

  /// Replaces the groups. The first call is the start of the process: rules go on where the journal
  /// or the stored series say they stood. Later ones keep what did not change running, hand state
  /// to what did, and end what is gone. Returns at once: a group that is just being evaluated
  /// hands over when it is done.
  void apply(std::vector<RuleGroup> groups, RuleSettings settings, Timestamp now);
  /// Starts what is due; says when to call again. Evaluations that a late call has missed are
  /// counted, not caught up.
  Timestamp run_due(Timestamp now);
  /// Cancels running evaluations and waits for them. Nothing runs afterwards.
  void stop();

  /// Sorted by file, then name.
  std::vector<RuleGroupStatus> status() const;
  void collect(MetricWriter& out, Timestamp now) const;

 private:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;
  /// What groups that are gone left behind, kept a while so that a renamed group can take over.
  struct Farewell {
    std::string key;
    Timestamp due;
    Duration query_offset{0};
    std::vector<RemovedRule> rules;
  };

  EntryPtr make_entry(RuleGroup group, Timestamp now);
  void start_new(const EntryPtr& entry);
  void hand_over(Entry& former) REQUIRES_LOCK(mutex_);
  void bid_farewell(GroupRunner& runner, Timestamp now) REQUIRES_LOCK(mutex_);
  void adopt_orphans(Timestamp now);
  void run(const EntryPtr& entry, Timestamp ts, Timestamp now);
  void finish(const EntryPtr& entry, Timestamp ts);
  Timestamp run_farewells(Timestamp now);
  std::vector<EntryPtr> entries() const;

  const RuleOptions options_;
  const RuleDoors doors_;
  RuleTotals totals_;

  mutable Mutex mutex_;
  CondVar idle_;
  std::shared_ptr<const RuleSettings> settings_ GUARDED_BY(mutex_);
  std::vector<EntryPtr> entries_ GUARDED_BY(mutex_);
  std::vector<Farewell> farewells_ GUARDED_BY(mutex_);
  std::vector<EntryPtr> running_ GUARDED_BY(mutex_);
  bool is_started_ GUARDED_BY(mutex_) = false;
  bool is_stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace tarsier::alerting
