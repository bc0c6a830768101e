#include "alerting/rule_api.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "base/rfc3339.h"
#include "base/sha256.h"
#include "query/listing_selector.h"
#include "query/result_json.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {
namespace {

using Selectors = std::vector<std::vector<tsdb::Matcher>>;

/// What of the rules is asked for.
struct Filter {
  bool with_alerting = true;
  bool with_recording = true;
  bool exclude_alerts = false;
  std::vector<std::string_view> names;
  std::vector<std::string_view> groups;
  std::vector<std::string_view> files;
  Selectors selectors;
  std::size_t group_limit = 0;
  std::string group_next_token;
};

bool is_among(const std::vector<std::string_view>& wanted, std::string_view name) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
}

Result<bool> parse_bool(std::string_view text) {
  if (text == "1" || text == "t" || text == "T" || text == "true" || text == "TRUE" ||
      text == "True") {
    return true;
  }
  if (text.empty() || text == "0" || text == "f" || text == "F" || text == "false" ||
      text == "FALSE" || text == "False") {
    return false;
  }
  return invalid(fmt::format("strconv.ParseBool: parsing {}: invalid syntax", quote(text)));
}

Result<Filter> read_filter(const HttpRequest& request) {
  Filter filter;
  const std::string_view type = request.parameter("type").value_or("");
  if (type == "alert") {
    filter.with_recording = false;
  } else if (type == "record") {
    filter.with_alerting = false;
  } else if (!type.empty()) {
    return invalid_parameter("type", fmt::format("not supported value {}", quote(type)));
  }
  filter.names = request.parameter_values("rule_name[]");
  filter.groups = request.parameter_values("rule_group[]");
  filter.files = request.parameter_values("file[]");
  for (const std::string_view text : request.parameter_values("match[]")) {
    Result<std::vector<tsdb::Matcher>> parsed = query::parse_listing_selector(text);
    if (!parsed.ok()) return invalid(parsed.status().message());
    filter.selectors.push_back(std::move(*parsed));
  }
  const Result<bool> exclude = parse_bool(request.parameter("exclude_alerts").value_or(""));
  if (!exclude.ok()) {
    return invalid_parameter("exclude_alerts",
                             "error converting exclude_alerts: " + exclude.status().message());
  }
  filter.exclude_alerts = *exclude;
  const std::string_view limit = request.parameter("group_limit").value_or("");
  filter.group_next_token = request.parameter("group_next_token").value_or("");
  if (!limit.empty()) {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), n);
    if (error != std::errc{} || end != limit.data() + limit.size()) {
      return invalid_parameter(
          "group_limit",
          fmt::format(
              "group_limit needs to be a valid number: strconv.ParseInt: parsing {}: invalid "
              "syntax",
              quote(limit)));
    }
    if (n <= 0) return invalid_parameter("group_limit", "group_limit needs to be greater than 0");
    filter.group_limit = static_cast<std::size_t>(n);
  } else if (!filter.group_next_token.empty()) {
    return invalid_parameter(
        "group_next_token", "group_limit needs to be present in order to paginate over the groups");
  }
  return filter;
}

std::string_view label_of(const LabelMap& labels, std::string_view name) {
  for (const auto& [key, value] : labels) {
    if (key == name) return value;
  }
  return {};
}

/// Templated values are compared as written.
bool matches(const Selectors& selectors, const LabelMap& labels) {
  if (selectors.empty()) return true;
  return std::any_of(selectors.begin(), selectors.end(), [&](const auto& matchers) {
    return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
      return matcher.matches(label_of(labels, matcher.name()));
    });
  });
}

std::vector<RuleStatus> filtered(const std::vector<RuleStatus>& rules, const Filter& filter) {
  std::vector<RuleStatus> out;
  for (const RuleStatus& status : rules) {
    const Rule& rule = *status.rule;
    if (!(rule.is_alerting() ? filter.with_alerting : filter.with_recording)) continue;
    if (!is_among(filter.names, rule.name())) continue;
    if (matches(filter.selectors, rule.labels())) out.push_back(status);
  }
  return out;
}

std::string time_text(Timestamp t) {
  return t == kNotYet ? "0001-01-01T00:00:00Z" : format_rfc3339(t);
}

double seconds_of(Duration d) { return static_cast<double>(d.ms) / 1000; }

void write_map(JsonWriter& json, std::string_view name, const LabelMap& map) {
  json.key(name).begin_object();
  for (const auto& [key, value] : map) json.field(key, value);
  json.end_object();
}

void write_alert(JsonWriter& json, const AlertRecord& alert, const AlertLabelling& labelling) {
  json.begin_object().key("labels");
  query::write_labels(json, alert.labels);
  write_map(json, "annotations", alert.annotations);
  json.field("state", alert_state_name(alert.state));
  json.field("activeAt", format_rfc3339(alert.active_at));
  if (alert.keep_firing_since != kNotYet) {
    json.field("keepFiringSince", format_rfc3339(alert.keep_firing_since));
  }
  std::string value;
  append_scientific_number(value, alert.value);
  json.field("value", value);
  json.field("fingerprint", alert_id(alert.labels, labelling).to_string()).end_object();
}

std::string_view health_name(RuleHealth health) {
  switch (health) {
    case RuleHealth::kUnknown: return "unknown";
    case RuleHealth::kGood: return "ok";
    case RuleHealth::kBad: return "err";
  }
  return "unknown";
}

std::string_view state_name(const RuleStatus& status) {
  // After a restart alerts are known before the first evaluation.
  if (status.last_evaluation == kNotYet && status.alerts.empty()) return "unknown";
  AlertState highest = AlertState::kInactive;
  for (const AlertRecord& alert : status.alerts) highest = std::max(highest, alert.state);
  return alert_state_name(highest);
}

void write_rule(JsonWriter& json, const RuleStatus& status, bool exclude_alerts,
                const AlertLabelling& labelling) {
  const Rule& rule = *status.rule;
  json.begin_object();
  if (rule.is_alerting()) json.field("state", state_name(status));
  json.field("name", rule.name()).field("query", rule.query());
  if (rule.is_alerting()) {
    json.field("duration", seconds_of(rule.definition().hold));
    json.field("keepFiringFor", seconds_of(rule.definition().keep_firing_for));
  }
  write_map(json, "labels", rule.labels());
  if (rule.is_alerting()) {
    write_map(json, "annotations", rule.definition().annotations);
    json.key("alerts");
    if (exclude_alerts) {
      json.null();
    } else {
      json.begin_array();
      for (const AlertRecord& alert : status.alerts) write_alert(json, alert, labelling);
      json.end_array();
    }
  }
  json.field("health", health_name(status.health));
  if (!status.last_error.empty()) json.field("lastError", status.last_error);
  json.field("evaluationTime", status.evaluation_seconds);
  json.field("lastEvaluation", time_text(status.last_evaluation));
  json.field("type", rule.is_alerting() ? "alerting" : "recording").end_object();
}

void write_group(JsonWriter& json, const RuleGroupStatus& group, bool exclude_alerts,
                 const AlertLabelling& labelling) {
  json.begin_object().field("name", group.name).field("file", group.file).key("rules");
  json.begin_array();
  for (const RuleStatus& rule : group.rules) write_rule(json, rule, exclude_alerts, labelling);
  json.end_array();
  json.field("interval", seconds_of(group.interval)).field("limit", group.limit);
  json.field("evaluationTime", group.evaluation_seconds);
  json.field("lastEvaluation", time_text(group.last_evaluation)).end_object();
}

std::string token_of(const RuleGroupStatus& group) {
  return hex_text(sha256(as_bytes(group.file + ";" + group.name)));
}

}  // namespace

HttpResponse rules_response(const HttpRequest& request, const std::vector<RuleGroupStatus>& groups,
                            const AlertLabelling& labelling) {
  const Result<Filter> filter = read_filter(request);
  if (!filter.ok()) return api_error(filter.status());
  std::vector<RuleGroupStatus> shown;
  std::string next_token;
  bool has_begun = filter->group_next_token.empty();
  for (const RuleGroupStatus& group : groups) {
    if (!has_begun) {
      if (token_of(group) != filter->group_next_token) continue;
      has_begun = true;
    }
    if (!is_among(filter->groups, group.name) || !is_among(filter->files, group.file)) continue;
    RuleGroupStatus part = group;
    part.rules = filtered(group.rules, *filter);
    if (part.rules.empty() && !group.rules.empty()) continue;
    if (filter->group_limit > 0 && shown.size() == filter->group_limit) {
      next_token = token_of(group);
      break;
    }
    shown.push_back(std::move(part));
  }
  if (!has_begun) {
    return api_error(invalid_parameter(
        "group_next_token", fmt::format("invalid group_next_token '{}'. were rule groups changed?",
                                        filter->group_next_token)));
  }
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("groups").begin_array();
    for (const RuleGroupStatus& group : shown) {
      write_group(json, group, filter->exclude_alerts, labelling);
    }
    json.end_array();
    if (!next_token.empty()) json.field("groupNextToken", next_token);
    json.end_object();
  });
}

HttpResponse alerts_response(const std::vector<RuleGroupStatus>& groups,
                             const AlertLabelling& labelling) {
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("alerts").begin_array();
    for (const RuleGroupStatus& group : groups) {
      for (const RuleStatus& rule : group.rules) {
        for (const AlertRecord& alert : rule.alerts) write_alert(json, alert, labelling);
      }
    }
    json.end_array().end_object();
  });
}

HttpResponse alertmanagers_response(const std::vector<std::string>& active_urls,
                                    const std::vector<std::string>& dropped_urls) {
  const auto write = [](JsonWriter& json, std::string_view name,
                        const std::vector<std::string>& urls) {
    json.key(name).begin_array();
    for (const std::string& url : urls) json.begin_object().field("url", url).end_object();
    json.end_array();
  };
  return api_success([&](JsonWriter& json) {
    json.begin_object();
    write(json, "activeAlertmanagers", active_urls);
    write(json, "droppedAlertmanagers", dropped_urls);
    json.end_object();
  });
}

}  // namespace tarsier::alerting
