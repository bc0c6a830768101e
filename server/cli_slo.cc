#include "server/cli_slo.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "alerting/backtest.h"
#include "alerting/slo_generate.h"
#include "base/duration.h"
#include "base/json_reader.h"
#include "base/number_text.h"
#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_ask.h"
#include "server/slo_file.h"
#include "server/slo_own_form.h"
#include "server/slo_test_file.h"
#include "server/url.h"
#include "server/yaml.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

using Options = std::map<std::string, std::string>;

/// `--name=value` apart from the rest.
std::vector<std::string> split(std::span<const std::string> arguments, Options& options) {
  std::vector<std::string> rest;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (argument.starts_with("--") && equals != std::string::npos) {
      options[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    } else {
      rest.push_back(argument);
    }
  }
  return rest;
}

int complain(const CommandOutput& output, std::string_view text, int code) {
  output.err(fmt::format("{}\n", text));
  return code;
}

std::string percent_text(double ratio) { return fmt::format("{:.4g} %", 100 * ratio); }

std::string describe(const alerting::Slo& slo) {
  std::string out = fmt::format(
      "  {}: {} % over {}, {}\n", slo.id(), short_number(slo.definition().objective_percent),
      period_text(slo.definition().period),
      slo.counting() == alerting::SloCounting::kEvents ? "events" : "promql");
  for (const alerting::TierForecast& one : alerting::forecast_tiers(slo)) {
    const auto& outage = one.cases.front();
    out += fmt::format(
        "    {} {}/{} above {} ({} of errors): {}\n", severity_name(one.tier.severity),
        format_duration(one.tier.long_window), format_duration(one.tier.short_window),
        short_number(one.tier.factor), percent_text(one.threshold),
        outage.detection
            ? fmt::format("a full outage fires after {}, is over {} after its end",
                          format_duration(*outage.detection), format_duration(*outage.reset))
            : "it can never fire");
  }
  for (const std::string& warning : slo.warnings())
    out += fmt::format("    WARNING: {}\n", warning);
  return out;
}

Result<std::vector<std::shared_ptr<const alerting::Slo>>> read_files(
    std::span<const std::string> paths) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  for (const std::string& path : paths) {
    if (!files->exists(path)) return not_found(path + ": no such file");
  }
  return read_slo_files(*files, {paths.begin(), paths.end()});
}

std::string text_at(const JsonValue& object, std::string_view name) {
  const JsonValue* const value = object.find(name);
  if (value == nullptr) return "";
  Result<std::string> text = value->as_string();
  return text.ok() ? std::move(*text) : "";
}
double number_at(const JsonValue& object, std::string_view name) {
  const JsonValue* const value = object.find(name);
  if (value == nullptr) return std::nan("");
  const Result<double> number = value->as_double();
  return number.ok() ? *number : std::nan("");
}
std::string labels_at(const JsonValue& object, std::string_view name) {
  const JsonValue* const labels = object.find(name);
  if (labels == nullptr) return "";
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < labels->keys().size(); ++i) {
    const Result<std::string> value = labels->items()[i].as_string();
    if (value.ok()) builder.set(labels->keys()[i], *value);
  }
  const tsdb::Labels out = builder.build();
  return out.empty() ? "" : out.to_string();
}
const std::vector<JsonValue>& list_at(const JsonValue& object, std::string_view name) {
  static const std::vector<JsonValue> kNone;
  const JsonValue* const list = object.find(name);
  return list == nullptr ? kNone : list->items();
}
Result<JsonValue> data_of(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  if (text_at(answer, "status") != "success") {
    return invalid(fmt::format("{}: {}", text_at(answer, "errorType"), text_at(answer, "error")));
  }
  const JsonValue* const data = answer.find("data");
  if (data == nullptr) return invalid("the answer is not Tarsier's");
  return *data;
}

int show(const CommandOutput& output, const Result<std::string>& body,
         Result<std::string> (*format)(std::string_view)) {
  if (!body.ok()) return complain(output, "error: " + body.status().message(), kCliFailed);
  const Result<std::string> text = format(*body);
  if (!text.ok()) return complain(output, "error: " + text.status().message(), kCliFailed);
  output.out(*text);
  return kCliOk;
}

std::string span_parameters(const Options& options) {
  std::string out;
  for (const char* name : {"start", "end"}) {
    const auto found = options.find(name);
    if (found == options.end()) continue;
    out += fmt::format("{}{}={}", out.empty() ? "?" : "&", name, form_encoded(found->second));
  }
  return out;
}

int import_slos(std::span<const std::string> paths, const CommandOutput& output) {
  const auto slos = read_files(paths);
  if (!slos.ok()) return complain(output, slos.status().message(), kCliFailed);
  std::string text = "slos:\n";
  for (const std::shared_ptr<const alerting::Slo>& slo : *slos) {
    const std::string one = slo_own_form(slo->definition());
    if (one.empty()) {
      return complain(output,
                      fmt::format("{}: samples compared with a number have no words in our form; "
                                  "name the file in slo_files as it is",
                                  slo->id()),
                      kCliFailed);
    }
    text += one;
    if (slo->tiers().empty()) continue;
    text += "    tiers:\n";
    for (const alerting::BurnTier& tier : slo->tiers()) {
      text += fmt::format("    - {{severity: {}, long: {}, short: {}, factor: {}{}}}\n",
                          severity_name(tier.severity), format_duration(tier.long_window),
                          format_duration(tier.short_window), plain_number(tier.factor),
                          tier.hold.ms > 0 ? ", for: " + format_duration(tier.hold) : "");
    }
  }
  output.out(text);
  return kCliOk;
}

int generate(std::span<const std::string> paths, const CommandOutput& output) {
  const auto slos = read_files(paths);
  if (!slos.ok()) return complain(output, slos.status().message(), kCliFailed);
  std::vector<alerting::RuleGroupDefinition> groups;
  for (const std::shared_ptr<const alerting::Slo>& slo : *slos) {
    std::vector<alerting::RuleGroupDefinition> more = alerting::generate_rules(*slo);
    std::move(more.begin(), more.end(), std::back_inserter(groups));
  }
  output.out(alerting::rule_file_text(groups));
  return kCliOk;
}

int backtest(std::span<const std::string> rest, const Options& options,
             const CommandOutput& output) {
  const std::string server = server_url(rest[0]);
  const std::string span = span_parameters(options);
  const auto file = options.find("file");
  if (file == options.end() && rest.size() == 2) {
    return show(output,
                ask_api(fmt::format("{}/api/tarsier/v1/slos/{}/backtest{}", server,
                                    form_encoded(rest[1]), span)),
                format_backtest);
  }
  std::string query;
  if (file != options.end()) {
    const std::unique_ptr<FileSystem> files = make_posix_file_system();
    const Result<std::string> text = read_file(*files, file->second, kSloFileBytesMax);
    if (!text.ok()) return complain(output, "error: " + text.status().message(), kCliFailed);
    query = "slo=" + form_encoded(*text);
  } else if (const auto expression = options.find("expr"); expression != options.end()) {
    query = "expr=" + form_encoded(expression->second);
    for (const char* name : {"for", "interval"}) {
      const auto value = options.find(name);
      if (value != options.end()) query += fmt::format("&{}={}", name, form_encoded(value->second));
    }
  } else {
    return complain(output, "slo backtest: which objective? Give its id, --file or --expr",
                    kCliUsage);
  }
  return show(output,
              ask_api(fmt::format("{}/api/tarsier/v1/backtest{}{}{}", server, span,
                                  span.empty() ? "?" : "&", query)),
              format_backtest);
}

}  // namespace

int check_slos(std::span<const std::string> arguments, const CommandOutput& output) {
  if (arguments.empty()) return complain(output, "usage: tarsier check slo FILE...", kCliUsage);
  int code = kCliOk;
  for (const std::string& path : arguments) {
    output.out(fmt::format("Checking {}\n", path));
    const auto slos = read_files(std::span(&path, 1));
    if (!slos.ok()) {
      code = complain(output, fmt::format("  FAILED:\n{}\n", slos.status().message()), kCliFailed);
      continue;
    }
    std::string text;
    for (const std::shared_ptr<const alerting::Slo>& slo : *slos) text += describe(*slo);
    output.out(fmt::format("{} SUCCESS: {} objectives\n\n", text, slos->size()));
  }
  return code;
}

int test_slos(std::span<const std::string> arguments, const CommandOutput& output) {
  if (arguments.empty()) return complain(output, "usage: tarsier test slo FILE...", kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  int code = kCliOk;
  for (const std::string& path : arguments) {
    output.out(fmt::format("SLO tests: {}\n", path));
    const Result<std::vector<std::string>> failures = run_slo_tests(*files, path);
    if (!failures.ok()) {
      code = complain(output, "  FAILED: " + failures.status().message(), kCliFailed);
    } else if (!failures->empty()) {
      code = complain(output, fmt::format("  FAILED:\n    {}", fmt::join(*failures, "\n    ")),
                      kCliFailed);
    } else {
      output.out("  SUCCESS\n");
    }
  }
  return code;
}

int run_slo_command(std::span<const std::string> arguments, const CommandOutput& output) {
  Options options;
  const std::vector<std::string> rest = split(arguments, options);
  const std::string verb = rest.empty() ? "" : rest[0];
  const std::span<const std::string> names(rest.begin() + (rest.empty() ? 0 : 1), rest.end());
  if (verb == "generate" && !names.empty()) return generate(names, output);
  if (verb == "import" && !names.empty()) return import_slos(names, output);
  if (verb == "list" && names.size() == 1) {
    return show(output, ask_api(server_url(names[0]) + "/api/tarsier/v1/slos"), format_slos);
  }
  if (verb == "show" && names.size() == 2) {
    return show(output,
                ask_api(fmt::format("{}/api/tarsier/v1/slos/{}", server_url(names[0]),
                                    form_encoded(names[1]))),
                format_slos);
  }
  if (verb == "backtest" && !names.empty()) return backtest(names, options, output);
  return complain(output,
                  "usage: tarsier slo list SERVER\n"
                  "       tarsier slo show SERVER ID\n"
                  "       tarsier slo backtest [--start=T] [--end=T] SERVER ID\n"
                  "       tarsier slo backtest [--start=T] [--end=T] SERVER --file=FILE\n"
                  "       tarsier slo backtest [--for=D] [--interval=D] SERVER --expr=EXPR\n"
                  "       tarsier slo generate FILE...    the same as rules of Prometheus\n"
                  "       tarsier slo import FILE...      Sloth's, Pyrra's, OpenSLO's in our form",
                  kCliUsage);
}

int explain_alert(std::span<const std::string> arguments, const CommandOutput& output) {
  Options options;
  const std::vector<std::string> rest = split(arguments, options);
  if (rest.size() != 2) {
    return complain(output, "usage: tarsier alert explain [--start=T] [--end=T] SERVER ID",
                    kCliUsage);
  }
  return show(output,
              ask_api(fmt::format("{}/api/tarsier/v1/alerts/{}/timeline{}", server_url(rest[0]),
                                  form_encoded(rest[1]), span_parameters(options))),
              format_timeline);
}

Result<std::string> format_slos(std::string_view body) {
  const JsonValue data = TRY(data_of(body));
  std::string out;
  const auto add = [&](const JsonValue& slo) {
    const std::string id = text_at(slo, "id");
    out += fmt::format("{} {} % over {}\n", id, short_number(number_at(slo, "objective")),
                       text_at(slo, "period"));
    for (const JsonValue& group : list_at(slo, "groups")) {
      const JsonValue* const period = group.find("period");
      const double ratio = period == nullptr ? std::nan("") : number_at(*period, "errorRatio");
      const double coverage = period == nullptr ? 0 : number_at(*period, "coverage");
      const std::string left = text_at(group, "timeToExhaustion");
      const std::string labels = labels_at(group, "group");
      out += fmt::format("  {}{}{} errors, {} of the budget left (covered: {:.0f} %)\n",
                         labels.empty() ? "" : labels + " ", text_at(group, "state") + ": ",
                         percent_text(ratio), percent_text(number_at(group, "budgetRemaining")),
                         100 * coverage);
      if (const JsonValue* const causes = group.find("causes")) {
        for (const JsonValue& cause : causes->items()) {
          const Result<std::string> text = cause.as_string();
          if (text.ok()) out += fmt::format("    {}\n", *text);
        }
      }
    }
    for (const JsonValue& alert : list_at(slo, "alerts")) {
      out +=
          fmt::format("  alert {} {} since {} {}\n", text_at(alert, "id"), text_at(alert, "state"),
                      text_at(alert, "activeAt"), labels_at(alert, "labels"));
    }
    for (const JsonValue& warning : list_at(slo, "warnings")) {
      const Result<std::string> text = warning.as_string();
      if (text.ok()) out += fmt::format("  WARNING: {}\n", *text);
    }
  };
  if (data.find("slos") == nullptr) {
    add(data);
  } else {
    for (const JsonValue& slo : list_at(data, "slos")) add(slo);
  }
  return out;
}

Result<std::string> format_backtest(std::string_view body) {
  const JsonValue data = TRY(data_of(body));
  std::string out = fmt::format("{} to {}: {} evaluations\n", text_at(data, "start"),
                                text_at(data, "end"), number_at(data, "evaluations"));
  for (const JsonValue& alert : list_at(data, "alerts")) {
    const std::string ended = text_at(alert, "endedAt");
    out += fmt::format(
        "{} {} until {}{}{}\n  {}\n", text_at(alert, "firedAt"), text_at(alert, "severity"),
        ended.empty() ? "the end" : ended,
        text_at(alert, "reason") == "data stopped" ? " (data stopped)" : "",
        [&] {
          const JsonValue* const quiet = alert.find("inhibited");
          const Result<bool> is_quiet = quiet == nullptr ? Result<bool>(false) : quiet->as_bool();
          return is_quiet.ok() && *is_quiet ? " (its page fired)" : "";
        }(),
        text_at(alert, "cause"));
  }
  if (list_at(data, "alerts").empty()) out += "no alerts\n";
  for (const JsonValue& budget : list_at(data, "budgets")) {
    const std::string labels = labels_at(budget, "group");
    out += fmt::format("{}{} of the budget consumed, {} bad of {} events\n",
                       labels.empty() ? "" : labels + ": ",
                       percent_text(number_at(budget, "consumed")),
                       plain_number(std::round(number_at(budget, "badEvents"))),
                       plain_number(std::round(number_at(budget, "totalEvents"))));
  }
  for (const JsonValue& warning : list_at(data, "warnings")) {
    const Result<std::string> text = warning.as_string();
    if (text.ok()) out += fmt::format("WARNING: {}\n", *text);
  }
  return out;
}

Result<std::string> format_timeline(std::string_view body) {
  const JsonValue data = TRY(data_of(body));
  std::string out = fmt::format("{} {}\n{}\n", text_at(data, "id"), labels_at(data, "labels"),
                                text_at(data, "cause"));
  std::multimap<std::string, std::string> lines;
  std::string before;
  for (const JsonValue& tick : list_at(data, "ticks")) {
    std::string values;
    for (const JsonValue& value : list_at(tick, "values")) {
      values += fmt::format("{}{}={}", values.empty() ? "" : " ", text_at(value, "name"),
                            short_number(number_at(value, "value")));
      const double threshold = number_at(value, "threshold");
      if (!std::isnan(threshold)) values += fmt::format(" (>{})", short_number(threshold));
    }
    const JsonValue* const active = tick.find("active");
    const Result<bool> is_active = active == nullptr ? Result<bool>(false) : active->as_bool();
    const std::string line =
        fmt::format("{} {}", is_active.ok() && *is_active ? "true " : "false", values);
    // Evaluations that found the same as the one before tell nothing.
    if (line != before) lines.emplace(text_at(tick, "at"), line);
    before = line;
  }
  for (const JsonValue& event : list_at(data, "events")) {
    const std::string reason = text_at(event, "reason");
    lines.emplace(text_at(event, "at"),
                  fmt::format("-> {}{}", text_at(event, "event"),
                              reason.empty() ? "" : fmt::format(" ({})", reason)));
  }
  for (const JsonValue& one : list_at(data, "notifications")) {
    lines.emplace(text_at(one, "at"),
                  fmt::format("notification to {}: {} {}", text_at(one, "receiver"),
                              text_at(one, "state"), text_at(one, "outcome")));
  }
  for (const auto& [at, line] : lines) out += fmt::format("{} {}\n", at, line);
  return out;
}

}  // namespace tarsier::server
