#include "alerting/notifier_api.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "alerting/matcher_text.h"
#include "alerting/notifier/posted.h"
#include "alerting/template/go_time.h"
#include "base/api.h"
#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/regex.h"
#include "base/rfc3339.h"

namespace tarsier::alerting {
namespace {

constexpr std::size_t kPostedAlertsMax = 100'000;

HttpResponse json_response(const std::function<void(JsonWriter&)>& write) {
  HttpResponse response;
  JsonWriter json(response.body);
  write(json);
  response.body += "\n";
  return response;
}

/// Version 2 says what is wrong as one JSON string.
HttpResponse failure(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  append_json_string(response.body, text);
  response.body += "\n";
  return response;
}

HttpResponse failure(const Status& status) {
  switch (status.code()) {
    case Code::kNotFound: return failure(404, status.message());
    case Code::kInvalid: return failure(400, status.message());
    default: return failure(500, status.message());
  }
}

/// Always three digits: what Go's strfmt writes and reads.
std::string shown_time(Timestamp t) { return format_rfc3339_ms(t); }

void write_labels(JsonWriter& json, const tsdb::Labels& labels) {
  json.begin_object();
  for (const tsdb::LabelView label : labels) json.key(label.name).value(label.value);
  json.end_object();
}

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
  write_labels(json.key("labels"), alert.labels);
  json.end_object();
}

void write_silence(JsonWriter& json, const Silence& silence, Timestamp now) {
  json.begin_object()
      .field("id", silence.id)
      .key("status")
      .begin_object()
      .field("state", silence_state_name(silence.state_at(now)))
      .end_object()
      .field("updatedAt", shown_time(silence.updated_at))
      .field("comment", silence.comment)
      .field("createdBy", silence.created_by)
      .field("endsAt", shown_time(silence.ends_at));
  json.key("matchers").begin_array();
  for (const tsdb::Matcher& matcher : silence.matchers) {
    const bool is_regex =
        matcher.op() == tsdb::MatchOp::kRegex || matcher.op() == tsdb::MatchOp::kNotRegex;
    json.begin_object()
        .field("isEqual", !matcher.is_negative())
        .field("isRegex", is_regex)
        .field("name", matcher.name())
        .field("value", matcher.value())
        .end_object();
  }
  json.end_array().field("startsAt", shown_time(silence.starts_at)).end_object();
}

struct AlertFilter {
  std::vector<tsdb::Matcher> matchers;
  std::optional<Regex> receiver;
  bool active = true;
  bool silenced = true;
  bool inhibited = true;

  bool takes_labels(const tsdb::Labels& labels) const {
    return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
      return matcher.matches(labels.get(matcher.name()));
    });
  }
  bool takes(const AlertStatus& status) const {
    if (!takes_labels(status.alert.labels)) return false;
    if (!active && !status.is_suppressed()) return false;
    if (!silenced && !status.silenced_by.empty()) return false;
    return inhibited || status.inhibited_by.empty();
  }
  bool takes_receiver(const std::string& name) const {
    return !receiver || receiver->full_match(name);
  }
};

Result<bool> flag(const HttpRequest& request, std::string_view name) {
  const std::string_view text = request.parameter(name).value_or("true");
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return invalid(std::string(name) + " in query must be of type boolean: \"" + std::string(text) +
                 "\"");
}

Result<std::vector<tsdb::Matcher>> filter_matchers(const HttpRequest& request) {
  std::vector<tsdb::Matcher> out;
  for (const std::string_view text : request.parameter_values("filter")) {
    out.push_back(TRY(parse_alert_matcher(text)));
  }
  return out;
}

Result<AlertFilter> read_filter(const HttpRequest& request) {
  AlertFilter filter;
  filter.matchers = TRY(filter_matchers(request));
  filter.active = TRY(flag(request, "active"));
  filter.silenced = TRY(flag(request, "silenced"));
  filter.inhibited = TRY(flag(request, "inhibited"));
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
  return json_response([&](JsonWriter& json) {
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

HttpResponse NotifierApi::receivers(const HttpRequest&) const {
  const std::shared_ptr<const NotifierConfig> config = notifier_.config();
  return json_response([&](JsonWriter& json) {
    json.begin_array();
    if (config) {
      for (const ReceiverConfig& receiver : config->receivers) {
        json.begin_object().field("name", receiver.name).end_object();
      }
    }
    json.end_array();
  });
}

HttpResponse NotifierApi::alerts(const HttpRequest& request) const {
  const Result<AlertFilter> filter = read_filter(request);
  if (!filter.ok()) return failure(filter.status());
  const std::vector<AlertStatus> all = notifier_.alerts(request.received);
  return json_response([&](JsonWriter& json) {
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
  if (!body.ok()) return failure(400, "parsing alerts body failed: " + body.status().message());
  if (body->kind() != JsonKind::kArray) {
    return failure(400, "parsing alerts body failed: not a list");
  }
  if (body->items().size() > kPostedAlertsMax) return failure(400, "too many alerts at once");
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
  if (!taken.ok()) return failure(taken);
  if (!wrong.empty()) return failure(400, wrong);
  HttpResponse response;
  return response;
}

HttpResponse NotifierApi::groups(const HttpRequest& request) const {
  const Result<AlertFilter> filter = read_filter(request);
  if (!filter.ok()) return failure(filter.status());
  const std::vector<AlertGroup> all = notifier_.groups(request.received);
  return json_response([&](JsonWriter& json) {
    json.begin_array();
    for (const AlertGroup& group : all) {
      if (!filter->takes_receiver(group.receiver)) continue;
      const bool has_any =
          std::any_of(group.alerts.begin(), group.alerts.end(),
                      [&](const AlertStatus& status) { return filter->takes(status); });
      if (!has_any) continue;
      json.begin_object().key("alerts").begin_array();
      for (const AlertStatus& status : group.alerts) {
        if (filter->takes(status)) write_alert(json, status, true);
      }
      json.end_array();
      write_labels(json.key("labels"), group.labels);
      json.key("receiver").begin_object().field("name", group.receiver).end_object();
      json.end_object();
    }
    json.end_array();
  });
}

HttpResponse NotifierApi::silences(const HttpRequest& request) const {
  const Result<std::vector<tsdb::Matcher>> wanted = filter_matchers(request);
  if (!wanted.ok()) return failure(wanted.status());
  const Timestamp now = request.received;
  std::vector<Silence> all = notifier_.silences();
  // A filter asks whether the silence is about such alerts: its matchers name these values.
  std::erase_if(all, [&](const Silence& silence) {
    return !std::all_of(wanted->begin(), wanted->end(), [&](const tsdb::Matcher& filter) {
      return std::any_of(silence.matchers.begin(), silence.matchers.end(),
                         [&](const tsdb::Matcher& own) {
                           return own.name() == filter.name() && filter.matches(own.value());
                         });
    });
  });
  const auto rank = [&](const Silence& silence) {
    switch (silence.state_at(now)) {
      case SilenceState::kActive: return 0;
      case SilenceState::kPending: return 1;
      case SilenceState::kExpired: return 2;
    }
    return 2;
  };
  std::sort(all.begin(), all.end(), [&](const Silence& a, const Silence& b) {
    const int x = rank(a);
    const int y = rank(b);
    if (x != y) return x < y;
    if (x == 1) return a.starts_at < b.starts_at;
    return x == 0 ? a.ends_at < b.ends_at : a.ends_at > b.ends_at;
  });
  return json_response([&](JsonWriter& json) {
    json.begin_array();
    for (const Silence& silence : all) write_silence(json, silence, now);
    json.end_array();
  });
}

HttpResponse NotifierApi::post_silence(const HttpRequest& request) const {
  const Result<JsonValue> body = parse_json(request.body, {.depth_max = 8});
  if (!body.ok()) return failure(400, "parsing silence body failed: " + body.status().message());
  Result<Silence> silence = read_posted_silence(*body);
  if (!silence.ok()) return failure(400, silence.status().message());
  const Result<std::string> id = notifier_.set_silence(std::move(*silence), request.received);
  if (!id.ok()) return failure(id.status());
  return json_response(
      [&](JsonWriter& json) { json.begin_object().field("silenceID", *id).end_object(); });
}

HttpResponse NotifierApi::silence(const HttpRequest& request, const std::string& id) const {
  const std::optional<Silence> silence = notifier_.silence(id);
  if (!silence) return failure(404, "silence " + id + " not found");
  return json_response([&](JsonWriter& json) { write_silence(json, *silence, request.received); });
}

HttpResponse NotifierApi::delete_silence(const HttpRequest& request, const std::string& id) const {
  const Status status = notifier_.expire_silence(id, request.received);
  if (!status.ok()) return failure(status);
  HttpResponse response;
  return response;
}

HttpResponse NotifierApi::notifications(const HttpRequest& request) const {
  const Result<std::size_t> limit = limit_parameter(request);
  if (!limit.ok()) return api_error(limit.status());
  std::vector<NotificationStatus> all = notifier_.notifications();
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
    json.end_array().end_object();
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
