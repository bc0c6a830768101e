#include "alerting/slo_rules.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "alerting/slo_alerts.h"
#include "base/number_text.h"

namespace tarsier::alerting {
namespace {

LabelMap rule_labels(const tsdb::Labels& labels) {
  LabelMap out;
  for (const tsdb::LabelView& label : labels) {
    if (label.name != "alertname") out.emplace_back(label.name, label.value);
  }
  return out;
}

/// `(long > f * B and short > f * B) or ...` of one alert.
std::string burn_expression(const Slo& slo, const AlertUnit& unit) {
  std::string out;
  for (std::size_t i = unit.begin; i < unit.end; ++i) {
    const BurnTier& tier = slo.tiers()[i];
    const auto term = [&](Duration window) {
      return fmt::format("({}) {} ({} * {})", slo.ratio_query(window), sign_of(tier.comparison),
                         plain_number(tier.factor), plain_number(slo.budget()));
    };
    out += fmt::format("{}({} and {})", out.empty() ? "" : " or ", term(tier.long_window),
                       term(tier.short_window));
  }
  return out;
}

/// An alert's labels are its rule's and its group's.
bool is_of(const Rule& rule, const AlertRecord& alert) {
  return alert.labels.get("alertname") == rule.name() &&
         std::all_of(rule.labels().begin(), rule.labels().end(), [&](const auto& label) {
           return alert.labels.get(label.first) == label.second;
         });
}

RuleGroupStatus group_of(const SloStatus& status,
                         const std::vector<std::shared_ptr<const Rule>>& rules) {
  RuleGroupStatus group{.file = status.slo->definition().file,
                        .name = status.slo->id(),
                        .interval = StepClock().length};
  for (const SloGroupStatus& one : status.groups) {
    group.last_evaluation = std::max(group.last_evaluation, one.reading.t);
  }
  for (const std::shared_ptr<const Rule>& rule : rules) {
    RuleStatus shown{.rule = rule,
                     .health = !status.last_error.empty()         ? RuleHealth::kBad
                               : group.last_evaluation == kNotYet ? RuleHealth::kUnknown
                                                                  : RuleHealth::kGood,
                     .last_error = status.last_error,
                     .last_evaluation = group.last_evaluation};
    std::copy_if(status.alerts.begin(), status.alerts.end(), std::back_inserter(shown.alerts),
                 [&](const AlertRecord& alert) { return is_of(*rule, alert); });
    group.rules.push_back(std::move(shown));
  }
  return group;
}

std::vector<std::shared_ptr<const Rule>> rules_of(const Slo& slo) {
  std::vector<std::shared_ptr<const Rule>> out;
  for (RuleDefinition& definition : slo_rule_definitions(slo)) {
    auto rule = Rule::compile(std::move(definition), {}, {});
    if (rule.ok()) out.push_back(std::move(*rule));
  }
  return out;
}

}  // namespace

std::vector<RuleDefinition> slo_rule_definitions(const Slo& slo) {
  const SloAlertTexts texts(slo);
  std::vector<RuleDefinition> out;
  const auto add = [&](const tsdb::Labels& labels, std::string expression, Duration hold,
                       const LabelMap& annotations) {
    out.push_back({.alert = std::string(labels.get("alertname")),
                   .expression = std::move(expression),
                   .hold = hold,
                   .labels = rule_labels(labels),
                   .annotations = annotations});
  };
  for (const AlertUnit& unit : slo.alert_units()) {
    const SloAlerting& alerts = slo.definition().alerts;
    const bool is_one_tier = unit.end - unit.begin == 1;
    add(texts.labels(slo, unit, {}), burn_expression(slo, unit),
        is_one_tier ? slo.tiers()[unit.begin].hold : Duration{0},
        (unit.severity == Severity::kPage ? alerts.page : alerts.ticket).annotations);
  }
  if (slo.definition().alerts.alerts_on_no_data) {
    add(texts.no_data_labels(slo, {}), fmt::format("absent({})", slo.presence_query()),
        no_data_wait_of(slo), slo.definition().annotations);
  }
  return out;
}

std::vector<RuleGroupStatus> SloRules::groups(
    const std::vector<std::shared_ptr<const SloStatus>>& slos) {
  std::map<std::string, Made> former;
  {
    MutexLock lock(mutex_);
    former = made_;
  }
  std::map<std::string, Made> made;
  std::vector<RuleGroupStatus> out;
  for (const std::shared_ptr<const SloStatus>& status : slos) {
    const auto known = former.find(status->slo->id());
    Made& one = made[status->slo->id()];
    one = known != former.end() && known->second.slo == status->slo
              ? std::move(known->second)
              : Made{.slo = status->slo, .rules = rules_of(*status->slo)};
    out.push_back(group_of(*status, one.rules));
  }
  MutexLock lock(mutex_);
  made_.swap(made);
  return out;
}

}  // namespace tarsier::alerting
