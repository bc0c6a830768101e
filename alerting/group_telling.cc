#include <algorithm>
#include <utility>

#include "alerting/group_state.h"

// What a group tells after it has evaluated: notifications, the journal, restored and ended alerts.

namespace tarsier::alerting {
namespace {

/// Whether this notification says something its receivers do not know from an earlier one.
bool is_news(const AlertRecord& alert) {
  return alert.last_sent <
         (alert.state == AlertState::kInactive ? alert.resolved_at : alert.fired_at);
}

}  // namespace

void GroupRunner::tell(Timestamp ts) {
  std::vector<News> news;
  {
    MutexLock lock(mutex_);
    news = std::exchange(news_, {});
  }
  if (news.empty()) return;
  AlertBatch batch{.source = key_, .at = ts, .position = {}, .alerts = {}};
  if (doors_.journal) {
    batch.position = doors_.journal->position();
    // Its failure is reported by the journal, and is no reason to keep a page from anybody.
    static_cast<void>(doors_.journal->sync(batch.position));
  }
  for (const News& part : news) {
    batch.alerts.insert(batch.alerts.end(), part.alerts.begin(), part.alerts.end());
  }
  if (doors_.sink) {
    if (const Status status = doors_.sink->deliver(batch); !status.ok()) {
      ++totals_.delivery_failures;
      doors_.log.warn("Notifications were not taken; the next evaluation tries again",
                      {{"group", key_}, {"err", status.message()}});
      return;
    }
  }
  for (const News& part : news) {
    for (const Alert& alert : part.alerts) {
      const AlertRecord* const record = part.state->alerts.find(alert.labels);
      // Repetitions need no record: after a restart there is one more.
      if (doors_.journal && record && is_news(*record)) {
        doors_.journal->sent(part.state->owner, alert.labels, ts);
      }
    }
    MutexLock lock(mutex_);
    part.state->alerts.mark_sent(part.alerts, ts);
  }
}

void GroupRunner::skip_outage(Timestamp ts) {
  if (!journalled_evaluation_) return;
  const Duration gap = ts - *std::exchange(journalled_evaluation_, std::nullopt);
  if (gap.ms <= 2 * interval_.ms) return;
  for (State& state : states_) {
    AlertChanges changes;
    {
      MutexLock lock(mutex_);
      changes = state.alerts.skip_outage(gap - interval_, options_.restore.outage_tolerance);
    }
    journal(state, changes, ts);
  }
}

void GroupRunner::restore_series(Timestamp ts, Timestamp now) {
  const std::int64_t begin_ns = doors_.monotonic_ns();
  for (State& state : states_) {
    if (!state.rule->is_alerting() || state.is_restored) continue;
    state.is_restored = true;
    AlertTable restored = state.alerts;
    const Status status = restore_from_series(*state.rule, restored, doors_.storage,
                                              options_.restore, std::max(ts, now));
    if (!status.ok()) {
      doors_.log.error("Restoring alerts from stored series failed",
                       {{"group", key_}, {"rule", state.rule->name()}, {"err", status.message()}});
      continue;
    }
    AlertChanges changes;
    for (const auto& [labels, alert] : restored.records()) changes.written.push_back(alert);
    {
      MutexLock lock(mutex_);
      state.alerts = std::move(restored);
    }
    journal(state, changes, ts);
  }
  MutexLock lock(mutex_);
  counts_.restore_seconds = static_cast<double>(doors_.monotonic_ns() - begin_ns) / 1e9;
}

void GroupRunner::retire_removed(Timestamp ts) {
  if (removed_.empty()) return;
  retire_rules(
      removed_, key_, ts, ts - query_offset_, doors_,
      [this](const tsdb::Labels& labels) { return has_alert(labels); },
      [this](const tsdb::Labels& labels) { return writes(labels); });
}

}  // namespace tarsier::alerting
