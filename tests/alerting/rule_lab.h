#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/alert_journal.h"
#include "alerting/alert_sink.h"
#include "alerting/rule_runner.h"
#include "base/mutex.h"
#include "base/posix_file.h"
#include "base/thread_pool.h"
#include "query/engine.h"
#include "query/monitor.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/db.h"
#include "tsdb/histogram.h"

namespace tarsier::testing {

/// Keeps every batch; refuses while told to.
class CapturingSink final : public alerting::AlertSink {
 public:
  Status deliver(const alerting::AlertBatch& batch) override;
  /// `firing A{l="v"} since 60 until 300`, one line per alert, seconds, since the last call.
  std::vector<std::string> take();

  /// Only while nothing is evaluated.
  std::vector<alerting::AlertBatch> batches;
  bool refuses = false;

 private:
  Mutex mutex_;
  std::size_t taken_ = 0;
};

/// Rules over a real database, with time as an argument: samples are fed as time goes on, groups
/// are evaluated at their moments. Seconds since the epoch everywhere.
class RuleLab {
 public:
  struct Setup {
    alerting::RuleOptions options{.restores = false};
    alerting::RuleSettings settings{.evaluation_interval = seconds(60),
                                    .external_url = "http://tarsier"};
    bool has_journal = false;
    std::size_t thread_count = 0;  ///< 0: everything on the caller's thread.
  };
  RuleLab() : RuleLab(Setup{}) {}
  explicit RuleLab(Setup setup);
  ~RuleLab();

  /// Samples of one series, `step_s` apart from `begin_s` on; a missing one is NaN with stale bits.
  void feed(std::string_view selector, std::int64_t begin_s, std::int64_t step_s,
            const std::vector<double>& values);
  /// Stores a native histogram at once.
  void put_histogram(std::string_view selector, std::int64_t t_s,
                     const tsdb::FloatHistogram& histogram);
  /// Replaces the rules at the present moment.
  void apply(std::vector<alerting::RuleGroupDefinition> groups);
  /// Lets time pass up to and including `until_s`.
  void run_to(std::int64_t until_s);
  /// Has due groups evaluated at that moment, without waiting for them where there are threads.
  void kick(std::int64_t t_s);
  /// Has every group evaluated at that moment, and waits for it, threads or not.
  void run_all_at(std::int64_t t_s);
  /// Ends all evaluations.
  void stop() { runner_->stop(); }
  /// A process that ends here and comes up again `down_s` later, with the rules last applied. The
  /// journal loses what was not synced.
  void restart(std::int64_t down_s = 0);
  /// The same, without what the journal knows.
  void restart_without_journal(std::int64_t down_s = 0);

  /// The answer of an instant query, sorted: `up{job="a"} 1`, `h {count:1, sum:2, (1,2]:1}`.
  std::vector<std::string> ask(const std::string& query, std::int64_t at_s);
  /// `pending A{l="v"} since 60`: the alerts the API shows.
  std::vector<std::string> alerts() const;
  /// What the journal tells of alerts, `60 A{l="v"} firing`, oldest first. REQUIRES: a journal.
  std::vector<std::string> history() const;
  const query::QueryMonitor& monitor() const { return monitor_; }
  alerting::RuleGroupStatus group(std::size_t i = 0) const { return runner_->status().at(i); }

  CapturingSink sink;
  CapturingLogger log;
  std::int64_t now_s = 0;

 private:
  void start_runner();
  void feed_to(std::int64_t until_s);
  void put(const tsdb::Labels& labels, tsdb::Sample sample);

  const Setup setup_;
  Mutex wake_mutex_;
  CondVar woken_;
  std::uint64_t wake_count_ GUARDED_BY(wake_mutex_) = 0;
  TemporaryDirectory directory_;
  std::unique_ptr<FileSystem> posix_ = make_posix_file_system();
  std::unique_ptr<tsdb::Db> db_;
  std::unique_ptr<FaultyFileSystem> journal_files_ = std::make_unique<FaultyFileSystem>();
  std::unique_ptr<alerting::AlertJournal> journal_;
  query::QueryLog query_log_{*posix_};
  query::QueryMonitor monitor_{
      {}, {.now = [] { return Timestamp{0}; }, .elapsed_seconds = [] { return 0.0; }}, query_log_};
  query::Engine engine_{{}, nullptr, &monitor_};
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<alerting::RuleRunner> runner_;
  std::multimap<std::int64_t, std::pair<tsdb::Labels, double>> fed_;
  std::vector<alerting::RuleGroupDefinition> groups_;
};

/// `record: name expr` and `alert: name expr` rules, for tests.
alerting::RuleDefinition recording(std::string name, std::string expression);
alerting::RuleDefinition alerting_rule(std::string name, std::string expression,
                                       Duration hold = {0});
/// A group of a file whose name is such that the group is evaluated at whole multiples of its
/// interval.
alerting::RuleGroupDefinition rule_group(std::vector<alerting::RuleDefinition> rules,
                                         std::string name = "g", Duration interval = seconds(60));
tsdb::Labels labels_of(std::string_view selector);

}  // namespace tarsier::testing
