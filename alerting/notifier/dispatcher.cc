#include "alerting/notifier/dispatcher.h"

#include <algorithm>
#include <iterator>

#include "alerting/notifier/route_labels.h"
#include "base/bytes.h"
#include "base/quote.h"
#include "base/sha256.h"

namespace tarsier::alerting {
namespace {

bool is_subset(const std::vector<std::uint64_t>& part, const std::vector<std::uint64_t>& whole) {
  return std::includes(whole.begin(), whole.end(), part.begin(), part.end());
}

tsdb::Labels group_labels(const Route& route, const tsdb::Labels& labels) {
  return route.group_by_all ? labels : labels.keep(route.group_by);
}

/// `{alertname="X", job="api"}`
std::string labels_text(const tsdb::Labels& labels) {
  std::string out = "{";
  for (const tsdb::LabelView label : labels) {
    if (out.size() > 1) out += ", ";
    out += std::string(label.name) + "=" + quote(label.value);
  }
  return out + "}";
}

/// What a message says is part of its name, not only which flush it belongs to: an alert whose end
/// was told, and which fires again at that very instant, opens a group that is due then, too. A
/// flush that a crash undid says the same under the same name when it is made up for.
std::string message_id(const std::string& integration, const std::string& group_key,
                       Timestamp flush, const std::vector<NotifiedAlert>& alerts) {
  std::string text = integration + "\n" + group_key + "\n" + std::to_string(flush.ms) + "\n";
  for (const NotifiedAlert& a : alerts) {
    put_be64(text, a.alert.fingerprint().value);
    put_be64(text, static_cast<std::uint64_t>(a.alert.starts_at.ms));
    text += a.is_resolved ? '!' : ' ';
  }
  return hex_text(sha256(as_bytes(text)));
}

}  // namespace

std::string integration_name(const std::string& receiver, const IntegrationConfig& integration,
                             std::size_t index) {
  return receiver + "/" + std::string(integration_kind_name(integration.kind)) + "[" +
         std::to_string(index) + "]";
}

std::optional<std::string_view> notification_reason(const NotifiedRecord* last,
                                                    const std::vector<std::uint64_t>& firing,
                                                    const std::vector<std::uint64_t>& resolved,
                                                    bool send_resolved, Duration repeat_interval,
                                                    Timestamp now) {
  if (last == nullptr) {
    if (firing.empty()) return std::nullopt;
    return "first notification";
  }
  if (!is_subset(firing, last->firing)) {
    return last->firing.empty() ? "first notification" : "new alerts added";
  }
  if (firing.empty()) {
    if (last->firing.empty()) return std::nullopt;
    return "all alerts resolved";
  }
  if (send_resolved && !is_subset(resolved, last->resolved)) return "some alerts resolved";
  if (last->at < now - repeat_interval) return "repeat interval elapsed";
  return std::nullopt;
}

std::string Changes::take_payload() {
  if (payload_.empty()) return {};
  std::string out;
  for (const auto& [receiver, key] : std::exchange(state_.quiet_groups, {})) {
    const auto timer = state_.groups.find({receiver, key});
    if (timer == state_.groups.end()) continue;
    encode_record(out,
                  GroupRecord{receiver, key, timer->second.next_flush, timer->second.has_flushed});
  }
  return out + std::exchange(payload_, {});
}

Alert merged(const Alert& known, const Alert& update, Timestamp now) {
  const bool ends_inside = update.ends_at > known.starts_at && update.ends_at < known.ends_at;
  const bool starts_inside = update.starts_at > known.starts_at && update.starts_at < known.ends_at;
  if (!ends_inside && !starts_inside) return update;
  if (update.updated_at < known.updated_at) return merged(update, known, now);
  Alert out = update;
  out.starts_at = std::min(known.starts_at, update.starts_at);
  // Of two ends that have both passed the later one counts.
  if (update.is_resolved_at(now) && known.is_resolved_at(now)) {
    out.ends_at = std::max(known.ends_at, update.ends_at);
  }
  return out;
}

void Dispatcher::configure(std::shared_ptr<const NotifierConfig> config,
                           std::shared_ptr<const NotificationTemplates> templates, Timestamp now,
                           Changes& changes) {
  const bool is_first = config_ == nullptr;
  config_ = std::move(config);
  templates_ = std::move(templates);
  groups_.clear();
  group_count_of_.clear();
  inhibitor_.reset();
  for (const auto& [fingerprint, alert] : state_.alerts) sort_in(alert, now, changes);
  std::vector<NotifierState::GroupKey> left;
  for (const auto& [key, timer] : state_.groups) {
    if (!groups_.contains(key)) left.push_back(key);
  }
  for (const auto& [receiver, key] : left) changes.add(GroupGoneRecord{receiver, key});
  if (!is_first) return;
  // What was due while we were away is decided before we hear of anything new, as it would have
  // been: looks that the log does not know are made up for, and say nothing.
  for (auto& [key, group] : groups_) {
    if (group.has_flushed && group.next_flush <= now) flush(key, group, now, changes);
  }
}

void Dispatcher::receive(Alert alert, Timestamp now, Changes& changes) {
  const auto known = state_.alerts.find(alert.fingerprint());
  if (known != state_.alerts.end()) alert = merged(known->second, alert, now);
  changes.add(LoggedAlert{alert});
  inhibitor_.reset();
  sort_in(alert, now, changes);
}

void Dispatcher::sort_in(const Alert& alert, Timestamp now, Changes& changes) {
  const Fingerprint fingerprint = alert.fingerprint();
  for (const Route* route : matching_routes(config_->root, alert.labels)) {
    const tsdb::Labels labels = group_labels(*route, alert.labels);
    const NotifierState::GroupKey key{route->receiver, route->key + ":" + labels_text(labels)};
    auto [place, is_new] = groups_.try_emplace(key);
    Group& group = place->second;
    const bool is_overdue = alert.starts_at + route->group_wait < now;
    bool timer_changed = false;
    if (is_new) {
      group.route = route;
      group.labels = labels;
      const auto timer = state_.groups.find(key);
      timer_changed = timer == state_.groups.end();
      if (timer_changed) {
        group.next_flush = is_overdue ? now : now + route->group_wait;
      } else {
        group.next_flush = timer->second.next_flush;
        group.has_flushed = timer->second.has_flushed;
      }
    }
    if (!group.has_flushed && is_overdue && group.next_flush > now) {
      group.next_flush = now;
      timer_changed = true;
    }
    if (timer_changed) {
      changes.add(GroupRecord{key.first, key.second, group.next_flush, group.has_flushed});
    }
    if (group.members.insert(fingerprint).second) ++group_count_of_[fingerprint];
  }
}

Timestamp Dispatcher::next_flush() const {
  Timestamp next = kNever;
  for (const auto& [key, group] : groups_) next = std::min(next, group.next_flush);
  return next;
}

Timestamp Dispatcher::flush_due(Timestamp now, Changes& changes) {
  Timestamp next = kNever;
  for (auto it = groups_.begin(); it != groups_.end();) {
    auto& [key, group] = *it;
    if (group.next_flush <= now) flush(key, group, now, changes);
    if (group.members.empty()) {
      changes.add(GroupGoneRecord{key.first, key.second});
      it = groups_.erase(it);
      continue;
    }
    next = std::min(next, group.next_flush);
    ++it;
  }
  return next;
}

void Dispatcher::flush(const NotifierState::GroupKey& key, Group& group, Timestamp now,
                       Changes& changes) {
  const std::size_t bytes_before = changes.size_bytes();
  std::vector<NotifiedAlert> alerts;
  for (const Fingerprint fingerprint : group.members) {
    const Alert& alert = state_.alerts.at(fingerprint);
    alerts.push_back({alert, alert.is_resolved_at(now)});
  }
  const auto hold_back = [&](std::uint64_t& count, const auto& is_held) {
    count += std::erase_if(alerts, is_held);
  };
  hold_back(suppressed_.inhibited,
            [&](const NotifiedAlert& a) { return !inhibitors(a.alert, now).empty(); });
  if (!alerts.empty() && !mute_intervals(*group.route, now).empty()) {
    suppressed_.muted_by_time += alerts.size();
    alerts.clear();
  }
  hold_back(suppressed_.silenced,
            [&](const NotifiedAlert& a) { return !silences(a.alert, now).empty(); });
  if (!alerts.empty()) {
    sort_alerts(alerts);
    notify(key, group, alerts, now, changes);
  }
  drop_resolved(group, now, changes);
  group.has_flushed = true;
  // Also after a pause the rhythm stays the same: what a message is called depends on it.
  const Duration interval = group.route->group_interval;
  const std::int64_t passed = std::max<std::int64_t>((now - group.next_flush).ms, 0) / interval.ms;
  group.next_flush = group.next_flush + Duration{(passed + 1) * interval.ms};
  if (group.members.empty()) return;
  const GroupRecord timer{key.first, key.second, group.next_flush, true};
  if (changes.size_bytes() == bytes_before) {
    changes.add_quietly(timer);
  } else {
    changes.add(timer);
  }
}

Notification Dispatcher::notification_of(const NotifierState::GroupKey& key, const Group& group,
                                         std::vector<NotifiedAlert> alerts, Timestamp now) {
  Notification n{.receiver = key.first,
                 .group_key = key.second,
                 .reason = "unknown",
                 .group_labels = group.labels,
                 .route_labels = {},
                 .alerts = std::move(alerts),
                 .external_url = options_.external_url,
                 .at = now};
  if (group.route->route_labels.empty()) return n;
  RouteLabelExpansion expansion(*templates_, group.route->route_labels, n);
  tsdb::LabelsBuilder labels;
  for (const auto& [name, text] : group.route->route_labels) {
    const Result<std::string> value = expansion.value(name);
    if (value.ok()) labels.set(name, *value);
    if (!value.ok()) errors_.push_back(value.status().message());
  }
  n.route_labels = labels.build();
  return n;
}

tsdb::Labels Dispatcher::route_labels(const NotifierState::GroupKey& key, const Group& group,
                                      Timestamp now) {
  if (group.route->route_labels.empty()) return {};
  std::vector<NotifiedAlert> alerts;
  for (const Fingerprint fingerprint : group.members) {
    const Alert& alert = state_.alerts.at(fingerprint);
    alerts.push_back({alert, alert.is_resolved_at(now)});
  }
  return notification_of(key, group, std::move(alerts), now).route_labels;
}

void Dispatcher::notify(const NotifierState::GroupKey& key, const Group& group,
                        const std::vector<NotifiedAlert>& alerts, Timestamp now, Changes& changes) {
  const Route& route = *group.route;
  const ReceiverConfig* receiver = config_->receiver(route.receiver);
  if (receiver == nullptr) return;
  std::vector<std::uint64_t> firing;
  std::vector<std::uint64_t> resolved;
  for (const NotifiedAlert& a : alerts) {
    (a.is_resolved ? resolved : firing).push_back(a.alert.fingerprint().value);
  }
  std::sort(firing.begin(), firing.end());
  std::sort(resolved.begin(), resolved.end());
  for (std::size_t i = 0; i < receiver->integrations.size(); ++i) {
    const IntegrationConfig& integration = receiver->integrations[i];
    const NotifierState::LaneKey lane{integration_name(receiver->name, integration, i), key.second};
    const auto last = state_.notified.find(lane);
    // As long as the last word is on its way it is remembered.
    const bool is_under_way = state_.lanes.contains(lane);
    const bool is_known =
        last != state_.notified.end() && (is_under_way || now < last->second.expires_at);
    const auto reason = notification_reason(is_known ? &last->second : nullptr, firing, resolved,
                                            integration.send_resolved, route.repeat_interval, now);
    // What is on its way still says it: nobody needs a repetition behind it.
    if (!reason || (is_under_way && *reason == "repeat interval elapsed")) {
      continue;
    }
    changes.add(NotifiedRecord{
        .integration = lane.first,
        .group_key = lane.second,
        .at = now,
        .expires_at =
            now + std::min(route.repeat_interval + route.repeat_interval, options_.retention),
        .firing = firing,
        .resolved = resolved});
    Notification n = notification_of(key, group, alerts, now);
    n.reason = *reason;
    if (!integration.send_resolved) {
      std::erase_if(n.alerts, [](const NotifiedAlert& a) { return a.is_resolved; });
      if (n.alerts.empty()) continue;
    }
    Body body = make_body(integration, *templates_, n);
    if (!body.template_error.ok()) errors_.push_back(body.template_error.message());
    Message message{.id = message_id(lane.first, lane.second, group.next_flush, n.alerts),
                    .integration = lane.first,
                    .receiver = receiver->name,
                    .group_key = lane.second,
                    .created_at = now,
                    .url = "",
                    .body = std::move(body.text),
                    .firing_count = static_cast<std::uint32_t>(firing.size()),
                    .resolved_count = static_cast<std::uint32_t>(resolved.size())};
    if (integration.url.text.find("{{") != std::string::npos) {
      Result<std::string> url = templates_->expand(integration.url.text, notification_value(n), n);
      if (url.ok()) message.url = std::move(*url);
      if (!url.ok()) errors_.push_back(url.status().message());
    }
    changes.add(MessageRecord{std::move(message)});
  }
}

void Dispatcher::drop_resolved(Group& group, Timestamp now, Changes& changes) {
  for (auto it = group.members.begin(); it != group.members.end();) {
    const Fingerprint fingerprint = *it;
    if (!state_.alerts.at(fingerprint).is_resolved_at(now)) {
      ++it;
      continue;
    }
    it = group.members.erase(it);
    if (--group_count_of_[fingerprint] > 0) continue;
    group_count_of_.erase(fingerprint);
    changes.add(AlertGoneRecord{fingerprint});
    inhibitor_.reset();
  }
}

const Inhibitor& Dispatcher::inhibitor() {
  if (!inhibitor_) inhibitor_ = std::make_unique<Inhibitor>(config_->inhibit_rules, state_.alerts);
  return *inhibitor_;
}

std::vector<Fingerprint> Dispatcher::inhibitors(const Alert& alert, Timestamp now) {
  if (config_->inhibit_rules.empty()) return {};
  return inhibitor().inhibitors(alert.labels, now);
}

std::vector<std::string> Dispatcher::silences(const Alert& alert, Timestamp now) const {
  std::vector<std::string> out;
  for (const auto& [id, silence] : state_.silences) {
    if (silence.state_at(now) == SilenceState::kActive && silence.matches(alert.labels)) {
      out.push_back(id);
    }
  }
  return out;
}

std::vector<std::string> Dispatcher::mute_intervals(const Route& route, Timestamp now) const {
  const auto holds = [&](const std::string& name) {
    const auto found = config_->time_intervals.find(name);
    return found != config_->time_intervals.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [&](const TimeInterval& interval) { return interval.contains(now); });
  };
  const std::vector<std::string>& active = route.active_time_intervals;
  if (!active.empty() && std::none_of(active.begin(), active.end(), holds)) return active;
  std::vector<std::string> out;
  std::copy_if(route.mute_time_intervals.begin(), route.mute_time_intervals.end(),
               std::back_inserter(out), holds);
  return out;
}

}  // namespace tarsier::alerting
