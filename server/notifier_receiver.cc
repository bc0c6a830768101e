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
using alerting::TextSet;

constexpr std::array kUnsupported = {
    "discord_configs",    "email_configs",      "opsgenie_configs",  "wechat_configs",
    "pushover_configs",   "victorops_configs",  "sns_configs",       "telegram_configs",
    "webex_configs",      "msteams_configs",    "msteamsv2_configs", "jira_configs",
    "rocketchat_configs", "incidentio_configs", "mattermost_configs"};

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

Result<IntegrationConfig> read_webhook(MapReader& map, const NotifierGlobals& globals,
                                       const ConfigSources& sources) {
  IntegrationConfig out;
  out.kind = IntegrationKind::kWebhook;
  TRY(read_common(map, globals, sources, out));
  TRY(read_text_or_file(map, "url", sources, out.url));
  if (!out.url.is_set()) {
    return invalid_at(map.node(),
                      "missing URL in webhook config: one of url or url_file must be "
                      "configured");
  }
  map.read("max_alerts", out.alerts_max);
  map.read("signature_secret_files", out.signing_secret_files);
  for (std::string& file : out.signing_secret_files) file = resolve_path(file, sources);
  map.read("quote_receiver_name", out.quotes_receiver);
  if (const YamlNode* payload = map.find("payload")) {
    return invalid_at(*payload,
                      "webhook_configs.payload is not supported: the message is always "
                      "version 4");
  }
  return out;
}

Result<IntegrationConfig> read_slack(MapReader& map, const NotifierGlobals& globals,
                                     const ConfigSources& sources) {
  IntegrationConfig out;
  out.kind = IntegrationKind::kSlack;
  out.send_resolved = false;
  out.url = globals.slack_api_url;
  TRY(read_common(map, globals, sources, out));
  TRY(read_text_or_file(map, "api_url", sources, out.url));
  if (!out.url.is_set()) {
    return invalid_at(map.node(), "no global Slack API URL set either inline or in a file");
  }
  for (const char* name : {"app_token", "app_token_file", "app_url", "update_message"}) {
    if (const YamlNode* node = map.find(name)) {
      return invalid_at(*node, fmt::format("slack_configs.{} is not supported: use api_url", name));
    }
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
  return out;
}

Result<IntegrationConfig> read_pagerduty(MapReader& map, const NotifierGlobals& globals,
                                         const ConfigSources& sources) {
  IntegrationConfig out;
  out.kind = IntegrationKind::kPagerduty;
  out.url.text = globals.pagerduty_url;
  TRY(read_common(map, globals, sources, out));
  TRY(read_text_or_file(map, "url", sources, out.url));
  TRY(read_text_or_file(map, "routing_key", sources, out.routing_key));
  for (const char* name : {"service_key", "service_key_file"}) {
    if (const YamlNode* node = map.find(name)) {
      return invalid_at(*node, fmt::format("pagerduty_configs.{} is not supported: only the Events "
                                           "API v2 with a routing_key is spoken",
                                           name));
    }
  }
  if (!out.routing_key.is_set()) {
    return invalid_at(map.node(), "missing service or routing key in PagerDuty config");
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
  return out;
}

}  // namespace

Result<alerting::ReceiverConfig> read_receiver(const YamlNode& node, const std::string& path,
                                               const NotifierGlobals& globals,
                                               const ConfigSources& sources, Problems& problems) {
  MapReader map(node, path, problems);
  alerting::ReceiverConfig out;
  map.read("name", out.name);
  if (out.name.empty()) return invalid_at(node, "missing name in receiver");
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
      item.finish();
    }
  }
  map.finish();
  return out;
}

}  // namespace tarsier::server
