#include "alerting/notifier/core.h"

#include <algorithm>

#include <fmt/format.h>

namespace tarsier::alerting {
namespace {

constexpr Duration kForgetInterval = minutes(5);

std::string new_uuid() {
  const HashKey random = draw_hash_key();
  std::array<unsigned, 16> bytes{};
  for (std::size_t i = 0; i < 16; ++i) {
    bytes[i] = static_cast<unsigned>(random.words[i / 8] >> (8 * (i % 8)) & 0xff);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x40;  // Version 4,
  bytes[8] = (bytes[8] & 0x3f) | 0x80;  // drawn at random.
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", bytes[i]);
  }
  return out;
}

Status check_silence(const Silence& silence, Timestamp now) {
  if (silence.matchers.empty()) return invalid("silence invalid: at least one matcher required");
  // One that excludes something counts, though it matches the empty string, too.
  const bool all_empty = std::all_of(silence.matchers.begin(), silence.matchers.end(),
                                     [](const tsdb::Matcher& matcher) {
                                       return !matcher.is_negative() && matcher.matches_empty();
                                     });
  if (all_empty) {
    return invalid("silence invalid: at least one matcher must not match the empty string");
  }
  if (silence.starts_at.ms == 0) {
    return invalid("silence invalid: invalid zero start timestamp");
  }
  if (silence.ends_at.ms == 0) return invalid("silence invalid: invalid zero end timestamp");
  if (silence.ends_at <= silence.starts_at) {
    return invalid("Failed to create silence: start time must be before end time");
  }
  if (silence.ends_at <= now) {
    return invalid("Failed to create silence: end time can't be in the past");
  }
  return {};
}

}  // namespace

void NotifierCore::extend_alerts(Timestamp now, Changes& changes) {
  std::vector<Alert> extended;
  for (const auto& [fingerprint, alert] : state.alerts) {
    // An end after the last update is a guess of its sender, not a fact.
    const bool is_guess = alert.ends_at > alert.updated_at;
    if (!is_guess || alert.ends_at >= now + options_.restart_grace) continue;
    extended.push_back(alert);
    extended.back().ends_at = now + options_.restart_grace;
  }
  for (Alert& alert : extended) changes.add(LoggedAlert{std::move(alert)});
}

void NotifierCore::configure(std::shared_ptr<const NotifierConfig> next,
                             std::shared_ptr<const NotificationTemplates> templates, Timestamp now,
                             Changes& changes) {
  config = std::move(next);
  disabled_.clear();
  dispatcher.configure(config, std::move(templates), now, changes);
}

const IntegrationConfig* NotifierCore::find_integration(const std::string& name) const {
  const std::size_t slash = name.rfind('/');
  const ReceiverConfig* receiver = config->receiver(std::string_view(name).substr(0, slash));
  if (receiver == nullptr) return nullptr;
  for (std::size_t i = 0; i < receiver->integrations.size(); ++i) {
    if (integration_name(receiver->name, receiver->integrations[i], i) == name) {
      return &receiver->integrations[i];
    }
  }
  return nullptr;
}

void NotifierCore::bury(const std::string& id, std::string reason, NotifierMetrics& metrics,
                        Timestamp now, Changes& changes, std::vector<std::string>& log_lines) {
  const NotifierState::Queued* queued = state.find(id);
  if (queued == nullptr) return;
  log_lines.push_back(
      fmt::format("{} was not told of {}: {}", queued->message.integration, id, reason));
  metrics.dead.add();
  changes.add(DeadRecord{id, now, std::move(reason)});
  while (state.dead.size() > options_.dead_letters_max) {
    const auto oldest =
        std::min_element(state.dead.begin(), state.dead.end(),
                         [](const auto& a, const auto& b) { return a.second.at < b.second.at; });
    const std::string gone = oldest->first;
    changes.add(DeadGoneRecord{gone});
  }
}

void NotifierCore::complete(const Completion& completion, NotifierMetrics& metrics, Timestamp now,
                            Changes& changes, std::vector<std::string>& log_lines) {
  NotifierState::Queued* queued = state.find(completion.id);
  if (queued == nullptr) return;
  const std::string integration = queued->message.integration;
  queued->in_flight = false;
  if (std::size_t& count = in_flight_[integration]; count > 0) --count;
  const IntegrationConfig* settings = find_integration(integration);
  const IntegrationConfig unknown;  // A reload has taken it away.
  if (settings == nullptr) settings = &unknown;
  IntegrationMetrics& own = metrics.integrations[static_cast<std::size_t>(settings->kind)];
  own.requests.add();
  own.latency_seconds.observe(completion.seconds);
  const Outcome outcome = outcome_of(completion.answer, *settings, now);
  if (outcome.kind == Outcome::Kind::kDelivered) {
    own.notifications.add();
    // Repetitions count from when the receiver knew, not from when it should have known.
    const auto told = state.notified.find({integration, queued->message.group_key});
    if (queued->attempt_count > 0 && told != state.notified.end()) {
      NotifiedRecord record = told->second;
      record.expires_at = record.expires_at + (now - record.at);
      record.at = now;
      changes.add(record);
    }
    changes.add(DeliveredRecord{completion.id, now, outcome.status});
    // It is back: whoever waits for it need not wait longer.
    for (auto& [key, lane] : state.lanes) {
      if (key.first == integration && !lane.front().in_flight) {
        lane.front().next_at = std::min(lane.front().next_at, now);
      }
    }
    return;
  }
  own.requests_failed.add();
  const std::uint32_t attempts = queued->attempt_count + 1;
  if (attempts == 1) {
    own.notifications.add();
    (outcome.status == 0     ? own.failed_other
     : outcome.status >= 500 ? own.failed_server
                             : own.failed_client)
        .add();
  }
  const Timestamp first_at = queued->attempt_count == 0 ? now : queued->first_at;
  if (outcome.kind == Outcome::Kind::kGone) {
    disabled_.insert(integration);
    log_lines.push_back(integration + " answered 410 and gets nothing more until a reload");
  }
  if (outcome.kind != Outcome::Kind::kRetry) {
    changes.add(
        AttemptRecord{completion.id, attempts, first_at, now, outcome.status, outcome.error});
    return bury(completion.id, outcome.error, metrics, now, changes, log_lines);
  }
  const Duration delay = std::max(retry_delay(completion.id, attempts), outcome.retry_after);
  if (attempts == 1) log_lines.push_back(integration + " could not be told: " + outcome.error);
  changes.add(
      AttemptRecord{completion.id, attempts, first_at, now + delay, outcome.status, outcome.error});
  if (now - first_at >= options_.retry_for) {
    bury(completion.id, fmt::format("given up after {} attempts: {}", attempts, outcome.error),
         metrics, now, changes, log_lines);
  }
}

std::vector<Attempt> NotifierCore::take_attempts(NotifierMetrics& metrics, Timestamp now,
                                                 Changes& changes,
                                                 std::vector<std::string>& log_lines) {
  std::vector<Attempt> out;
  std::vector<std::pair<std::string, std::string>> buried;  // Id, reason.
  for (auto& [key, lane] : state.lanes) {
    const IntegrationConfig* integration = find_integration(key.first);
    if (integration == nullptr || disabled_.contains(key.first)) {
      for (const NotifierState::Queued& queued : lane) {
        if (queued.in_flight) continue;
        buried.emplace_back(queued.message.id, integration == nullptr
                                                   ? "the receiver is not configured any more"
                                                   : "the receiver is gone (410)");
      }
      continue;
    }
    NotifierState::Queued& head = lane.front();
    std::size_t& count = in_flight_[key.first];
    if (head.in_flight || head.next_at > now || count >= options_.attempts_per_integration_max) {
      continue;
    }
    head.in_flight = true;
    ++count;
    out.push_back({head.message, config, integration});
  }
  std::size_t left = state.queued_count() - buried.size();
  for (const auto& [key, lane] : state.lanes) {
    for (const NotifierState::Queued& queued : lane) {
      if (left <= options_.queued_messages_max) break;
      if (queued.in_flight) continue;
      buried.emplace_back(queued.message.id, "too many messages are waiting");
      --left;
    }
  }
  for (auto& [id, reason] : buried) {
    bury(id, std::move(reason), metrics, now, changes, log_lines);
  }
  return out;
}

Timestamp NotifierCore::next_attempt() const {
  Timestamp next = kNever;
  for (const auto& [key, lane] : state.lanes) {
    const auto count = in_flight_.find(key.first);
    const bool is_full =
        count != in_flight_.end() && count->second >= options_.attempts_per_integration_max;
    // The end of an attempt wakes us anyway.
    if (!is_full && !lane.front().in_flight) next = std::min(next, lane.front().next_at);
  }
  return next;
}

void NotifierCore::forget_old(Timestamp now, Changes& changes) {
  if (now < next_forget_) return;
  next_forget_ = now + kForgetInterval;
  std::vector<Record> gone;
  for (const auto& [key, record] : state.notified) {
    if (record.expires_at <= now && !state.lanes.contains(key))
      gone.push_back(NotifiedGoneRecord{key.first, key.second});
  }
  for (const auto& [id, silence] : state.silences) {
    if (silence.ends_at + options_.retention <= now) gone.push_back(SilenceGoneRecord{id});
  }
  for (const Record& record : gone) changes.add(record);
}

Result<std::string> NotifierCore::set_silence(Silence silence, Timestamp now, Changes& changes) {
  if (silence.starts_at < now && silence.id.empty()) silence.starts_at = now;
  silence.updated_at = now;
  if (!silence.id.empty()) {
    const auto found = state.silences.find(silence.id);
    if (found == state.silences.end()) return not_found("silence " + silence.id + " not found");
    Silence old = found->second;
    TRY(check_silence(silence, now));
    const SilenceState was = old.state_at(now);
    const bool same_matchers = old.matchers == silence.matchers;
    const bool can_update =
        same_matchers && ((was == SilenceState::kActive && silence.starts_at == old.starts_at) ||
                          (was == SilenceState::kPending && silence.starts_at >= now));
    if (can_update) {
      changes.add(SilenceRecord{silence});
      return silence.id;
    }
    if (was != SilenceState::kExpired) TRY(expire_silence(old.id, now, changes));
    if (silence.starts_at < now) silence.starts_at = now;
  }
  TRY(check_silence(silence, now));
  silence.id = new_uuid();
  changes.add(SilenceRecord{silence});
  return silence.id;
}

Status NotifierCore::expire_silence(const std::string& id, Timestamp now, Changes& changes) {
  const auto found = state.silences.find(id);
  if (found == state.silences.end()) return not_found("silence " + id + " not found");
  Silence silence = found->second;
  switch (silence.state_at(now)) {
    case SilenceState::kExpired: return {};
    case SilenceState::kPending: silence.starts_at = now; [[fallthrough]];
    case SilenceState::kActive: silence.ends_at = now; break;
  }
  silence.updated_at = now;
  changes.add(SilenceRecord{std::move(silence)});
  return {};
}

AlertStatus NotifierCore::status_of(const Alert& alert, Timestamp now) {
  AlertStatus out;
  out.alert = alert;
  out.silenced_by = dispatcher.silences(alert, now);
  out.inhibited_by = dispatcher.inhibitors(alert, now);
  const auto add = [](std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  bool is_muted = true;
  for (const Route* route : matching_routes(config->root, alert.labels)) {
    add(out.receivers, route->receiver);
    const std::vector<std::string> names = dispatcher.mute_intervals(*route, now);
    is_muted = is_muted && !names.empty();
    for (const std::string& name : names) add(out.muted_by, name);
  }
  if (!is_muted) out.muted_by.clear();  // Some receiver is told.
  return out;
}

NotifierGauges NotifierCore::gauges(Timestamp now) {
  NotifierGauges out;
  for (const auto& [id, silence] : state.silences) {
    ++out.silences[static_cast<std::size_t>(silence.state_at(now))];
  }
  if (config) {
    for (const auto& [fingerprint, alert] : state.alerts) {
      if (alert.is_resolved_at(now)) continue;
      const bool is_held =
          !dispatcher.silences(alert, now).empty() || !dispatcher.inhibitors(alert, now).empty();
      ++(is_held ? out.suppressed : out.active);
    }
  }
  out.groups = static_cast<double>(dispatcher.groups().size());
  out.queued = static_cast<double>(state.queued_count());
  out.dead = static_cast<double>(state.dead.size());
  out.held = dispatcher.suppressed();
  return out;
}

}  // namespace tarsier::alerting
