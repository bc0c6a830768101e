#include "server/cli_slo.h"

#include <initializer_list>
#include <iterator>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "alerting/backtest.h"
#include "alerting/slo_generate.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_ask.h"
#include "server/slo_file.h"
#include "server/slo_own_form.h"
#include "server/slo_test_file.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

using Options = std::map<std::string, std::string>;

/// `--name=value` and `--name value` apart from the rest.
std::vector<std::string> split(std::span<const std::string> arguments, Options& options) {
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const std::size_t equals = argument.find('=');
    if (!argument.starts_with("--")) {
      rest.push_back(argument);
    } else if (equals != std::string::npos) {
      options[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    } else {
      options[argument.substr(2)] = i + 1 < arguments.size() ? arguments[++i] : "";
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
    out += fmt::format("{}={}&", name, form_encoded(found->second));
  }
  return out;
}

int import_slos(std::span<const std::string> paths, const CommandOutput& output) {
  const auto slos = read_files(paths);
  if (!slos.ok()) return complain(output, slos.status().message(), kCliFailed);
  std::string text = "slos:\n";
  for (const std::shared_ptr<const alerting::Slo>& slo : *slos) {
    std::vector<std::string> notes;
    const Result<std::string> one = own_form(*slo, notes);
    if (!one.ok()) {
      return complain(output, fmt::format("{}: {}", slo->id(), one.status().message()), kCliFailed);
    }
    for (const std::string& note : notes) {
      text += fmt::format("# {}\n", note);
      output.err(fmt::format("WARNING: {}: {}\n", slo->id(), note));
    }
    text += *one;
  }
  output.out(text);
  return kCliOk;
}

int generate(std::span<const std::string> paths, const CommandOutput& output) {
  const auto slos = read_files(paths);
  if (!slos.ok()) return complain(output, slos.status().message(), kCliFailed);
  std::vector<alerting::RuleGroupDefinition> groups;
  for (const std::shared_ptr<const alerting::Slo>& slo : *slos) {
    for (const std::string& note : alerting::generated_differences(*slo)) {
      output.err(fmt::format("WARNING: {}: {}\n", slo->id(), note));
    }
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
                ask_api(fmt::format("{}/api/tarsier/v1/slos/{}/backtest?{}", server,
                                    form_encoded(rest[1]), span)),
                format_backtest);
  }
  std::string query;
  const auto add = [&](std::initializer_list<const char*> names) {
    for (const char* name : names) {
      const auto value = options.find(name);
      if (value != options.end()) query += fmt::format("&{}={}", name, form_encoded(value->second));
    }
  };
  if (file != options.end()) {
    const std::unique_ptr<FileSystem> files = make_posix_file_system();
    const Result<std::string> text = read_file(*files, file->second, kSloFileBytesMax);
    if (!text.ok()) return complain(output, "error: " + text.status().message(), kCliFailed);
    query = "slo=" + form_encoded(*text);
    if (rest.size() == 2) query += "&id=" + form_encoded(rest[1]);
  } else if (const auto expression = options.find("expr"); expression != options.end()) {
    query = "expr=" + form_encoded(expression->second);
    add({"for", "keep_firing_for", "interval"});
  } else if (const auto rule = options.find("rule"); rule != options.end()) {
    query = "rule=" + form_encoded(rule->second);
  } else {
    return complain(output,
                    "slo backtest: of what? Give an objective's id, --file, --rule or --expr",
                    kCliUsage);
  }
  return show(output, ask_api(fmt::format("{}/api/tarsier/v1/backtest", server), span + query),
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
  return complain(
      output,
      "usage: tarsier slo list SERVER\n"
      "       tarsier slo show SERVER ID\n"
      "       tarsier slo backtest [--start=T] [--end=T] SERVER ID\n"
      "       tarsier slo backtest [--start=T] [--end=T] SERVER --file=FILE [ID]\n"
      "       tarsier slo backtest [--start=T] [--end=T] SERVER --rule=ALERTNAME\n"
      "       tarsier slo backtest [--for=D] [--keep_firing_for=D] [--interval=D] SERVER "
      "--expr=EXPR\n"
      "       tarsier slo generate FILE...    the same as rules of Prometheus\n"
      "       tarsier slo import FILE...      Sloth's, Pyrra's, OpenSLO's in our form",
      kCliUsage);
}

int explain_alert(std::span<const std::string> arguments, const CommandOutput& output) {
  Options options;
  const std::vector<std::string> rest = split(arguments, options);
  if (rest.size() != 2) {
    return complain(output,
                    "usage: tarsier alert explain [--start=T] [--end=T] SERVER ID\n"
                    "ID is the id of an alert (alert list, alert history), of an objective, or the "
                    "name of an alerting rule",
                    kCliUsage);
  }
  return show(output,
              ask_api(fmt::format("{}/api/tarsier/v1/alerts/{}/timeline?{}", server_url(rest[0]),
                                  form_encoded(rest[1]), span_parameters(options))),
              format_timeline);
}

}  // namespace tarsier::server
