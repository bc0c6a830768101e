#include "alerting/alert_table.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::alerting {
namespace {

void resolve(AlertRecord& alert, Timestamp ts, ResolveReason reason) {
  alert.state = AlertState::kInactive;
  alert.resolved_at = ts;
  alert.resolve_reason = reason;
  alert.keep_firing_since = kNotYet;
}

/// Whether an absent alert goes on firing because of `keep_firing_for`; starts that clock.
bool is_kept_firing(AlertRecord& alert, Timestamp ts, Duration keep_firing_for) {
  if (alert.state != AlertState::kFiring || keep_firing_for.ms <= 0) return false;
  if (alert.keep_firing_since == kNotYet) alert.keep_firing_since = ts;
  return ts - alert.keep_firing_since < keep_firing_for;
}

bool is_forgotten(const AlertRecord& alert, Timestamp ts) {
  if (alert.state == AlertState::kPending) return true;
  // One that no receiver has taken yet waits for them.
  return alert.state == AlertState::kInactive && ts - alert.resolved_at > kResolvedRetention &&
         alert.last_sent >= alert.resolved_at;
}

void step_present(AlertRecord& alert, Timestamp ts, Duration hold) {
  alert.keep_firing_since = kNotYet;
  const bool is_held = ts - alert.active_at >= hold;
  if (alert.state == AlertState::kPending && is_held) {
    alert.state = AlertState::kFiring;
    alert.fired_at = ts;
  } else if (alert.state == AlertState::kFiring && !is_held) {  // `for` was raised by a reload.
    alert.state = AlertState::kPending;
    alert.fired_at = kNotYet;
    alert.last_sent = kNotYet;
  }
}

/// What a restart must not lose; value and annotations come anew with every evaluation.
struct Standing {
  AlertState state;
  Timestamp keep_firing_since;
  bool operator==(const Standing&) const = default;
};
Standing standing_of(const AlertRecord& alert) { return {alert.state, alert.keep_firing_since}; }

}  // namespace

AlertChanges AlertTable::advance(std::vector<ActiveAlert> active, Timestamp ts,
                                 const AlertTiming& timing, std::uint64_t limit) {
  AlertChanges changes;
  std::set<tsdb::Labels> present;
  for (const ActiveAlert& alert : active) {
    if (present.insert(alert.labels).second) continue;
    changes.status =
        invalid("vector contains metrics with the same labelset after applying alert labels");
    return changes;
  }
  std::set<tsdb::Labels> created;
  for (ActiveAlert& alert : active) {
    AlertRecord& record = records_[alert.labels];
    if (record.active_at == kNotYet || record.state == AlertState::kInactive) {
      record = AlertRecord{.labels = alert.labels, .active_at = ts};
      created.insert(alert.labels);
    }
    record.annotations = std::move(alert.annotations);
    record.value = alert.value;
  }
  std::uint64_t count = 0;
  for (auto at = records_.begin(); at != records_.end();) {
    AlertRecord& alert = at->second;
    const Standing before = standing_of(alert);
    if (present.contains(at->first)) {
      step_present(alert, ts, timing.hold);
      ++count;
    } else if (is_kept_firing(alert, ts, timing.keep_firing_for)) {
      ++count;
    } else if (is_forgotten(alert, ts)) {
      changes.erased.push_back(at->first);
      at = records_.erase(at);
      continue;
    } else if (alert.state == AlertState::kFiring) {
      resolve(alert, ts, ResolveReason::kConditionOver);
    }
    if (created.contains(at->first) || before != standing_of(alert)) {
      changes.written.push_back(alert);
    }
    ++at;
  }
  if (limit > 0 && count > limit) {
    changes.status =
        limit_exceeded(fmt::format("exceeded limit of {} with {} alerts", limit, count));
    changes.written.clear();
    for (const auto& [labels, record] : records_) changes.erased.push_back(labels);
    records_.clear();
  }
  return changes;
}

AlertChanges AlertTable::skip_outage(Duration outage, Duration tolerance) {
  AlertChanges changes;
  for (auto at = records_.begin(); at != records_.end();) {
    AlertRecord& alert = at->second;
    if (alert.state != AlertState::kPending) {
      ++at;
    } else if (outage > tolerance) {
      changes.erased.push_back(at->first);
      at = records_.erase(at);
    } else {
      alert.active_at = alert.active_at + outage;
      changes.written.push_back(alert);
      ++at;
    }
  }
  return changes;
}

AlertChanges AlertTable::end(const tsdb::Labels& labels, Timestamp ts, ResolveReason reason) {
  AlertChanges changes;
  const auto found = records_.find(labels);
  if (found == records_.end() || found->second.state != AlertState::kFiring) return changes;
  resolve(found->second, ts, reason);
  changes.written.push_back(found->second);
  return changes;
}

AlertChanges AlertTable::end_all(Timestamp ts, ResolveReason reason) {
  AlertChanges changes;
  for (auto at = records_.begin(); at != records_.end();) {
    AlertRecord& alert = at->second;
    if (is_forgotten(alert, ts)) {
      changes.erased.push_back(at->first);
      at = records_.erase(at);
      continue;
    }
    if (alert.state == AlertState::kFiring) {
      resolve(alert, ts, reason);
      changes.written.push_back(alert);
    }
    ++at;
  }
  return changes;
}

std::vector<Alert> AlertTable::due_notifications(Timestamp ts, Duration resend_delay,
                                                 Duration validity,
                                                 const std::string& generator_url) const {
  std::vector<Alert> out;
  for (const auto& [labels, record] : records_) {
    if (record.state == AlertState::kPending) continue;
    const bool is_resolved = record.state == AlertState::kInactive;
    const bool is_news = is_resolved && record.resolved_at > record.last_sent;
    if (!is_news && !(record.last_sent == kNotYet || record.last_sent + resend_delay < ts)) {
      continue;
    }
    out.push_back({.labels = labels,
                   .annotations = record.annotations,
                   .state = record.state,
                   .value = record.value,
                   .active_at = record.active_at,
                   .starts_at = record.fired_at,
                   .ends_at = is_resolved ? record.resolved_at : ts + validity,
                   .updated_at = ts,
                   .generator_url = generator_url,
                   .resolve_reason = record.resolve_reason});
  }
  return out;
}

void AlertTable::mark_sent(std::span<const Alert> alerts, Timestamp ts) {
  for (const Alert& alert : alerts) {
    const auto found = records_.find(alert.labels);
    if (found != records_.end()) found->second.last_sent = ts;
  }
}

void AlertTable::put(AlertRecord record) {
  tsdb::Labels labels = record.labels;
  records_.insert_or_assign(std::move(labels), std::move(record));
}

void AlertTable::set_active_at(const tsdb::Labels& labels, Timestamp active_at) {
  const auto found = records_.find(labels);
  CHECK(found != records_.end());
  found->second.active_at = active_at;
}

const AlertRecord* AlertTable::find(const tsdb::Labels& labels) const {
  const auto found = records_.find(labels);
  return found == records_.end() ? nullptr : &found->second;
}

AlertState AlertTable::state() const {
  AlertState highest = AlertState::kInactive;
  for (const auto& [labels, record] : records_) highest = std::max(highest, record.state);
  return highest;
}

}  // namespace tarsier::alerting
