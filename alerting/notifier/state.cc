#include "alerting/notifier/state.h"

#include <algorithm>
#include <variant>

#include "base/check.h"

namespace tarsier::alerting {

void NotifierState::apply(const Record& record) {
  std::visit([&](const auto& r) { apply_one(r); }, record);
}

void NotifierState::apply_one(const LoggedAlert& r) { alerts[r.alert.fingerprint()] = r.alert; }
void NotifierState::apply_one(const AlertGoneRecord& r) { alerts.erase(r.fingerprint); }
void NotifierState::apply_one(const GroupRecord& r) {
  groups[{r.receiver, r.key}] = {r.next_flush, r.has_flushed};
}
void NotifierState::apply_one(const GroupGoneRecord& r) { groups.erase({r.receiver, r.key}); }
void NotifierState::apply_one(const NotifiedRecord& r) {
  notified[{r.integration, r.group_key}] = r;
}
void NotifierState::apply_one(const NotifiedGoneRecord& r) {
  notified.erase({r.integration, r.group_key});
}
void NotifierState::apply_one(const SilenceRecord& r) { silences[r.silence.id] = r.silence; }
void NotifierState::apply_one(const SilenceGoneRecord& r) { silences.erase(r.id); }
void NotifierState::apply_one(const DeadGoneRecord& r) { dead.erase(r.id); }

void NotifierState::apply_one(const MessageRecord& r) {
  if (knows(r.message.id)) return;
  const LaneKey key{r.message.integration, r.message.group_key};
  Queued queued;
  queued.message = r.message;
  queued.next_at = r.message.created_at;
  lanes[key].push_back(std::move(queued));
  lane_of_[r.message.id] = key;
}

NotifierState::Queued* NotifierState::find(const std::string& id) {
  const auto lane = lane_of_.find(id);
  if (lane == lane_of_.end()) return nullptr;
  for (Queued& queued : lanes.at(lane->second)) {
    if (queued.message.id == id) return &queued;
  }
  return nullptr;
}

NotifierState::Queued NotifierState::take(const std::string& id) {
  const auto found = lane_of_.find(id);
  const auto lane = lanes.find(found->second);
  const auto place = std::find_if(lane->second.begin(), lane->second.end(),
                                  [&](const Queued& q) { return q.message.id == id; });
  CHECK(place != lane->second.end(), id);
  Queued queued = std::move(*place);
  lane->second.erase(place);
  if (lane->second.empty()) lanes.erase(lane);
  lane_of_.erase(found);
  queued.in_flight = false;
  return queued;
}

void NotifierState::apply_one(const AttemptRecord& r) {
  Queued* queued = find(r.id);
  if (queued == nullptr) return;
  queued->attempt_count = r.attempt_count;
  queued->first_at = r.first_at;
  queued->next_at = r.next_at;
  queued->status = r.status;
  queued->error = r.error;
  queued->in_flight = false;
}

void NotifierState::apply_one(const DeliveredRecord& r) {
  if (!lane_of_.contains(r.id)) return;
  const Queued queued = take(r.id);
  apply_one(HistoryRecord{.id = r.id,
                          .integration = queued.message.integration,
                          .group_key = queued.message.group_key,
                          .created_at = queued.message.created_at,
                          .delivered_at = r.at,
                          .status = r.status,
                          .attempt_count = queued.attempt_count + 1,
                          .firing_count = queued.message.firing_count,
                          .resolved_count = queued.message.resolved_count});
}

void NotifierState::apply_one(const HistoryRecord& r) {
  history.push_back(r);
  if (history.size() > kHistoryMax) history.pop_front();
}

void NotifierState::apply_one(const DeadRecord& r) {
  if (!lane_of_.contains(r.id)) return;
  dead[r.id] = Dead{take(r.id), r.at, r.reason};
}

void NotifierState::apply_one(const ReplayedRecord& r) {
  const auto found = dead.find(r.id);
  if (found == dead.end()) return;
  Message message = std::move(found->second.queued.message);
  dead.erase(found);
  apply_one(MessageRecord{std::move(message)});
  Queued* queued = find(r.id);
  queued->next_at = r.at;
}

void NotifierState::snapshot(const std::function<void(const Record&)>& emit) const {
  const auto emit_queued = [&](const Queued& q) {
    emit(MessageRecord{q.message});
    emit(AttemptRecord{q.message.id, q.attempt_count, q.first_at, q.next_at, q.status, q.error});
  };
  for (const auto& [fingerprint, alert] : alerts) emit(LoggedAlert{alert});
  for (const auto& [key, timer] : groups) {
    emit(GroupRecord{key.first, key.second, timer.next_flush, timer.has_flushed});
  }
  for (const auto& [key, record] : notified) emit(record);
  for (const auto& [key, lane] : lanes) {
    for (const Queued& queued : lane) emit_queued(queued);
  }
  for (const auto& [id, letter] : dead) {
    emit_queued(letter.queued);
    emit(DeadRecord{id, letter.at, letter.reason});
  }
  for (const HistoryRecord& record : history) emit(record);
  for (const auto& [id, silence] : silences) emit(SilenceRecord{silence});
}

}  // namespace tarsier::alerting
