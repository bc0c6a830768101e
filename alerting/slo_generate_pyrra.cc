// Pyrra's three groups of rules: burn rates with their alerts, increases of the period, and what
// its dashboards show of every objective.

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "alerting/pyrra_names.h"
#include "alerting/slo_alerts.h"
#include "alerting/slo_generate.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

using Kind = SliDefinition::Kind;

/// Long increases cost more: the period, and how often they are evaluated.
Duration increase_interval(Duration period) {
  for (int weeks = 1; weeks <= 7; ++weeks) {
    if (period < days(7 * weeks)) return seconds(weeks == 1 ? 30 : 30 * weeks);
  }
  return seconds(240);
}

std::string selector(const LabelMap& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    out += fmt::format("{}{}={}", out.size() > 1 ? ", " : "", name, quote(value));
  }
  return out + "}";
}

class PyrraRules final {
 public:
  explicit PyrraRules(const Slo& slo) : slo_(slo), names_(slo) {
    std::map<std::string, std::string> labels;
    for (const auto& [name, value] : slo.definition().labels) labels[name] = value;
    for (const auto& [name, value] : slo.pinned_labels()) labels[name] = value;
    labels["slo"] = slo.definition().name;
    id_ = {labels.begin(), labels.end()};
    period_ = format_duration(nominal_period(slo.definition().period));
  }

  std::vector<RuleGroupDefinition> run() const {
    std::vector<RuleGroupDefinition> out = {burn_rates(), increases()};
    // Budgets of groups are for Pyrra's own pages.
    if (slo_.group_by().empty()) out.push_back(generic());
    return out;
  }

 private:
  std::string by(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = slo_.group_by();
    for (const std::string& name : more) {
      if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
    }
    return all.empty() ? "" : fmt::format(" by ({})", fmt::join(all, ", "));
  }

  RuleGroupDefinition burn_rates() const {
    RuleGroupDefinition group{.name = slo_.definition().name, .interval = seconds(30)};
    const auto name_of = [&](Duration window) {
      return fmt::format("{}:burnrate{}", names_.all_base, format_duration(window));
    };
    for (const Duration window : slo_.windows()) {
      group.rules.push_back(
          {.record = name_of(window), .expression = slo_.ratio_query(window), .labels = id_});
    }
    const SloAlertTexts texts(slo_);
    const std::string own = selector({{"slo", slo_.definition().name}});
    for (const AlertUnit& unit : slo_.alert_units()) {
      const BurnTier& tier = slo_.tiers()[unit.begin];
      const auto term = [&](Duration window) {
        return fmt::format("{}{} > ({} * (1-{}))", name_of(window), own, plain_number(tier.factor),
                           plain_number(slo_.definition().objective_percent / 100));
      };
      group.rules.push_back(alert(
          texts.labels(slo_, unit, {}),
          fmt::format("{} and {}", term(tier.short_window), term(tier.long_window)), tier.hold));
    }
    return group;
  }

  RuleDefinition alert(const tsdb::Labels& labels, std::string expression, Duration hold) const {
    RuleDefinition out{.alert = std::string(labels.get("alertname")),
                       .expression = std::move(expression),
                       .hold = hold,
                       .annotations = slo_.definition().annotations};
    for (const tsdb::LabelView& label : labels) {
      if (label.name == "alertname") continue;
      out.labels.emplace_back(std::string(label.name), std::string(label.value));
    }
    return out;
  }

  RuleGroupDefinition increases() const {
    RuleGroupDefinition group{
        .name = slo_.definition().name + "-increase",
        .interval = increase_interval(nominal_period(slo_.definition().period))};
    const auto add = [&](const std::string& base, std::string_view what, std::string expression,
                         const LabelMap& more = {}) {
      LabelMap labels = id_;
      labels.insert(labels.end(), more.begin(), more.end());
      group.rules.push_back({.record = fmt::format("{}:{}{}", base, what, period_),
                             .expression = std::move(expression),
                             .labels = std::move(labels)});
    };
    const auto sum = [&](std::string_view function, const std::string& what,
                         const std::vector<std::string>& more = {}) {
      return fmt::format("sum{} ({}({}[{}]))", by(more), function, what, period_);
    };
    const Kind kind = slo_.definition().sli.kind;
    if (kind == Kind::kGauge) {
      add(names_.all_base, "count", sum("count_over_time", names_.all));
      add(names_.all_base, "sum", sum("sum_over_time", names_.all));
    } else if (kind == Kind::kLatency) {
      const std::string all = sum("increase", names_.all);
      add(names_.all_base, "increase", fmt::format("histogram_count({})", all));
      add(names_.all_base, "increase",
          fmt::format("histogram_fraction(0, {}, {}) * histogram_count({})",
                      plain_number(slo_.definition().sli.bound), all, all),
          names_.part_labels);
    } else {
      // One rule gives both where they are parts of one metric.
      add(names_.all_base, "increase",
          sum("increase", names_.all,
              names_.adds_up ? names_.part_names : std::vector<std::string>()));
      if (names_.is_apart && !names_.adds_up) {
        // The bucket's bound as a label of the rule, too: two rules of one name must differ.
        LabelMap bound = names_.part_labels;
        std::erase_if(bound, [](const auto& label) { return label.first != "le"; });
        add(names_.part_base, "increase", sum("increase", names_.part, names_.part_names), bound);
      }
    }
    if (slo_.definition().alerts.alerts_on_no_data) {
      group.rules.push_back(alert(SloAlertTexts(slo_).no_data_labels(slo_, {}),
                                  fmt::format("absent({}) == 1", slo_.presence_query()),
                                  no_data_wait_of(slo_)));
    }
    return group;
  }

  RuleGroupDefinition generic() const {
    RuleGroupDefinition group{.name = slo_.definition().name + "-generic", .interval = seconds(30)};
    const auto add = [&](std::string name, std::string expression) {
      group.rules.push_back(
          {.record = std::move(name), .expression = std::move(expression), .labels = id_});
    };
    const double objective = slo_.definition().objective_percent / 100;
    add("pyrra_objective", plain_number(objective));
    add("pyrra_window", fmt::format("{}", nominal_period(slo_.definition().period).ms / 1000));
    add("pyrra_availability",
        fmt::format("1 - ({})", slo_.ratio_query(nominal_period(slo_.definition().period))));
    // A rate is an increase by its seconds.
    add("pyrra_requests:rate5m", fmt::format("({}) / 300", slo_.total_query(minutes(5))));
    add("pyrra_errors:rate5m", fmt::format("({}) / 300", slo_.bad_query(minutes(5))));
    return group;
  }

  const Slo& slo_;
  const PyrraNames names_;
  LabelMap id_;
  std::string period_;
};

}  // namespace

std::vector<RuleGroupDefinition> generate_pyrra_rules(const Slo& slo) {
  return PyrraRules(slo).run();
}

}  // namespace tarsier::alerting
