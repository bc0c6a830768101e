#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "base/quote.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"
#include "server/notifier_config.h"

namespace tarsier::server {
namespace {

using alerting::IntegrationConfig;
using alerting::IntegrationKind;
using alerting::PayloadValue;
using alerting::TextSet;

constexpr std::array kUnsupported = {
    "discord_configs",    "email_configs",      "opsgenie_configs",  "wechat_configs",
    "pushover_configs",   "victorops_configs",  "sns_configs",       "telegram_configs",
    "webex_configs",      "msteams_configs",    "msteamsv2_configs", "jira_configs",
    "rocketchat_configs", "incidentio_configs", "mattermost_configs"};

constexpr std::string_view kPagerdutyV1Url =
    "https://events.pagerduty.com/generic/2010-04-15/create_event.json";

// Each kind is read to its end before it is said what it lacks: a mistyped key is better told as
// one than as the one that is missing.

/// `name` or `name_file`, not both.
Status read_text_or_file(MapReader& map, const std::string& name, const ConfigSources& sources,
                         TextOrFile& out) {
  TextOrFile own;
  map.read(name, own.text);
  map.read(name + "_file", own.file);
  if (!own.text.empty() && !own.file.empty()) {
    return invalid_at(*map.find(name),
                      fmt::format("at most one of {0} & {0}_file must be configured", name));
  }
  own.file = resolve_path(own.file, sources);
  if (own.is_set()) out = own;
  return {};
}

/// What every kind has: `send_resolved`, `http_config`, `timeout`.
Status read_common(MapReader& map, const NotifierGlobals& globals, const ConfigSources& sources,
                   IntegrationConfig& out) {
  map.read("send_resolved", out.send_resolved);
  map.read("timeout", out.timeout);
  HttpClientConfig http = globals.http;
  if (const YamlNode* node = map.find("http_config")) {
    MapReader section(*node, map.path_of("http_config"), map.problems());
    http = TRY(read_http_client(section, sources));
    section.finish();
  }
  http.follow_redirects = false;  // A redirected secret is a leaked one.
  out.http = std::make_shared<const HttpClientConfig>(std::move(http));
  return {};
}

/// Where a Slack message goes: a webhook's URL, or an app's token and the API it is for. What the
/// receiver names counts before what is global.
Status read_slack_address(MapReader& map, const NotifierGlobals& globals,
                          const ConfigSources& sources, IntegrationConfig& out) {
  TextOrFile url;
  TextOrFile token;
  std::string app_url = globals.slack_app_url;
  TRY(read_text_or_file(map, "api_url", sources, url));
  TRY(read_text_or_file(map, "app_token", sources, token));
  map.read("app_url", app_url);
  if (url.is_set() && token.is_set()) {
    return invalid_at(map.node(), "at most one of api_url and app_token must be configured");
  }
  if (!url.is_set() && !token.is_set()) {
    url = globals.slack_api_url;
    token = globals.slack_app_token;
  }
  if (token.is_set()) {
    HttpClientConfig http = *out.http;
    if (http.credentials.kind != HttpCredentials::Kind::kNone) {
      return invalid_at(map.node(), "http_config authorization can't be set with app_token");
    }
    http.credentials = {.kind = HttpCredentials::Kind::kAuthorization,
                        .user = {},
                        .scheme = "Bearer",
                        .secret = token};
    out.http = std::make_shared<const HttpClientConfig>(std::move(http));
    url = {.text = app_url, .file = ""};
  }
  if (!url.is_set()) {
    return invalid_at(map.node(), "no Slack API URL nor App token set either inline or in a file");
  }
  out.url = std::move(url);
  return {};
}

/// Reads templates into `texts`; where the file has none the default stays.
void read_texts(MapReader& map, std::initializer_list<std::pair<const char*, const char*>> defaults,
                IntegrationConfig& out) {
  for (const auto& [name, text] : defaults) {
    std::string value = text;
    map.read(name, value);
    out.texts[name] = std::move(value);
  }
}

/// A list of maps with the given keys, all of them texts.
std::vector<TextSet> read_sets(MapReader& map, std::string_view name,
                               std::initializer_list<const char*> keys) {
  std::vector<TextSet> out;
  const YamlNode* list = map.find_list(name);
  if (list == nullptr) return out;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    MapReader item(list->items[i], fmt::format("{}[{}]", map.path_of(name), i), map.problems());
    TextSet set;
    for (const char* key : keys) {
      if (!item.has(key)) continue;
      std::string value;
      item.read(key, value);
      set.emplace_back(key, std::move(value));
    }
    item.finish();
    out.push_back(std::move(set));
  }
  return out;
}

/// YAML as JSON; texts are templates.
PayloadValue payload_of(const YamlNode& node) {
  PayloadValue out;
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      out.kind = PayloadValue::Kind::kJson;
      out.text = "null";
      break;
    case YamlNode::Kind::kScalar: out.text = node.text; break;
    case YamlNode::Kind::kSequence:
      out.kind = PayloadValue::Kind::kList;
      for (const YamlNode& item : node.items) out.items.push_back(payload_of(item));
      break;
    case YamlNode::Kind::kMap:
      out.kind = PayloadValue::Kind::kMap;
      for (const YamlEntry& entry : node.entries) {
        out.names.push_back(entry.first.text);
        out.items.push_back(payload_of(entry.second));
      }
      break;
  }
  return out;
}

Result<IntegrationConfig> read_webhook(MapReader& map, const NotifierGlobals& globals,
                                       const ConfigSources& sources) {
  IntegrationConfig out;
  out.kind = IntegrationKind::kWebhook;
  TRY(read_common(map, globals, sources, out));
  TRY(read_text_or_file(map, "url", sources, out.url));
  map.read("max_alerts", out.alerts_max);
  map.read("signature_secret_files", out.signing_secret_files);
  for (std::string& file : out.signing_secret_files) file = resolve_path(file, sources);
  map.read("quote_receiver_name", out.quotes_receiver);
  if (const YamlNode* payload = map.find("payload")) {
    if (payload->kind != YamlNode::Kind::kMap && payload->kind != YamlNode::Kind::kSequence) {
      return invalid_at(*payload, "webhook_configs.payload must be a map or a list");
    }
    out.payload = std::make_shared<const PayloadValue>(payload_of(*payload));
  }
  map.finish();
  if (!out.url.is_set()) {
    return invalid_at(map.node(),
                      "missing URL in webhook config: one of url or url_file must be "
                      "configured");
  }
  return out;
}

Result<IntegrationConfig> read_slack(MapReader& map, const NotifierGlobals& globals,
                                     const ConfigSources& sources) {
  IntegrationConfig out;
  out.kind = IntegrationKind::kSlack;
  out.send_resolved = false;
  TRY(read_common(map, globals, sources, out));
  if (const YamlNode* node = map.find("update_message")) {
    return invalid_at(*node,
                      "slack_configs.update_message is not supported: every notification is a "
                      "message of its own");
  }
  read_texts(map,
             {{"channel", ""},
              {"username", R"({{ template "slack.default.username" . }})"},
              {"color", R"({{ if eq .Status "firing" }}danger{{ else }}good{{ end }})"},
              {"title", R"({{ template "slack.default.title" . }})"},
              {"title_link", R"({{ template "slack.default.titlelink" . }})"},
              {"pretext", R"({{ template "slack.default.pretext" . }})"},
              {"text", R"({{ template "slack.default.text" . }})"},
              {"message_text", ""},
              {"footer", R"({{ template "slack.default.footer" . }})"},
              {"fallback", R"({{ template "slack.default.fallback" . }})"},
              {"callback_id", R"({{ template "slack.default.callbackid" . }})"},
              {"icon_emoji", R"({{ template "slack.default.iconemoji" . }})"},
              {"icon_url", R"({{ template "slack.default.iconurl" . }})"},
              {"image_url", ""},
              {"thumb_url", ""}},
             out);
  map.read("short_fields", out.short_fields);
  map.read("link_names", out.link_names);
  out.markdown_in = {"fallback", "pretext", "text"};
  if (map.has("mrkdwn_in")) {
    out.markdown_in.clear();
    map.read("mrkdwn_in", out.markdown_in);
  }
  out.fields = read_sets(map, "fields", {"title", "value", "short"});
  for (const TextSet& field : out.fields) {
    for (const char* name : {"title", "value"}) {
      const bool has = std::any_of(field.begin(), field.end(), [&](const auto& entry) {
        return entry.first == name && !entry.second.empty();
      });
      if (!has) {
        return invalid_at(map.node(), fmt::format("missing {} in Slack field configuration", name));
      }
    }
  }
  out.actions = read_sets(map, "actions", {"type", "text", "url", "style", "name", "value"});
  Status address = read_slack_address(map, globals, sources, out);
  map.finish();
  if (!address.ok()) return address;
  return out;
}

Result<IntegrationConfig> read_pagerduty(MapReader& map, const NotifierGlobals& globals,
                                         const ConfigSources& sources) {
  IntegrationConfig out;
  out.kind = IntegrationKind::kPagerduty;
  TRY(read_common(map, globals, sources, out));
  TRY(read_text_or_file(map, "url", sources, out.url));
  TRY(read_text_or_file(map, "routing_key", sources, out.routing_key));
  TRY(read_text_or_file(map, "service_key", sources, out.service_key));
  if (out.routing_key.is_set() && out.service_key.is_set()) {
    return invalid_at(map.node(), "at most one of routing_key and service_key must be configured");
  }
  if (!out.url.is_set()) {
    out.url.text = out.is_pagerduty_v1() ? std::string(kPagerdutyV1Url) : globals.pagerduty_url;
  }
  read_texts(map,
             {{"client", R"({{ template "pagerduty.default.client" . }})"},
              {"client_url", R"({{ template "pagerduty.default.clientURL" . }})"},
              {"description", R"({{ template "pagerduty.default.description" .}})"},
              {"severity", "error"},
              {"class", ""},
              {"component", ""},
              {"group", ""}},
             out);
  std::string source = out.texts["client"];
  map.read("source", source);
  out.texts["source"] = source;
  std::map<std::string, std::string> details = {
      {"firing", R"({{ template "pagerduty.default.instances" .Alerts.Firing }})"},
      {"resolved", R"({{ template "pagerduty.default.instances" .Alerts.Resolved }})"},
      {"num_firing", "{{ .Alerts.Firing | len }}"},
      {"num_resolved", "{{ .Alerts.Resolved | len }}"}};
  if (const YamlNode* node = map.find("details")) {
    MapReader section(*node, map.path_of("details"), map.problems());
    for (const YamlEntry& entry : node->entries)
      section.read(entry.first.text, details[entry.first.text]);
    section.finish();
  }
  out.details.assign(details.begin(), details.end());
  out.images = read_sets(map, "images", {"src", "alt", "href"});
  out.links = read_sets(map, "links", {"href", "text"});
  map.finish();
  if (!out.routing_key.is_set() && !out.service_key.is_set()) {
    return invalid_at(map.node(), "missing service or routing key in PagerDuty config");
  }
  return out;
}

}  // namespace

Result<alerting::ReceiverConfig> read_receiver(const YamlNode& node, const std::string& path,
                                               const NotifierGlobals& globals,
                                               const ConfigSources& sources, Problems& problems) {
  MapReader map(node, path, problems);
  alerting::ReceiverConfig out;
  map.read("name", out.name);
  for (const char* name : kUnsupported) {
    const YamlNode* list = map.find(name);
    if (list == nullptr) continue;
    return invalid_at(*list,
                      fmt::format("receiver {}: {} are not supported: Tarsier tells webhooks, "
                                  "Slack and PagerDuty (a webhook bridge reaches others)",
                                  quote(out.name), name));
  }
  using Read =
      Result<IntegrationConfig> (*)(MapReader&, const NotifierGlobals&, const ConfigSources&);
  constexpr std::array<std::pair<const char*, Read>, 3> kKinds = {
      {{"webhook_configs", read_webhook},
       {"slack_configs", read_slack},
       {"pagerduty_configs", read_pagerduty}}};
  for (const auto& [name, read] : kKinds) {
    const YamlNode* list = map.find_list(name);
    if (list == nullptr) continue;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      MapReader item(list->items[i], fmt::format("{}[{}]", map.path_of(name), i), problems);
      out.integrations.push_back(TRY(read(item, globals, sources)));
    }
  }
  tsdb::LabelsBuilder labels;
  for (const auto& [name, value] : TRY(read_labels(map, "labels", ingest::NameValidation::kUtf8,
                                                   [](const YamlNode& v) { return v.text; }))) {
    labels.set(name, value);
  }
  map.finish();
  if (out.name.empty()) return invalid_at(node, "missing name in receiver");
  const std::string_view name_label = labels.get("name");
  if (!name_label.empty() && name_label != out.name) {
    return invalid_at(node,
                      fmt::format("receiver label \"name\" must match receiver name {}, got {}",
                                  quote(out.name), quote(name_label)));
  }
  labels.set("name", out.name);
  out.labels = labels.build();
  return out;
}

}  // namespace tarsier::server
