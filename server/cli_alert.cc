#include "server/cli_alert.h"

#include <fmt/format.h>

#include "alerting/alert.h"
#include "alerting/notifier_config.h"
#include "base/json_reader.h"
#include "base/percent_encoding.h"
#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_ask.h"
#include "server/config.h"
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

Result<std::string> ask(const std::string& method, const std::string& url) {
  Result<HttpResponse> response = ask_server(method, url);
  if (!response.ok()) return std::move(response).status();
  if (response->status / 100 != 2) {
    return invalid(fmt::format("{}: {}", response->status, response->body));
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

/// The notifier's view says more; a server without one still knows the alerts of its rules.
int list_alerts(const std::string& server) {
  const Result<HttpResponse> response = ask_server("GET", server + "/api/v2/alerts");
  if (response.ok() && response->status == 200) return show(response->body, format_alerts);
  return show(ask("GET", server + "/api/v1/alerts"), format_rule_alerts);
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

constexpr std::string_view kUsageText =
    "usage: tarsier alert list SERVER\n"
    "       tarsier alert history [--id=FINGERPRINT] [--match=SELECTOR] [--start=T] [--end=T] "
    "[--limit=N] SERVER\n"
    "       tarsier alert notifications SERVER\n"
    "       tarsier alert replay [--id=ID] SERVER";

}  // namespace

int run_alert_command(std::span<const std::string> arguments) {
  const Result<CliArguments> parsed =
      parse_cli(arguments, {.switches = {}, .values = {"id", "match", "start", "end", "limit"}});
  if (!parsed.ok() || parsed->rest.size() != 2) return cli_complain(kUsageText, kCliUsage);
  const std::string& verb = parsed->rest[0];
  const std::string server = server_url(parsed->rest[1]);
  const std::string own = server + "/api/tarsier/v1";
  if (verb == "list") return list_alerts(server);
  if (verb == "history") {
    return show(ask("GET", own + "/alerts/history" + parameters_of(*parsed)), format_history);
  }
  if (verb == "notifications") {
    return show(ask("GET", own + "/notifications"), format_notifications);
  }
  if (verb == "replay") {
    return show(ask("POST", own + "/notifications/replay" + parameters_of(*parsed)),
                format_replayed);
  }
  return cli_complain(kUsageText, kCliUsage);
}

Result<std::string> format_alerts(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  if (answer.kind() != JsonKind::kArray) return invalid("the answer is not Alertmanager's");
  std::string out;
  for (const JsonValue& alert : answer.items()) {
    const JsonValue* status = alert.find("status");
    if (status == nullptr) return invalid("an alert has no status");
    out +=
        fmt::format("{} {} since {} {}\n", text_of(alert, "fingerprint"), text_of(*status, "state"),
                    text_of(alert, "startsAt"), TRY(labels_of(alert)).to_string());
  }
  return out;
}

Result<std::string> format_rule_alerts(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  std::string out;
  for (const JsonValue& alert : TRY(data_of(answer, "alerts"))->items()) {
    const tsdb::Labels labels = TRY(labels_of(alert));
    out += fmt::format("{} {} since {} {}\n", alerting::fingerprint_of(labels).to_string(),
                       text_of(alert, "state"), text_of(alert, "activeAt"), labels.to_string());
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
  return out;
}

int check_notifier_files(std::span<const std::string> paths) {
  if (paths.empty()) return cli_complain("usage: tarsier check notifier FILE...", kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  int code = kCliOk;
  for (const std::string& path : paths) {
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
