#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "alerting/burn_rate.h"
#include "alerting/event_counts.h"
#include "alerting/event_history.h"
#include "alerting/event_scan.h"
#include "alerting/slo.h"
#include "base/result.h"
#include "tsdb/labels.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// The events of one group of an objective: the newest two hours in memory, what is older in the
/// history, with a little read ahead at the left edge of every window. One thread at a time.
class GroupCounter final {
  /// The step that samples are of just now, added to the ring when it is over: a sample touches
  /// these bytes of a group and no others.
  struct OpenStep {
    std::int64_t begin_ms = 0;  ///< Exclusive; as the end when no step is open.
    std::int64_t end_ms = 0;
    EventCounts events;
    std::int64_t last_sample_ms = kNoMoment;
    std::int64_t last_event_ms = kNoMoment;
  };
  static constexpr std::int64_t kNoMoment = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kNoStep = std::numeric_limits<std::int64_t>::max();
  alignas(64) OpenStep open_;

 public:
  GroupCounter(const Slo& slo, tsdb::Labels group, const StepClock& clock,
               const EventHistory* history);

  const tsdb::Labels& group() const { return group_; }
  const HistoryKey& key() const { return key_; }
  bool is_ready() const { return !ring_.empty(); }

  /// Adds events of a moment. False, nothing done: its step is in the history already.
  bool add(Timestamp t, EventCounts events) {
    if (t.ms <= open_.begin_ms || t.ms > open_.end_ms) return add_elsewhere(t, events);
    open_.events += events;
    open_.last_sample_ms = std::max(open_.last_sample_ms, t.ms);
    if (events.total > 0) open_.last_event_ms = std::max(open_.last_event_ms, t.ms);
    return true;
  }
  /// Cumulative at the end of a step; nothing where that is not known any more.
  std::optional<EventCounts> at(std::int64_t step) const;
  /// The windows that end with `step`.
  void read(const Slo& slo, std::int64_t step, BurnReading& out);
  /// Segments that end long enough before `step`, and are not in the history yet. They are taken as
  /// written by mark_sealed.
  void take_finished(std::int64_t step, std::vector<EventSegment>& out) const;
  void mark_sealed(std::int64_t segment);
  /// Puts what a scan counted in the place of everything from its first step on.
  /// REQUIRES: counts at the step before are known.
  void replace(const GroupEvents& scanned, std::int64_t first_step, std::int64_t now_step,
               std::vector<EventSegment>& segments);
  /// Whether the last replace() left what had come after `now_step` already as it was.
  bool kept_ahead() const { return kept_ahead_; }
  /// Knows a sample's moment, whatever it counts.
  void note_sample(Timestamp t) { open_.last_sample_ms = std::max(open_.last_sample_ms, t.ms); }

  /// The last step in the history; the step before measuring began where there is none.
  std::int64_t sealed_end() const { return sealed_end_; }
  std::int64_t measured_from() const { return measured_from_; }
  std::optional<Timestamp> last_sample() const { return moment(open_.last_sample_ms); }
  /// Counting begins before `step`, at what the history has. False where it has nothing.
  bool resume();
  void begin_at(std::int64_t step);

  BurnAlarm alarm;
  BurnReading reading;
  std::vector<TierValue> tiers;
  Verdicts verdicts;

 private:
  /// Counts read ahead from the left edge of one window.
  struct Edge {
    std::int64_t first_step = 0;
    std::uint32_t count = 0;
    std::array<EventCounts, 32> counts;
  };
  static std::optional<Timestamp> moment(std::int64_t ms) {
    return ms == kNoMoment ? std::nullopt : std::optional(Timestamp{ms});
  }
  bool add_elsewhere(Timestamp t, EventCounts events);
  /// Brings what is open into the ring.
  void settle();
  void close_step();
  std::optional<EventCounts> edge_at(std::size_t window, std::int64_t step);
  std::optional<EventCounts> stored(std::int64_t step) const;
  void fill(Edge& edge, std::int64_t step) const;

  const StepClock clock_;
  const EventHistory* const history_;  ///< Null: rings only.
  const tsdb::Labels group_;
  const HistoryKey key_;
  EventRing ring_;
  std::int64_t open_step_ = kNoStep;
  bool is_begun_ = false;  ///< Samples are counted since begin_at() and resume().
  bool kept_ahead_ = false;
  std::int64_t sealed_end_ = 0;
  std::int64_t measured_from_ = 0;
  std::vector<std::unique_ptr<Edge>> edges_;  ///< By window; null for those within the ring.
};

/// Windows of `reading` at the end of `step` out of cumulative counts: `at(window, step)` is the
/// count at the end of a step, or nothing; `window` numbers windows, the period's last. What live
/// evaluation and backtests share.
template <typename At>
void read_windows(const Slo& slo, const StepClock& clock, std::int64_t step,
                  std::int64_t measured_from, At&& at, BurnReading& out) {
  out.t = clock.end_of(step);
  const std::vector<Duration>& windows = slo.windows();
  out.windows.resize(windows.size());
  const std::optional<EventCounts> now = at(windows.size() + 1, step);
  for (std::size_t i = 0; i <= windows.size(); ++i) {
    const bool is_period = i == windows.size();
    const std::int64_t begin = is_period
                                   ? clock.step_of(period_start(slo.definition().period, out.t))
                                   : step - clock.steps_in(windows[i]);
    WindowValue& value = is_period ? out.period : out.windows[i];
    value = {};
    const std::optional<EventCounts> left = at(i, begin);
    if (!left || !now) continue;
    value.events = *now - *left;
    value.ratio = ratio_of(value.events);
    const auto length = static_cast<double>(step - begin);
    const auto covered = static_cast<double>(step - std::max(begin, measured_from));
    value.coverage = length > 0 ? std::clamp(covered / length, 0.0, 1.0) : 0;
  }
}

/// Keeps 2 h of 15 s steps, and a little more for what comes early.
inline constexpr std::int64_t kRingSteps = 480;
/// A segment is written when it ended so many steps ago: what comes until then costs nothing.
inline constexpr std::int64_t kSettleSteps = 120;

/// One objective counted event by event, group by group. One thread at a time.
class SloCounter final {
 public:
  SloCounter(std::shared_ptr<const Slo> slo, const StepClock& clock, EventHistory* history);

  const Slo& slo() const { return *slo_; }
  const std::shared_ptr<const Slo>& shared_slo() const { return slo_; }
  /// Another definition that counts the same: names, labels, tiers.
  void set_slo(std::shared_ptr<const Slo> slo);

  /// Counts what is missing up to `now_step` from stored samples: everything for groups that the
  /// history does not know. Afterwards samples may be added. What it found is returned for whoever
  /// follows the series. Finished segments go into `segments`, for whoever writes those of many
  /// objectives at once before the next read (if that fails: mark_unwritten), or into the history.
  Result<std::vector<ScannedSeries>> recount(tsdb::Queryable& storage, std::int64_t now_step,
                                             const CancelToken* cancel,
                                             std::vector<EventSegment>* segments = nullptr);
  /// What the last recount found is not in the history: it is counted anew.
  void mark_unwritten() { mark_dirty(0); }
  bool is_ready() const { return is_ready_; }
  /// There is nothing to count from storage: groups are begun by the caller.
  void mark_counted() { is_ready_ = true; }
  /// Something before `step` must be counted anew.
  void mark_dirty(std::int64_t step);
  void mark_late(Timestamp t) { mark_dirty(clock_.step_of(t)); }
  bool is_dirty(std::int64_t now_step) const { return dirty_from_ && *dirty_from_ <= now_step; }

  GroupCounter& group(const tsdb::Labels& labels);
  std::map<tsdb::Labels, std::unique_ptr<GroupCounter>>& groups() { return groups_; }
  /// Finished segments of all groups.
  void take_finished(std::int64_t step, std::vector<EventSegment>& out) const;
  void mark_sealed(std::int64_t segment);

 private:
  Status find_groups(const tsdb::Querier& querier, TimeRange range, const CancelToken* cancel);

  std::shared_ptr<const Slo> slo_;
  const StepClock clock_;
  EventHistory* const history_;
  bool is_ready_ = false;
  std::optional<std::int64_t> dirty_from_;
  std::map<tsdb::Labels, std::unique_ptr<GroupCounter>> groups_;
};

}  // namespace tarsier::alerting
