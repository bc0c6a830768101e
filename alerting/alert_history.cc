#include "alerting/alert_history.h"

#include <algorithm>
#include <utility>

namespace tarsier::alerting {
namespace {

std::size_t bytes_of(const AlertEvent& event) {
  return sizeof(event) + event.owner.size() + event.labels.encoded().size();
}

}  // namespace

std::string_view alert_event_name(AlertEventKind kind) {
  switch (kind) {
    case AlertEventKind::kPending: return "pending";
    case AlertEventKind::kFiring: return "firing";
    case AlertEventKind::kResolved: return "resolved";
    case AlertEventKind::kDropped: return "dropped";
    case AlertEventKind::kStarted: return "started";
    case AlertEventKind::kReloaded: return "reloaded";
  }
  return "";
}

std::optional<AlertEvent> event_between(const AlertRecord* before, const AlertRecord* after,
                                        Timestamp at) {
  const AlertState from = before ? before->state : AlertState::kInactive;
  const AlertState to = after ? after->state : AlertState::kInactive;
  if (from == to) return std::nullopt;
  const AlertRecord& known = after ? *after : *before;
  AlertEvent event{.at = at, .owner = {}, .labels = known.labels, .value = known.value};
  switch (to) {
    case AlertState::kPending: event.kind = AlertEventKind::kPending; return event;
    case AlertState::kFiring: event.kind = AlertEventKind::kFiring; return event;
    case AlertState::kInactive: break;
  }
  event.kind = after ? AlertEventKind::kResolved : AlertEventKind::kDropped;
  if (after) event.reason = after->resolve_reason;
  return event;
}

void AlertHistory::set_limits(AlertHistoryLimits limits) {
  limits_ = limits;
  trim();
}

void AlertHistory::add(AlertEvent event) {
  newest_ = std::max(newest_, event.at);
  bytes_ += bytes_of(event);
  events_.push_back(std::move(event));
  trim();
}

void AlertHistory::trim() {
  const auto is_forgotten = [&](const AlertEvent& event) {
    return bytes_ > limits_.bytes_max || newest_.ms - event.at.ms > limits_.age_max.ms;
  };
  while (!events_.empty() && is_forgotten(events_.front())) {
    bytes_ -= bytes_of(events_.front());
    events_.pop_front();
  }
}

std::vector<AlertEvent> AlertHistory::find(const AlertEventFilter& filter) const {
  static const AlertLabelling kNone;
  const AlertLabelling& labelling = filter.labelling ? *filter.labelling : kNone;
  std::vector<AlertEvent> out;
  for (auto event = events_.rbegin(); event != events_.rend(); ++event) {
    if (filter.limit > 0 && out.size() >= filter.limit) break;
    if ((event->kind >= AlertEventKind::kStarted) != filter.is_of_process) continue;
    if (event->at < filter.begin || event->at > filter.end) continue;
    if (filter.id && !has_alert_id(event->labels, labelling, *filter.id)) continue;
    const bool is_wanted = std::all_of(
        filter.matchers.begin(), filter.matchers.end(),
        [&](const auto& matcher) { return matcher.matches(event->labels.get(matcher.name())); });
    if (is_wanted) out.push_back(*event);
  }
  return out;
}

}  // namespace tarsier::alerting
