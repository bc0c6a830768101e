#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/alert_journal.h"
#include "alerting/alert_sink.h"
#include "alerting/alert_table.h"
#include "alerting/event_history.h"
#include "alerting/slo.h"
#include "alerting/slo_alerts.h"
#include "alerting/slo_counter.h"
#include "alerting/slo_ratios.h"
#include "alerting/slo_series.h"
#include "alerting/slo_taps.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "query/engine.h"
#include "tsdb/appender.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// What is decided at start.
struct SloOptions {
  // What changes behaviour.

  StepClock clock;
  /// A step is evaluated so long after its end: what was scraped in it has arrived by then, and a
  /// scrape is never seen half.
  Duration settle = seconds(2);
  /// A firing alert is told again when it was last told longer ago than this.
  Duration resend_delay = minutes(1);

  // What changes cost.

  /// Counting new objectives from stored samples stops for the next evaluation after so long.
  Duration backfill_slice = milliseconds(200);
};

/// What may change with every reload.
struct SloSettings {
  tsdb::Labels external_labels;
  std::string external_url;  ///< Without a slash at its end.
};

/// What objectives work with. Everything must outlive them.
struct SloDoors {
  const query::Engine& engine;
  tsdb::Queryable& storage;
  std::function<std::unique_ptr<tsdb::Appender>()> make_appender;
  std::function<std::int64_t()> monotonic_ns;
  Logger& log;
  AlertSink* sink = nullptr;        ///< Null: nobody is told.
  AlertJournal* journal = nullptr;  ///< Null: a restart remembers nothing.
  EventHistory* history = nullptr;  ///< Null: counts are kept for two hours.
  /// Hands every sample committed since the last call to the taps; empty: samples are looked for in
  /// storage. Called before each evaluation.
  std::function<Status(SloTaps&)> pull;
  /// Told of other selectors after a reload.
  std::function<void(const std::vector<std::vector<tsdb::Matcher>>&)> select;
};

/// One group of an objective as the API tells it.
struct SloGroupStatus {
  tsdb::Labels group;
  BurnReading reading;
  std::vector<TierValue> tiers;
  Verdicts verdicts;
  EventCounts cumulative;
};
struct SloStatus {
  std::shared_ptr<const Slo> slo;
  bool is_ready = false;  ///< Its history is counted.
  std::string last_error;
  std::vector<SloGroupStatus> groups;
  std::vector<AlertRecord> alerts;  ///< Pending and firing.
};

/// Of its groups: burning, no data, unknown, no traffic, ok. Unknown before the first evaluation.
SloState gravest_state(const SloStatus& status);

/// Every objective there is, evaluated together at the end of each step. The order of an evaluation
/// is that of rules: states change, changes are journalled and synced, receivers are told. Driven
/// by `run_due`; `apply`, `run_due` and `stop` are for one thread at a time, the rest for any.
class SloRunner final {
 public:
  SloRunner(SloOptions options, SloDoors doors);
  ~SloRunner();

  /// Replaces the objectives. What counts the same goes on; what is gone resolves its alerts.
  void apply(std::vector<std::shared_ptr<const Slo>> slos, SloSettings settings, Timestamp now);
  Timestamp run_due(Timestamp now);
  /// Samples since `t` were missed: they are counted from storage. Of the thread of `run_due`.
  void recount_since(Timestamp t);
  /// Cancels what runs. Nothing runs afterwards.
  void stop();

  /// Sorted by id.
  std::vector<std::shared_ptr<const SloStatus>> status() const EXCLUDES_LOCK(mutex_);
  std::shared_ptr<const SloStatus> find(std::string_view id) const EXCLUDES_LOCK(mutex_);
  /// Services of objectives whose alerts fire, with the graver severity; sorted. Of the thread of
  /// `run_due`.
  std::vector<std::pair<std::string, Severity>> burning_services() const;
  void collect(MetricWriter& out) const;

 private:
  struct Entry;
  struct News;
  struct Shown;

  std::unique_ptr<Entry> make_entry(std::shared_ptr<const Slo> slo);
  void retire(Entry& entry, Timestamp t);
  /// Alerts that the journal has of objectives that went away while the process was down.
  void retire_forgotten(Timestamp now);
  void end_series(Entry& entry, Timestamp t);
  void publish_all();
  /// Counts and reports what failed without stopping an evaluation.
  void note(const Status& status, std::string_view text);
  /// Counts new and dirty objectives; true when there are more.
  bool backfill(std::int64_t step);
  void feed(std::int64_t step);
  Status poll(std::int64_t step);
  void evaluate(std::int64_t step);
  /// `is_full`: all of its series are written, not only those of every step.
  void evaluate_entry(Entry& entry, std::int64_t step, bool is_full, std::vector<News>& news);
  Status write_series(Entry& entry, const tsdb::Labels& group, bool is_full,
                      const BurnReading& reading, const Verdicts& verdicts, EventCounts cumulative,
                      Timestamp t);
  /// The entry has no group: nothing it measures has samples.
  Status evaluate_absence(Entry& entry, bool is_full, std::vector<ActiveAlert>& active,
                          Timestamp t);
  void end_absence(Entry& entry, Timestamp t);
  void judge_group(Entry& entry, const tsdb::Labels& group, const BurnReading& reading,
                   BurnAlarm& alarm, std::vector<TierValue>& tiers, Verdicts& verdicts,
                   std::vector<ActiveAlert>& active, Timestamp t);
  void advance_alerts(Entry& entry, std::vector<ActiveAlert> active, Timestamp t,
                      std::vector<News>& news);
  void write_alert_series(Entry& entry, Timestamp t);
  void journal(const Entry& entry, const AlertChanges& changes, Timestamp t);
  void tell(std::vector<News> news, Timestamp t);
  void seal(std::int64_t step);
  /// What `find` answers until the next evaluation.
  void publish(const Entry& entry);
  void count_states();

  const SloOptions options_;
  const SloDoors doors_;
  SloSettings settings_;
  std::vector<std::unique_ptr<Entry>> entries_;  ///< Sorted by id.
  SloTaps taps_;
  SloSampleBatch batch_;
  std::vector<double> values_;  ///< Of the series that are being written.
  std::int64_t last_step_ = 0;
  CancelToken cancel_;
  bool is_started_ = false;

  std::atomic<std::uint64_t> evaluations_{0};
  std::atomic<std::uint64_t> recounts_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<double> evaluation_seconds_{0};
  std::atomic<std::uint64_t> series_count_{0};
  std::array<std::atomic<std::uint64_t>, kSloStates> objectives_by_state_{};

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Shown>, std::less<>> published_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::alerting
