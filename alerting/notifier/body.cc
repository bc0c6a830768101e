#include "alerting/notifier/body.h"

#include <algorithm>

#include "alerting/payload.h"
#include "base/ascii.h"
#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/sha256.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

void write_labels(JsonWriter& json, const tsdb::Labels& labels) {
  json.begin_object();
  for (const tsdb::LabelView label : labels) json.key(label.name).value(label.value);
  json.end_object();
}

void write_annotations(JsonWriter& json, const Annotations& annotations) {
  json.begin_object();
  for (const auto& [name, value] : annotations) json.field(name, value);
  json.end_object();
}

/// As Go's encoder writes JSON that may end up in a page. These characters occur in strings only.
std::string html_safe(const std::string& json) {
  std::string out;
  for (const char c : json) {
    switch (c) {
      case '&': out += "\\u0026"; break;
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      default: out += c;
    }
  }
  return out + "\n";
}

/// At most `count` characters, the last one an ellipsis if some had to go.
std::string cut(const std::string& text, std::size_t count) {
  std::size_t at = 0;
  std::size_t before_last = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (at >= text.size()) return text;
    before_last = at;
    at += std::max<std::size_t>(1, utf8_sequence_size(std::string_view(text).substr(at)));
  }
  return at >= text.size() ? text : text.substr(0, before_last) + "…";
}

/// Expands texts and remembers the first error.
class Texts final {
 public:
  Texts(const IntegrationConfig& integration, const NotificationTemplates& templates,
        const Notification& notification)
      : integration_(integration),
        templates_(templates),
        notification_(notification),
        data_(notification_value(notification)) {}

  std::string expand(std::string_view text) {
    Result<std::string> out = templates_.expand(text, data_, notification_);
    if (out.ok()) return std::move(*out);
    std::string shown = "<error expanding template: " + out.status().message() + ">";
    if (error_.ok()) error_ = std::move(out).status();
    return shown;
  }
  std::string field(std::string_view name) { return expand(integration_.text(name)); }
  bool is_true(std::string_view name) { return ascii_lower(field(name)) == "true"; }
  const Status& error() const { return error_; }

 private:
  const IntegrationConfig& integration_;
  const NotificationTemplates& templates_;
  const Notification& notification_;
  const Value data_;
  Status error_;
};

std::string get(const TextSet& set, std::string_view name) {
  for (const auto& [key, value] : set) {
    if (key == name) return value;
  }
  return "";
}

/// Writes a field unless it is empty.
void optional_field(JsonWriter& json, std::string_view name, const std::string& value) {
  if (!value.empty()) json.field(name, value);
}

std::string slack_body(const IntegrationConfig& c, Texts& texts) {
  constexpr std::size_t kTitleCharactersMax = 1024;
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (const char* name : {"channel", "username", "icon_emoji", "icon_url"}) {
    optional_field(json, name, texts.field(name));
  }
  if (c.link_names) json.field("link_names", true);
  optional_field(json, "text", texts.field("message_text"));
  json.key("attachments").begin_array().begin_object();
  json.field("title", cut(texts.field("title"), kTitleCharactersMax));
  optional_field(json, "title_link", texts.field("title_link"));
  optional_field(json, "pretext", texts.field("pretext"));
  json.field("text", texts.field("text"));
  json.field("fallback", texts.field("fallback"));
  json.field("callback_id", texts.field("callback_id"));
  if (!c.fields.empty()) {
    json.key("fields").begin_array();
    for (const TextSet& field : c.fields) {
      const std::string is_short = get(field, "short");
      json.begin_object()
          .field("title", texts.expand(get(field, "title")))
          .field("value", texts.expand(get(field, "value")))
          .field("short", is_short.empty() ? c.short_fields : is_short == "true")
          .end_object();
    }
    json.end_array();
  }
  optional_field(json, "image_url", texts.field("image_url"));
  optional_field(json, "thumb_url", texts.field("thumb_url"));
  json.field("footer", texts.field("footer"));
  optional_field(json, "color", texts.field("color"));
  json.key("mrkdwn_in").begin_array();
  for (const std::string& name : c.markdown_in) json.value(name);
  json.end_array();
  if (!c.actions.empty()) {
    json.key("actions").begin_array();
    for (const TextSet& action : c.actions) {
      json.begin_object();
      for (const auto& [name, value] : action) json.field(name, texts.expand(value));
      json.end_object();
    }
    json.end_array();
  }
  json.end_object().end_array().end_object();
  return html_safe(out);
}

constexpr std::size_t kSummaryCharactersMax = 1024;
/// PagerDuty takes no larger events.
constexpr std::size_t kEventBytesMax = 512'000;
constexpr std::string_view kDetailsRemoved =
    "Custom details have been removed because the original event exceeds the maximum size of 512KB";

void write_details(JsonWriter& json, std::string_view name, const TextSet& details, Texts& texts) {
  json.key(name).begin_object();
  for (const auto& [key, value] : details) json.field(key, texts.expand(value));
  json.end_object();
}

/// Events API v2.
void write_pagerduty(JsonWriter& json, const IntegrationConfig& c, const TextSet& details,
                     bool firing, Texts& texts) {
  json.field("event_action", firing ? "trigger" : "resolve");
  if (!firing) return;
  const std::string severity = texts.field("severity");
  json.key("payload").begin_object();
  json.field("summary", cut(texts.field("description"), kSummaryCharactersMax));
  json.field("source", texts.field("source"));
  json.field("severity", severity.empty() ? "error" : severity);
  for (const char* name : {"class", "component", "group"}) {
    optional_field(json, name, texts.field(name));
  }
  write_details(json, "custom_details", details, texts);
  json.end_object();
  json.field("client", texts.field("client"));
  json.field("client_url", texts.field("client_url"));
  const auto write_sets = [&](std::string_view name, const std::vector<TextSet>& sets) {
    if (sets.empty()) return;
    json.key(name).begin_array();
    for (const TextSet& set : sets) {
      json.begin_object();
      for (const auto& [key, value] : set) optional_field(json, key, texts.expand(value));
      json.end_object();
    }
    json.end_array();
  };
  write_sets("images", c.images);
  write_sets("links", c.links);
}

/// The generic events API, version 1.
void write_pagerduty_v1(JsonWriter& json, const TextSet& details, bool firing, Texts& texts) {
  json.field("event_type", firing ? "trigger" : "resolve");
  json.field("description", cut(texts.field("description"), kSummaryCharactersMax));
  if (firing) {
    optional_field(json, "client", texts.field("client"));
    optional_field(json, "client_url", texts.field("client_url"));
  }
  write_details(json, "details", details, texts);
}

std::string pagerduty_body(const IntegrationConfig& c, const Notification& n, Texts& texts) {
  const auto body_with = [&](const TextSet& details) {
    const std::string key = hex_text(sha256(as_bytes(n.group_key)));
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    if (c.is_pagerduty_v1()) {
      json.field("incident_key", key);
      write_pagerduty_v1(json, details, n.is_firing(), texts);
    } else {
      json.field("dedup_key", key);
      write_pagerduty(json, c, details, n.is_firing(), texts);
    }
    json.end_object();
    return html_safe(out);
  };
  std::string body = body_with(c.details);
  if (body.size() <= kEventBytesMax) return body;
  return body_with({{"error", std::string(kDetailsRemoved)}});
}

/// As many alerts as the receiver wants; gives how many were left out.
std::size_t truncate_alerts(const IntegrationConfig& c, std::vector<NotifiedAlert>& alerts) {
  if (c.alerts_max == 0 || alerts.size() <= c.alerts_max) return 0;
  const std::size_t left_out = alerts.size() - static_cast<std::size_t>(c.alerts_max);
  alerts.resize(static_cast<std::size_t>(c.alerts_max));
  return left_out;
}

Body payload_body(const IntegrationConfig& c, const NotificationTemplates& templates,
                  Notification n) {
  truncate_alerts(c, n.alerts);
  Texts texts(c, templates, n);
  std::string text =
      payload_json(*c.payload, [&](std::string_view one) { return texts.expand(one); });
  return {std::move(text), texts.error()};
}

}  // namespace

std::string quoted_receiver(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string webhook_body(const IntegrationConfig& c, const Notification& n) {
  std::vector<NotifiedAlert> alerts = n.alerts;
  const std::size_t truncated = truncate_alerts(c, alerts);
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("receiver", c.quotes_receiver ? quoted_receiver(n.receiver) : n.receiver);
  json.field("status", n.is_firing() ? "firing" : "resolved");
  json.key("alerts").begin_array();
  for (const NotifiedAlert& notified : alerts) {
    const Alert& alert = notified.alert;
    json.begin_object().field("status", notified.is_resolved ? "resolved" : "firing");
    write_labels(json.key("labels"), alert.labels);
    write_annotations(json.key("annotations"), alert.annotations);
    json.field("startsAt", go_rfc3339_nano(go_time(alert.starts_at)))
        .field("endsAt", shown_end(notified))
        .field("generatorURL", alert.generator_url)
        .field("fingerprint", alert.fingerprint().to_string())
        .end_object();
  }
  json.end_array();
  json.field("notification_reason", n.reason);
  write_labels(json.key("groupLabels"), n.group_labels);
  write_labels(json.key("commonLabels"), common_labels(alerts));
  write_annotations(json.key("commonAnnotations"), common_annotations(alerts));
  write_labels(json.key("routeLabels"), n.route_labels);
  json.field("externalURL", n.external_url)
      .field("version", "4")
      .field("groupKey", n.group_key)
      .field("truncatedAlerts", std::uint64_t{truncated})
      .end_object();
  return html_safe(out);
}

Body make_body(const IntegrationConfig& integration, const NotificationTemplates& templates,
               const Notification& notification) {
  if (integration.payload) return payload_body(integration, templates, notification);
  if (integration.kind == IntegrationKind::kWebhook) {
    return {webhook_body(integration, notification), {}};
  }
  Texts texts(integration, templates, notification);
  std::string text = integration.kind == IntegrationKind::kSlack
                         ? slack_body(integration, texts)
                         : pagerduty_body(integration, notification, texts);
  return {std::move(text), texts.error()};
}

std::string with_secret(const std::string& body, std::string_view name, const std::string& secret) {
  std::string out = "{";
  append_json_string(out, name);
  out += ":";
  append_json_string(out, secret);
  return out + "," + body.substr(1);
}

}  // namespace tarsier::alerting
