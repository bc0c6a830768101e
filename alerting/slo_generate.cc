#include "alerting/slo_generate.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "alerting/slo_alerts.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/number_text.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

LabelMap as_map(const tsdb::Labels& labels) {
  LabelMap out;
  for (const tsdb::LabelView& label : labels) {
    out.emplace_back(std::string(label.name), std::string(label.value));
  }
  return out;
}

LabelMap with(LabelMap labels, const LabelMap& more) {
  std::map<std::string, std::string> all(labels.begin(), labels.end());
  for (const auto& [name, value] : more) all[name] = value;
  return {all.begin(), all.end()};
}

std::string selector(const LabelMap& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    out += fmt::format("{}{}={}", out.size() > 1 ? ", " : "", name, quote(value));
  }
  return out + "}";
}

/// Sloth's three groups.
class SlothRules final {
 public:
  explicit SlothRules(const Slo& slo) : slo_(slo), definition_(slo.definition()) {
    id_labels_ = {{"sloth_id", slo.id()},
                  {"sloth_service", definition_.service.empty() ? slo.id() : definition_.service},
                  {"sloth_slo", definition_.name}};
  }

  std::vector<RuleGroupDefinition> run() { return {recordings(), metadata(), alerts()}; }

 private:
  static std::string ratio_name(const std::string& window) {
    return "slo:sli_error:ratio_rate" + window;
  }
  LabelMap labels_of(const std::string& window) const {
    return with(with(id_labels_, {{"sloth_window", window}}), definition_.labels);
  }

  RuleGroupDefinition recordings() const {
    RuleGroupDefinition group{.name = "sloth-slo-sli-recordings-" + slo_.id()};
    for (const Duration window : slo_.windows()) {
      const std::string text = format_duration(window);
      group.rules.push_back({.record = ratio_name(text),
                             .expression = slo_.ratio_query(window),
                             .labels = labels_of(text)});
    }
    const std::string period = format_duration(nominal_period(definition_.period));
    const std::string recent = ratio_name("5m") + selector(id_labels_);
    group.rules.push_back(
        {.record = ratio_name(period),
         .expression = fmt::format("sum_over_time({}[{}])\n/ ignoring (sloth_window)\n"
                                   "count_over_time({}[{}])\n",
                                   recent, period, recent, period),
         .labels = with(id_labels_, {{"sloth_window", period}})});
    return group;
  }

  RuleGroupDefinition metadata() const {
    RuleGroupDefinition group{.name = "sloth-slo-meta-recordings-" + slo_.id()};
    const LabelMap labels = with(id_labels_, definition_.labels);
    const std::string id = selector(id_labels_);
    const double objective = definition_.objective_percent / 100;
    const std::string period = format_duration(nominal_period(definition_.period));
    const double period_days =
        static_cast<double>(nominal_period(definition_.period).ms) / 86'400'000;
    const auto add = [&](std::string name, std::string expression) {
      group.rules.push_back(
          {.record = std::move(name), .expression = std::move(expression), .labels = labels});
    };
    add("slo:objective:ratio", fmt::format("vector({})", plain_number(objective)));
    add("slo:error_budget:ratio", fmt::format("vector(1-{})", plain_number(objective)));
    add("slo:time_period:days", fmt::format("vector({})", plain_number(period_days)));
    add("slo:current_burn_rate:ratio",
        fmt::format("{}{}\n/ on(sloth_id, sloth_slo, sloth_service) group_left\n"
                    "slo:error_budget:ratio{}\n",
                    ratio_name("5m"), id, id));
    add("slo:period_burn_rate:ratio",
        fmt::format("{}{}\n/ on(sloth_id, sloth_slo, sloth_service) group_left\n"
                    "slo:error_budget:ratio{}\n",
                    ratio_name(period), id, id));
    add("slo:period_error_budget_remaining:ratio",
        fmt::format("1 - slo:period_burn_rate:ratio{}", id));
    group.rules.push_back(
        {.record = "sloth_slo_info",
         .expression = "vector(1)",
         .labels = with(labels, {{"sloth_mode", "tarsier"},
                                 {"sloth_objective", plain_number(definition_.objective_percent)},
                                 {"sloth_spec", "prometheus/v1"},
                                 {"sloth_version", "tarsier"}})});
    return group;
  }

  RuleGroupDefinition alerts() const {
    RuleGroupDefinition group{.name = "sloth-slo-alerts-" + slo_.id()};
    const SloAlertTexts texts(slo_);
    for (const AlertUnit& unit : slo_.alert_units()) {
      const Severity severity = unit.severity;
      std::string expression;
      Duration hold{0};
      for (std::size_t i = unit.begin; i < unit.end; ++i) {
        const BurnTier& tier = slo_.tiers()[i];
        const auto term = [&](Duration window) {
          return fmt::format("max({}{} {} ({} * {})) without (sloth_window)",
                             ratio_name(format_duration(window)), selector(id_labels_),
                             sign_of(tier.comparison), plain_number(tier.factor),
                             plain_number(slo_.budget()));
        };
        expression +=
            fmt::format("{}(\n    {}\n    and\n    {}\n)\n", expression.empty() ? "" : "or\n",
                        term(tier.short_window), term(tier.long_window));
        hold = std::max(hold, tier.hold);
      }
      const tsdb::Labels labels = texts.labels(slo_, unit, {});
      LabelMap own = as_map(
          labels.drop({"alertname", "sloth_id", "sloth_slo", "sloth_service", "slo", "service"}));
      const SloSeverityAlerts& which =
          severity == Severity::kPage ? definition_.alerts.page : definition_.alerts.ticket;
      own = with(own, {{"sloth_severity", std::string(severity_name(severity))}});
      LabelMap annotations = with(
          {{"summary",
            "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate "
            "is over expected."},
           {"title", fmt::format("({}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} SLO "
                                 "error budget burn rate is too fast.",
                                 severity_name(severity))}},
          with(definition_.annotations, which.annotations));
      group.rules.push_back({.alert = std::string(labels.get("alertname")),
                             .expression = std::move(expression),
                             .hold = hold,
                             .labels = std::move(own),
                             .annotations = std::move(annotations)});
    }
    return group;
  }

  const Slo& slo_;
  const SloDefinition& definition_;
  LabelMap id_labels_;
};

void put_map(std::string& out, std::string_view name, const LabelMap& map) {
  if (map.empty()) return;
  out += fmt::format("    {}:\n", name);
  for (const auto& [key, value] : map) {
    out += fmt::format("      {}: ", key);
    append_json_string(out, value);  // JSON strings are YAML's double-quoted ones.
    out += '\n';
  }
}

}  // namespace

std::vector<RuleGroupDefinition> generate_rules(const Slo& slo) {
  return slo.definition().format == SloFormat::kPyrra ? generate_pyrra_rules(slo)
                                                      : SlothRules(slo).run();
}

std::vector<std::string> generated_differences(const Slo& slo) {
  std::vector<std::string> out;
  const SloDefinition& definition = slo.definition();
  if (definition.period.is_calendar()) {
    out.push_back(fmt::format(
        "rules know no calendar: what they say of the period is about the last {}, not the {} so "
        "far; the tiers are the same",
        format_duration(nominal_period(definition.period)), period_text(definition.period)));
  }
  const SloAlerting& alerts = definition.alerts;
  if (alerts.page.guards != BurnGuards() || alerts.ticket.guards != BurnGuards()) {
    out.emplace_back("rules have no guards for low traffic: they may fire where this does not");
  }
  if (alerts.page.is_on && alerts.ticket.is_on) {
    out.emplace_back(
        "rules do not hold a ticket back while the page fires: inhibit it in Alertmanager");
  }
  return out;
}

std::string rule_file_text(const std::vector<RuleGroupDefinition>& groups) {
  std::string out = "groups:\n";
  for (const RuleGroupDefinition& group : groups) {
    out += "- name: ";
    append_json_string(out, group.name);
    out += '\n';
    if (group.interval) out += fmt::format("  interval: {}\n", format_duration(*group.interval));
    out += "  rules:\n";
    for (const RuleDefinition& rule : group.rules) {
      out += rule.is_alerting() ? "  - alert: " : "  - record: ";
      append_json_string(out, rule.name());
      out += "\n    expr: ";
      append_json_string(out, rule.expression);
      out += '\n';
      if (rule.hold.ms > 0) out += fmt::format("    for: {}\n", format_duration(rule.hold));
      put_map(out, "labels", rule.labels);
      put_map(out, "annotations", rule.annotations);
    }
  }
  return out;
}

}  // namespace tarsier::alerting
