#include "alerting/slo_duplicates.h"

#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "alerting/slo_alerts.h"
#include "alerting/slo_series.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

/// The value a label has in the rule: among its labels or in a selector of its expression.
std::string value_in(const Rule& rule, std::string_view label) {
  for (const auto& [name, value] : rule.labels()) {
    if (name == label) return value;
  }
  const std::string before = fmt::format("{}=\"", label);
  const std::size_t at = rule.query().find(before);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + before.size();
  return rule.query().substr(begin, rule.query().find('"', begin) - begin);
}

/// Names of what an objective writes and tells.
struct Names {
  explicit Names(const std::shared_ptr<const Slo>& slo) {
    for (const tsdb::Labels& labels : SloOutputs(slo).labels({})) {
      series.emplace(labels.get(tsdb::kMetricName));
    }
    const SloAlertTexts texts(*slo);
    for (const AlertUnit& unit : slo->alert_units()) {
      alerts.emplace(texts.labels(*slo, unit, {}).get("alertname"));
    }
  }
  std::set<std::string, std::less<>> series;
  std::set<std::string, std::less<>> alerts;
};

}  // namespace

std::vector<SloDuplicate> duplicates_of(const std::vector<std::shared_ptr<const Slo>>& slos,
                                        const std::vector<RuleGroupStatus>& groups) {
  // What Sloth and Pyrra mark their rules with.
  constexpr std::string_view kMarks[] = {"sloth_id", "slo"};
  std::map<std::pair<std::string_view, std::string>, std::shared_ptr<const Slo>> by_mark;
  for (const std::shared_ptr<const Slo>& slo : slos) {
    if (slo->definition().format == SloFormat::kSloth) by_mark[{kMarks[0], slo->id()}] = slo;
    if (slo->definition().format == SloFormat::kPyrra) {
      by_mark[{kMarks[1], slo->definition().name}] = slo;
    }
  }
  std::vector<SloDuplicate> out;
  if (by_mark.empty()) return out;
  std::map<const Slo*, Names> names;
  for (const RuleGroupStatus& group : groups) {
    std::set<const Slo*> told;
    for (const RuleStatus& one : group.rules) {
      for (const std::string_view mark : kMarks) {
        const auto found = by_mark.find({mark, value_in(*one.rule, mark)});
        if (found == by_mark.end() || told.contains(found->second.get())) continue;
        const std::shared_ptr<const Slo>& slo = found->second;
        const Names& own = names.try_emplace(slo.get(), slo).first->second;
        const bool is_alert = one.rule->is_alerting();
        if (!(is_alert ? own.alerts : own.series).contains(one.rule->name())) continue;
        told.insert(slo.get());
        out.push_back(
            {.id = slo->id(),
             .warning = fmt::format("the rule {} (group {} in {}) {}, too: remove the rules that "
                                    "were generated from its file",
                                    one.rule->name(), quote(group.name), group.file,
                                    is_alert ? "pages for it" : "records its series")});
      }
    }
  }
  return out;
}

}  // namespace tarsier::alerting
