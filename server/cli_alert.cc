#include "server/cli_alert.h"

#include <cstdio>
#include <future>
#include <vector>

#include <fmt/format.h>

#include "alerting/notifier_config.h"
#include "base/json_reader.h"
#include "base/posix_file.h"
#include "server/config.h"
#include "server/http_client.h"
#include "server/notifier_config.h"
#include "server/settings.h"
#include "server/url.h"
#include "server/version.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 3;
constexpr JsonLimits kAnswerLimits{.value_count_max = 50'000'000};

int complain(std::string_view text, int code) {
  std::fprintf(stderr, "%s\n", std::string(text).c_str());
  return code;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

/// The text of a member, empty if it is none.
std::string text_of(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.find(name);
  if (value == nullptr) return "";
  Result<std::string> text = value->as_string();
  return text.ok() ? std::move(*text) : "";
}

std::uint64_t number_of(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.find(name);
  if (value == nullptr) return 0;
  const Result<std::uint64_t> number = value->as_uint64();
  return number.ok() ? *number : 0;
}

Result<std::string> ask(const std::string& method, const std::string& url) {
  TcpHttpClient client({.user_agent = fmt::format("Tarsier/{}", version())});
  std::promise<Result<HttpResponse>> promise;
  client.fetch({.url = url, .method = method, .timeout = minutes(1)},
               [&](Result<HttpResponse> outcome) { promise.set_value(std::move(outcome)); });
  Result<HttpResponse> response = promise.get_future().get();
  if (!response.ok()) return std::move(response).status();
  if (response->status / 100 != 2) {
    return invalid(fmt::format("{}: {}", response->status, response->body));
  }
  return std::move(response->body);
}

int show(const Result<std::string>& body, Result<std::string> (*format)(std::string_view)) {
  if (!body.ok()) return complain("error: " + body.status().message(), kFailed);
  const Result<std::string> text = format(*body);
  if (!text.ok()) return complain("error: " + text.status().message(), kFailed);
  print(*text);
  return kOk;
}

Result<std::string> format_replayed(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  const JsonValue* data = answer.find("data");
  if (data == nullptr) return invalid("the answer is not Tarsier's");
  return fmt::format("{} dead letters are sent again\n", number_of(*data, "replayed"));
}

}  // namespace

int run_alert_command(std::span<const std::string> arguments) {
  std::vector<std::string> rest;
  std::string id;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--id=")) {
      id = argument.substr(5);
    } else {
      rest.push_back(argument);
    }
  }
  const bool is_known =
      rest.size() == 2 && (rest[0] == "list" || rest[0] == "history" || rest[0] == "replay");
  if (!is_known) {
    return complain(
        "usage: tarsier alert list SERVER\n"
        "       tarsier alert history SERVER\n"
        "       tarsier alert replay [--id=ID] SERVER",
        kUsage);
  }
  std::string server = rest[1].find("://") == std::string::npos ? "http://" + rest[1] : rest[1];
  while (server.ends_with('/')) server.pop_back();
  if (rest[0] == "list") return show(ask("GET", server + "/api/v2/alerts"), format_alerts);
  const std::string notifications = server + "/api/tarsier/v1/notifications";
  if (rest[0] == "history") return show(ask("GET", notifications), format_notifications);
  const std::string query = id.empty() ? "" : "?id=" + form_encoded(id);
  return show(ask("POST", notifications + "/replay" + query), format_replayed);
}

Result<std::string> format_alerts(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  if (answer.kind() != JsonKind::kArray) return invalid("the answer is not Alertmanager's");
  std::string out;
  for (const JsonValue& alert : answer.items()) {
    const JsonValue* labels = alert.find("labels");
    const JsonValue* status = alert.find("status");
    if (labels == nullptr || status == nullptr) return invalid("an alert has no labels or status");
    tsdb::LabelsBuilder builder;
    for (std::size_t i = 0; i < labels->items().size(); ++i) {
      builder.set(labels->keys()[i], TRY(labels->items()[i].as_string()));
    }
    out +=
        fmt::format("{} {} since {} {}\n", text_of(alert, "fingerprint"), text_of(*status, "state"),
                    text_of(alert, "startsAt"), builder.build().to_string());
  }
  return out;
}

Result<std::string> format_notifications(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  const JsonValue* data = answer.find("data");
  const JsonValue* list = data == nullptr ? nullptr : data->find("notifications");
  if (list == nullptr) return invalid("the answer is not Tarsier's");
  std::string out;
  for (const JsonValue& n : list->items()) {
    const std::string state = text_of(n, "state");
    out += fmt::format("{} {} to {} {} firing={} resolved={} attempts={}", text_of(n, "createdAt"),
                       state, text_of(n, "integration"), text_of(n, "groupKey"),
                       number_of(n, "firing"), number_of(n, "resolved"), number_of(n, "attempts"));
    if (state != "delivered") out += " id=" + text_of(n, "id");
    if (const std::string error = text_of(n, "error"); !error.empty()) out += " error=" + error;
    out += '\n';
  }
  return out;
}

int check_notifier_files(std::span<const std::string> paths) {
  if (paths.empty()) return complain("usage: tarsier check notifier FILE...", kUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  int code = kOk;
  for (const std::string& path : paths) {
    print(fmt::format("Checking {}\n", path));
    const Result<std::string> text = read_file(*files, path, kConfigBytesMax);
    const ConfigSources sources{
        .file = path, .files = files.get(), .environment = environment_variable};
    const Result<alerting::NotifierConfig> config =
        text.ok() ? parse_notifier_config(*text, sources)
                  : Result<alerting::NotifierConfig>(text.status());
    if (!config.ok()) {
      std::fflush(stdout);
      code = complain(fmt::format("  FAILED: {}\n", config.status().message()), kFailed);
      continue;
    }
    print(fmt::format(" SUCCESS: {} receivers, {} inhibit rules, {} template files\n\n",
                      config->receivers.size(), config->inhibit_rules.size(),
                      config->templates.size()));
  }
  return code;
}

}  // namespace tarsier::server
