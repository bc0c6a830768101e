// What `slo list|show|backtest` and `alert explain` print for the answers of a server.

#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/json_reader.h"
#include "base/number_text.h"
#include "server/cli_ask.h"
#include "server/cli_slo.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

std::string percent_text(double ratio) {
  return std::isnan(ratio) ? "unknown" : fmt::format("{:.4g} %", 100 * ratio);
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

}  // namespace

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
    if (const std::string error = text_at(slo, "lastError"); !error.empty()) {
      out += fmt::format("  ERROR: {}\n", error);
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

namespace {

std::string seconds_text(const JsonValue& object, std::string_view name) {
  const double seconds = number_at(object, name);
  if (std::isnan(seconds)) return "never";
  return format_duration({static_cast<std::int64_t>(std::llround(seconds)) * 1000});
}

/// One line per tier: how soon it fires and how soon it is over, by share of errors.
std::string forecast_text(const JsonValue& data) {
  std::string out;
  for (const JsonValue& tier : list_at(data, "forecast")) {
    out += fmt::format("  {} {}/{} above {}:", text_at(tier, "severity"), text_at(tier, "long"),
                       text_at(tier, "short"), percent_text(number_at(tier, "threshold")));
    for (const JsonValue& one : list_at(tier, "cases")) {
      const std::string share = percent_text(number_at(one, "errorRatio"));
      const std::string detection = seconds_text(one, "detectionSeconds");
      out += detection == "never" ? fmt::format(" {}: never;", share)
                                  : fmt::format(" {}: after {}, over {} after its end;", share,
                                                detection, seconds_text(one, "resetSeconds"));
    }
    out.back() = '\n';
  }
  return out.empty() ? "" : "tiers, by share of errors:\n" + out;
}

std::string backtest_text(const JsonValue& data) {
  std::string out =
      fmt::format("{}: {} to {}, {} evaluations\n", text_at(data, "id"), text_at(data, "start"),
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
  return out + forecast_text(data);
}

}  // namespace

Result<std::string> format_backtest(std::string_view body) {
  const JsonValue data = TRY(data_of(body));
  if (data.find("backtests") == nullptr) return backtest_text(data);
  std::string out;
  for (const JsonValue& one : list_at(data, "backtests")) {
    out += (out.empty() ? "" : "\n") + backtest_text(one);
  }
  return out;
}

Result<std::string> format_timeline(std::string_view body) {
  const JsonValue data = TRY(data_of(body));
  std::string out = fmt::format("{} {}\n{}\n", text_at(data, "id"), labels_at(data, "labels"),
                                text_at(data, "cause"));
  std::multimap<std::string, std::string> lines;
  const std::string hold = text_at(data, "for");
  const bool has_hold = !hold.empty() && hold != "0s";
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
    const double held = number_at(tick, "heldSeconds");
    std::string line =
        fmt::format("{} {}", is_active.ok() && *is_active ? "true " : "false", values);
    if (has_hold && held > 0) {
      line += fmt::format(" for {} of {}", seconds_text(tick, "heldSeconds"), hold);
    }
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
