#include "server/cli_alert.h"

#include <set>
#include <vector>

#include <fmt/format.h>

#include "alerting/alert.h"
#include "alerting/notifier_config.h"
#include "base/json_reader.h"
#include "base/percent_encoding.h"
#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_ask.h"
#include "server/cli_help.h"
#include "server/config.h"
#include "server/glob.h"
#include "server/notifier_config.h"
#include "server/settings.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

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

/// What an answer that is no success says.
std::string error_of(const HttpResponse& response) {
  const Result<JsonValue> json = parse_json(response.body, kAnswerLimits);
  const std::string told =
      json.ok() && json->kind() == JsonKind::kObject ? text_of(*json, "error") : "";
  return told.empty() ? fmt::format("{}: {}", response.status, response.body) : told;
}

Result<std::string> ask(const std::string& method, const std::string& url) {
  Result<HttpResponse> response = ask_server(method, url);
  if (!response.ok()) return std::move(response).status();
  if (response->status / 100 != 2) {
    return invalid(error_of(*response));
  }
  return std::move(response->body);
}

int show(const Result<std::string>& body, Result<std::string> (*format)(std::string_view)) {
  if (!body.ok()) return cli_complain("error: " + body.status().message(), kCliFailed);
  const Result<std::string> text = format(*body);
  if (!text.ok()) return cli_complain("error: " + text.status().message(), kCliFailed);
  cli_print(*text);
  return kCliOk;
}

Result<tsdb::Labels> labels_of(const JsonValue& object) {
  const JsonValue* labels = object.find("labels");
  if (labels == nullptr || labels->kind() != JsonKind::kObject) {
    return invalid("an alert has no labels");
  }
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < labels->items().size(); ++i) {
    builder.set(labels->keys()[i], TRY(labels->items()[i].as_string()));
  }
  return builder.build();
}

/// A member of an answer's `data`.
Result<const JsonValue*> data_of(const JsonValue& answer, std::string_view name) {
  const JsonValue* data = answer.find("data");
  const JsonValue* member = data == nullptr ? nullptr : data->find(name);
  if (member == nullptr) return invalid("the answer is not Tarsier's");
  return member;
}

int list_alerts(const std::string& server) {
  const Result<HttpResponse> v2 = ask_server("GET", server + "/api/v2/alerts");
  const bool has_notifier = v2.ok() && v2->status == 200;
  const Result<std::string> v1 = ask("GET", server + "/api/v1/alerts");
  if (!v1.ok()) return cli_complain("error: " + v1.status().message(), kCliFailed);
  const Result<std::string> text = format_alerts(has_notifier ? v2->body : "", *v1);
  if (!text.ok()) return cli_complain("error: " + text.status().message(), kCliFailed);
  cli_print(*text);
  return kCliOk;
}

Result<std::string> format_replayed(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  const Result<std::uint64_t> count = TRY(data_of(answer, "replayed"))->as_uint64();
  return fmt::format("{} dead letters are sent again\n", count.ok() ? *count : 0);
}

/// `?id=...&match[]=...&limit=...` of what was given.
std::string parameters_of(const CliArguments& arguments) {
  std::string out;
  const auto add = [&](std::string_view name, const std::string& value) {
    out += fmt::format("{}{}={}", out.empty() ? '?' : '&', name, percent_encoded(value));
  };
  for (const char* const name : {"id", "start", "end", "limit"}) {
    if (arguments.has(name)) add(name, arguments.value(name));
  }
  for (const std::string& match : arguments.all("match")) add("match[]", match);
  return out;
}

int complain_of_usage(std::span<const std::string> arguments) {
  std::vector<std::string> words{"alert"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return cli_complain(command_help(words).value_or(""), kCliUsage);
}

}  // namespace

int run_alert_command(std::span<const std::string> arguments) {
  const Result<CliArguments> parsed =
      parse_cli(arguments, {.switches = {}, .values = {"id", "match", "start", "end", "limit"}});
  if (!parsed.ok()) return cli_complain("error: " + parsed.status().message(), kCliUsage);
  if (parsed->rest.size() != 2) return complain_of_usage(arguments);
  const std::string& verb = parsed->rest[0];
  const std::string server = server_url(parsed->rest[1]);
  const std::string own = server + "/api/tarsier/v1";
  if (verb == "list") return list_alerts(server);
  if (verb == "history") {
    return show(ask("GET", own + "/alerts/history" + parameters_of(*parsed)), format_history);
  }
  if (verb == "notifications") {
    return show(ask("GET", own + "/notifications" + parameters_of(*parsed)), format_notifications);
  }
  if (verb == "replay") {
    return show(ask("POST", own + "/notifications/replay" + parameters_of(*parsed)),
                format_replayed);
  }
  return complain_of_usage(arguments);
}

Result<std::string> format_alerts(std::string_view v2_body, std::string_view v1_body) {
  std::string out;
  std::set<std::string> shown;
  if (!v2_body.empty()) {
    const JsonValue answer = TRY(parse_json(v2_body, kAnswerLimits));
    if (answer.kind() != JsonKind::kArray) return invalid("the answer is not Alertmanager's");
    for (const JsonValue& alert : answer.items()) {
      const JsonValue* status = alert.find("status");
      if (status == nullptr) return invalid("an alert has no status");
      shown.insert(text_of(alert, "fingerprint"));
      out += fmt::format("{} {} since {} {}\n", text_of(alert, "fingerprint"),
                         text_of(*status, "state"), text_of(alert, "startsAt"),
                         TRY(labels_of(alert)).to_string());
    }
  }
  const JsonValue answer = TRY(parse_json(v1_body, kAnswerLimits));
  for (const JsonValue& alert : TRY(data_of(answer, "alerts"))->items()) {
    const tsdb::Labels labels = TRY(labels_of(alert));
    std::string id = text_of(alert, "fingerprint");
    if (id.empty()) id = alerting::fingerprint_of(labels).to_string();  // Prometheus has none.
    if (shown.contains(id)) continue;
    out += fmt::format("{} {} since {} {}\n", id, text_of(alert, "state"),
                       text_of(alert, "activeAt"), labels.to_string());
  }
  return out;
}

Result<std::string> format_history(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  std::string out;
  const std::vector<JsonValue>& events = TRY(data_of(answer, "events"))->items();
  // The answer begins with the newest; a terminal ends with it.
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    const std::string reason = text_of(*event, "reason");
    out += fmt::format("{} {} {} {}{}{}\n", text_of(*event, "at"), text_of(*event, "id"),
                       text_of(*event, "event"), TRY(labels_of(*event)).to_string(),
                       reason.empty() ? "" : ": ", reason);
  }
  return out;
}

Result<std::string> format_notifications(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  std::string out;
  for (const JsonValue& n : TRY(data_of(answer, "notifications"))->items()) {
    const std::string state = text_of(n, "state");
    out += fmt::format("{} {} to {} {} firing={} resolved={} attempts={}", text_of(n, "createdAt"),
                       state, text_of(n, "integration"), text_of(n, "groupKey"),
                       number_of(n, "firing"), number_of(n, "resolved"), number_of(n, "attempts"));
    if (state != "delivered") out += " id=" + text_of(n, "id");
    if (const std::string error = text_of(n, "error"); !error.empty()) out += " error=" + error;
    out += '\n';
  }
  const JsonValue* const forgotten = answer.find("data")->find("forgotten");
  if (forgotten != nullptr && forgotten->as_bool().ok() && *forgotten->as_bool()) {
    out += "(older ones that were delivered are no longer known)\n";
  }
  return out;
}

int check_notifier_files(std::span<const std::string> paths) {
  if (paths.empty()) return cli_complain("usage: tarsier check notifier FILE...", kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  int code = kCliOk;
  for (const std::string& path : files_meant(*files, paths)) {
    cli_print(fmt::format("Checking {}\n", path));
    const Result<std::string> text = read_file(*files, path, kConfigBytesMax);
    const ConfigSources sources{
        .file = path, .files = files.get(), .environment = environment_variable};
    const Result<alerting::NotifierConfig> config =
        text.ok() ? parse_notifier_config(*text, sources)
                  : Result<alerting::NotifierConfig>(text.status());
    if (!config.ok()) {
      code = cli_complain(fmt::format("  FAILED: {}\n", config.status().message()), kCliFailed);
      continue;
    }
    cli_print(fmt::format(" SUCCESS: {} receivers, {} inhibit rules, {} template files\n\n",
                          config->receivers.size(), config->inhibit_rules.size(),
                          config->templates.size()));
  }
  return code;
}

}  // namespace tarsier::server
