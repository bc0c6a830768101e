#include "alerting/rule_order.h"

#include <algorithm>

namespace tarsier::alerting {
namespace {

using Matchers = std::vector<tsdb::Matcher>;

const tsdb::Matcher* matcher_of(const Matchers& matchers, std::string_view label) {
  const auto found = std::find_if(matchers.begin(), matchers.end(),
                                  [&](const tsdb::Matcher& m) { return m.name() == label; });
  return found == matchers.end() ? nullptr : &*found;
}

bool may_match(const Matchers& matchers, const Rule& earlier) {
  const tsdb::Matcher* const found = matcher_of(matchers, tsdb::kMetricName);
  if (!found) return true;
  const tsdb::Matcher& name = *found;
  if (!earlier.is_alerting()) return name.matches(earlier.name());
  if (!name.matches("ALERTS") && !name.matches("ALERTS_FOR_STATE")) return false;
  const tsdb::Matcher* const alert = matcher_of(matchers, "alertname");
  return !alert || alert->matches(earlier.name());
}

bool has_nameless_selector(const std::vector<std::shared_ptr<const Rule>>& rules) {
  for (const auto& rule : rules) {
    for (const Matchers& matchers : rule->selectors()) {
      if (!matcher_of(matchers, tsdb::kMetricName)) return true;
    }
  }
  return false;
}

}  // namespace

bool depends_on(const Rule& rule, const Rule& earlier) {
  return std::any_of(rule.selectors().begin(), rule.selectors().end(),
                     [&](const Matchers& matchers) { return may_match(matchers, earlier); });
}

std::vector<RuleBatch> sequential_batches(std::size_t rule_count) {
  std::vector<RuleBatch> out;
  for (std::size_t i = 0; i < rule_count; ++i) out.push_back({i});
  return out;
}

std::vector<RuleBatch> concurrent_batches(const std::vector<std::shared_ptr<const Rule>>& rules) {
  const std::size_t count = rules.size();
  if (count < 2 || has_nameless_selector(rules)) return sequential_batches(count);
  std::vector<bool> has_dependencies(count);
  std::vector<bool> has_dependents(count);
  for (std::size_t later = 0; later < count; ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!depends_on(*rules[later], *rules[earlier])) continue;
      has_dependencies[later] = true;
      has_dependents[earlier] = true;
    }
  }
  RuleBatch first;
  RuleBatch last;
  std::vector<RuleBatch> between;
  for (std::size_t i = 0; i < count; ++i) {
    if (!has_dependencies[i]) {
      first.push_back(i);
    } else if (has_dependents[i]) {
      between.push_back({i});
    } else {
      last.push_back(i);
    }
  }
  std::vector<RuleBatch> out;
  if (!first.empty()) out.push_back(std::move(first));
  for (RuleBatch& batch : between) out.push_back(std::move(batch));
  if (!last.empty()) out.push_back(std::move(last));
  return out;
}

}  // namespace tarsier::alerting
