#include "tests/alerting/notifier_station.h"

#include <algorithm>

#include "alerting/matcher_text.h"
#include "base/json_reader.h"

namespace tarsier::alerting::testing {
namespace {

std::string summary_of(const std::string& body) {
  const Result<JsonValue> json = parse_json(body);
  if (!json.ok()) return "not JSON";
  std::string out = *json->find("status")->as_string() + ":";
  for (const JsonValue& alert : json->find("alerts")->items()) {
    out += " " + *alert.find("labels")->find("alertname")->as_string();
    if (*alert.find("status")->as_string() == "resolved") out += "!";
  }
  return out;
}

}  // namespace

std::string header_of(const HttpFetch& fetch, std::string_view name) {
  for (const auto& [key, value] : fetch.headers) {
    if (key == name) return value;
  }
  return "";
}

ReceiverConfig webhook_receiver(const std::string& name) {
  IntegrationConfig integration;
  integration.url.text = "http://" + name + "/";
  return {.name = name, .integrations = {integration}, .labels = {}};
}

void fill_keys(Route& route, const std::string& parent) {
  route.key = parent + (parent.empty() ? "" : "/") + matchers_text(route.matchers);
  for (Route& child : route.children) fill_keys(child, route.key);
}

NotifierConfig simple_config(const std::string& receiver) {
  NotifierConfig config;
  config.root.receiver = receiver;
  config.root.group_by = {"alertname"};
  config.receivers.push_back(webhook_receiver(receiver));
  fill_keys(config.root);
  return config;
}

std::vector<tsdb::Matcher> matchers(std::string_view text) {
  return std::move(parse_alert_matchers(text)).value();
}

Station::Station(FileSystem& f, Timestamp start) : files(f), now(start) {
  client.respond = [this](const HttpFetch& fetch) -> Result<HttpResponse> {
    sent.emplace_back(header_of(fetch, "webhook-id"), fetch.body);
    Result<HttpResponse> response = answer ? answer(fetch) : HttpResponse{};
    if (response.ok() && response->status == 200) told.push_back(summary_of(fetch.body));
    return response;
  };
}

Status Station::start(const NotifierConfig& config) {
  NotifierOptions options;
  options.directory = "data/notifier";
  options.external_url = "http://tarsier:9090";
  notifier = TRY(Notifier::open({.files = files,
                                 .client = client,
                                 .wake = [] {},
                                 .monotonic_ns = [] { return 0; },
                                 .log = log},
                                options, now));
  return notifier->configure(std::make_shared<const NotifierConfig>(config), now);
}

Status Station::fire(const tsdb::Labels& labels, Duration lasts) {
  auto known = std::find_if(starts_.begin(), starts_.end(),
                            [&](const auto& entry) { return entry.first == labels; });
  if (known == starts_.end()) known = starts_.insert(known, {labels, now});
  Alert alert;
  alert.labels = labels;
  alert.starts_at = alert.active_at = known->second;
  alert.updated_at = now;
  alert.ends_at = now + lasts;
  return notifier->deliver({.source = "test", .at = now, .position = {}, .alerts = {alert}});
}

Status Station::resolve(const tsdb::Labels& labels) {
  const auto known = std::find_if(starts_.begin(), starts_.end(),
                                  [&](const auto& entry) { return entry.first == labels; });
  Alert alert;
  alert.labels = labels;
  alert.state = AlertState::kInactive;
  alert.starts_at = known == starts_.end() ? now : known->second;
  alert.updated_at = now;
  alert.ends_at = now;
  TRY(notifier->deliver({.source = "test", .at = now, .position = {}, .alerts = {alert}}));
  if (known != starts_.end()) starts_.erase(known);
  return {};
}

void Station::run_until(Timestamp t) {
  for (;;) {
    const Timestamp next = notifier->run_due(now);
    if (next > t) break;
    now = std::max(now, next);
  }
  now = t;
}

}  // namespace tarsier::alerting::testing
