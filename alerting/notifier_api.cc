#include "alerting/notifier_api.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "alerting/notifier/answer.h"
#include "alerting/notifier/posted.h"
#include "alerting/notifier/state.h"
#include "alerting/template/go_time.h"
#include "base/api.h"
#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/regex.h"
#include "base/rfc3339.h"

namespace tarsier::alerting {
namespace {

constexpr std::size_t kPostedAlertsMax = 100'000;
const std::vector<ReceiverConfig> kNoReceivers;

/// Always three digits: what Go's strfmt writes and reads.
std::string shown_time(Timestamp t) { return format_rfc3339_ms(t); }

void write_strings(JsonWriter& json, const std::vector<std::string>& texts) {
  json.begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void write_alert(JsonWriter& json, const AlertStatus& status, bool has_been_seen) {
  const Alert& alert = status.alert;
  json.begin_object().key("annotations").begin_object();
  for (const auto& [name, value] : alert.annotations) json.field(name, value);
  json.end_object();
  json.field("endsAt", shown_time(alert.ends_at))
      .field("fingerprint", alert.fingerprint().to_string());
  json.key("receivers").begin_array();
  for (const std::string& receiver : status.receivers) {
    json.begin_object().field("name", receiver).end_object();
  }
  json.end_array();
  json.field("startsAt", shown_time(alert.starts_at));
  json.key("status").begin_object().key("inhibitedBy").begin_array();
  for (const Fingerprint fingerprint : status.inhibited_by) json.value(fingerprint.to_string());
  json.end_array();
  write_strings(json.key("mutedBy"), status.muted_by);
  write_strings(json.key("silencedBy"), status.silenced_by);
  json.field("state", status.is_suppressed() ? "suppressed"
                      : has_been_seen        ? "active"
                                             : "unprocessed");
  json.end_object();
  json.field("updatedAt", shown_time(alert.updated_at)).field("generatorURL", alert.generator_url);
  write_v2_labels(json.key("labels"), alert.labels);
  json.end_object();
}

bool has_labels(const ReceiverConfig& receiver, const std::vector<tsdb::Matcher>& matchers) {
  return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
    return matcher.matches(receiver.labels.get(matcher.name()));
  });
}

struct AlertFilter {
  std::vector<tsdb::Matcher> matchers;
  std::optional<Regex> receiver;
  std::vector<tsdb::Matcher> receiver_matchers;  ///< On the labels of receivers.
  std::shared_ptr<const NotifierConfig> config;
  bool active = true;
  bool silenced = true;
  bool inhibited = true;
  bool muted = true;

  bool takes_labels(const tsdb::Labels& labels) const {
    return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
      return matcher.matches(labels.get(matcher.name()));
    });
  }
  bool takes(const AlertStatus& status) const {
    if (!takes_labels(status.alert.labels)) return false;
    // What only a time interval holds back is active for this, as at Alertmanager.
    const bool is_held = !status.silenced_by.empty() || !status.inhibited_by.empty();
    if (!active && !is_held) return false;
    if (!silenced && !status.silenced_by.empty()) return false;
    return inhibited || status.inhibited_by.empty();
  }
  bool takes_receiver(const std::string& name) const {
    if (receiver && !receiver->full_match(name)) return false;
    if (receiver_matchers.empty()) return true;
    const ReceiverConfig* found = config ? config->receiver(name) : nullptr;
    return found != nullptr && has_labels(*found, receiver_matchers);
  }
};

Result<bool> flag(const HttpRequest& request, std::string_view name) {
  const std::string_view text = request.parameter(name).value_or("true");
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return invalid(std::string(name) + " in query must be of type boolean: \"" + std::string(text) +
                 "\"");
}

Result<AlertFilter> read_filter(const HttpRequest& request,
                                std::shared_ptr<const NotifierConfig> config) {
  AlertFilter filter;
  filter.config = std::move(config);
  filter.matchers = TRY(v2_matchers(request, "filter"));
  filter.active = TRY(flag(request, "active"));
  filter.silenced = TRY(flag(request, "silenced"));
  filter.inhibited = TRY(flag(request, "inhibited"));
  filter.muted = TRY(flag(request, "muted"));
  filter.receiver_matchers = TRY(v2_matchers(request, "receiver_matchers"));
  if (const auto receiver = request.parameter("receiver"); receiver && !receiver->empty()) {
    Result<Regex> regex = Regex::compile(*receiver);
    if (!regex.ok()) return invalid("failed to parse receiver param: " + regex.status().message());
    filter.receiver = *regex;
  }
  return filter;
}

std::string_view state_name(NotificationStatus::State state) {
  switch (state) {
    case NotificationStatus::State::kQueued: return "queued";
    case NotificationStatus::State::kDelivered: return "delivered";
    case NotificationStatus::State::kDead: return "dead";
  }
  return "queued";
}

}  // namespace

HttpResponse NotifierApi::status(const HttpRequest&) const {
  const std::shared_ptr<const NotifierConfig> config = notifier_.config();
  return v2_response([&](JsonWriter& json) {
    json.begin_object();
    json.key("cluster").begin_object().field("name", "").key("peers").begin_array().end_array();
    json.field("status", "disabled").end_object();
    json.key("config").begin_object().field("original", config ? config->shown : "").end_object();
    json.field("uptime", shown_time(version_.started));
    json.key("versionInfo")
        .begin_object()
        .field("branch", "")
        .field("buildDate", "")
        .field("buildUser", "")
        .field("goVersion", "")
        .field("revision", version_.revision)
        .field("version", version_.version)
        .end_object()
        .end_object();
  });
}

HttpResponse NotifierApi::receivers(const HttpRequest& request) const {
  const Result<std::vector<tsdb::Matcher>> wanted = v2_matchers(request, "receiver_matchers");
  if (!wanted.ok()) return v2_failure(wanted.status());
  const std::shared_ptr<const NotifierConfig> config = notifier_.config();
  return v2_response([&](JsonWriter& json) {
    json.begin_array();
    for (const ReceiverConfig& receiver : config ? config->receivers : kNoReceivers) {
      if (!has_labels(receiver, *wanted)) continue;
      json.begin_object().field("name", receiver.name);
      write_v2_labels(json.key("labels"), receiver.labels);
      json.end_object();
    }
    json.end_array();
  });
}

HttpResponse NotifierApi::alerts(const HttpRequest& request) const {
  const Result<AlertFilter> filter = read_filter(request, notifier_.config());
  if (!filter.ok()) return v2_failure(filter.status());
  const std::vector<AlertStatus> all = notifier_.alerts(request.received);
  return v2_response([&](JsonWriter& json) {
    json.begin_array();
    for (const AlertStatus& status : all) {
      const bool is_received = std::any_of(
          status.receivers.begin(), status.receivers.end(),
          [&](const std::string& receiver) { return filter->takes_receiver(receiver); });
      if (is_received && filter->takes(status)) write_alert(json, status, true);
    }
    json.end_array();
  });
}

HttpResponse NotifierApi::post_alerts(const HttpRequest& request) const {
  const Result<JsonValue> body =
      parse_json(request.body, {.depth_max = 8, .value_count_max = 10'000'000});
  if (!body.ok()) return v2_failure(400, "parsing alerts body failed: " + body.status().message());
  if (body->kind() != JsonKind::kArray) {
    return v2_failure(400, "parsing alerts body failed: not a list");
  }
  if (body->items().size() > kPostedAlertsMax) return v2_failure(400, "too many alerts at once");
  std::vector<Alert> alerts;
  std::string wrong;
  for (const JsonValue& item : body->items()) {
    Result<Alert> alert = read_posted_alert(item);
    if (alert.ok()) {
      alerts.push_back(std::move(*alert));
      continue;
    }
    if (!wrong.empty()) wrong += "; ";
    wrong += alert.status().message();
  }
  const Status taken = notifier_.post_alerts(std::move(alerts), request.received);
  if (!taken.ok()) return v2_failure(taken);
  if (!wrong.empty()) return v2_failure(400, wrong);
  HttpResponse response;
  return response;
}

HttpResponse NotifierApi::groups(const HttpRequest& request) const {
  const Result<AlertFilter> filter = read_filter(request, notifier_.config());
  if (!filter.ok()) return v2_failure(filter.status());
  const std::vector<AlertGroup> all = notifier_.groups(request.received);
  return v2_response([&](JsonWriter& json) {
    json.begin_array();
    for (const AlertGroup& group : all) {
      if (!filter->takes_receiver(group.receiver)) continue;
      if (!filter->muted && group.is_muted) continue;
      const bool has_any =
          std::any_of(group.alerts.begin(), group.alerts.end(),
                      [&](const AlertStatus& status) { return filter->takes(status); });
      if (!has_any) continue;
      json.begin_object().key("alerts").begin_array();
      for (const AlertStatus& status : group.alerts) {
        if (filter->takes(status)) write_alert(json, status, true);
      }
      json.end_array();
      write_v2_labels(json.key("labels"), group.labels);
      json.key("receiver").begin_object().field("name", group.receiver).end_object();
      write_v2_labels(json.key("routeLabels"), group.route_labels);
      json.end_object();
    }
    json.end_array();
  });
}

HttpResponse NotifierApi::notifications(const HttpRequest& request) const {
  const Result<std::size_t> limit = limit_parameter(request);
  if (!limit.ok()) return api_error(limit.status());
  std::vector<NotificationStatus> all = notifier_.notifications();
  const auto delivered = static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const NotificationStatus& n) {
        return n.state == NotificationStatus::State::kDelivered;
      }));
  if (*limit > 0 && all.size() > *limit) all.resize(*limit);
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("notifications").begin_array();
    for (const NotificationStatus& n : all) {
      json.begin_object()
          .field("id", n.id)
          .field("state", state_name(n.state))
          .field("integration", n.integration)
          .field("groupKey", n.group_key)
          .field("createdAt", format_rfc3339(n.created_at))
          .field(n.state == NotificationStatus::State::kQueued      ? "nextAttemptAt"
                 : n.state == NotificationStatus::State::kDelivered ? "deliveredAt"
                                                                    : "deadSince",
                 format_rfc3339(n.changed_at))
          .field("attempts", std::uint64_t{n.attempt_count})
          .field("lastStatus", std::uint64_t{n.status})
          .field("firing", std::uint64_t{n.firing_count})
          .field("resolved", std::uint64_t{n.resolved_count});
      if (!n.error.empty()) json.field("error", n.error);
      json.end_object();
    }
    json.end_array();
    if (delivered == NotifierState::kHistoryMax) json.field("forgotten", true);
    json.end_object();
  });
}

HttpResponse NotifierApi::replay(const HttpRequest& request) const {
  const Result<std::size_t> count =
      notifier_.replay(std::string(request.parameter("id").value_or("")), request.received);
  if (!count.ok()) return api_error(count.status());
  return api_success([&](JsonWriter& json) {
    json.begin_object().field("replayed", std::uint64_t{*count}).end_object();
  });
}

}  // namespace tarsier::alerting
