#include "alerting/pyrra_names.h"

#include <algorithm>
#include <string_view>

#include "base/number_text.h"
#include "query/parse.h"

namespace tarsier::alerting {
namespace {

using Kind = SliDefinition::Kind;

std::string base_of(const std::string& selector) {
  const Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(selector);
  std::string name;
  if (matchers.ok()) {
    for (const tsdb::Matcher& matcher : *matchers) {
      if (matcher.name() == tsdb::kMetricName) name = matcher.value();
    }
  }
  for (const std::string_view end : {"_total", "_count", "_bucket"}) {
    if (!name.ends_with(end)) continue;
    name.resize(name.size() - end.size());
    break;
  }
  return name;
}

}  // namespace

PyrraNames::PyrraNames(const Slo& slo) {
  const SliDefinition& sli = slo.definition().sli;
  all = !sli.total.empty() ? sli.total : !sli.histogram.empty() ? sli.histogram : sli.gauge;
  part_is_bad = sli.kind == Kind::kErrors;
  part = part_is_bad ? sli.errors : sli.good;
  all_base = base_of(all);
  if (sli.kind == Kind::kLatency) {
    part_base = all_base;
    part_labels = {{"le", plain_number(sli.bound)}};
    is_apart = true;
    return;
  }
  if (part.empty()) return;
  part_base = base_of(part);
  const Result<std::vector<tsdb::Matcher>> own = query::parse_metric_selector(part);
  const Result<std::vector<tsdb::Matcher>> others = query::parse_metric_selector(all);
  if (!own.ok() || !others.ok()) return;
  bool is_told = true;
  for (const tsdb::Matcher& matcher : *own) {
    if (matcher.name() == tsdb::kMetricName) continue;
    if (std::find(others->begin(), others->end(), matcher) != others->end()) continue;
    if (std::find(part_names.begin(), part_names.end(), matcher.name()) == part_names.end()) {
      part_names.push_back(matcher.name());
    }
    if (matcher.matches("") || !matcher.matches(matcher.value())) is_told = false;
    part_labels.emplace_back(matcher.name(), matcher.value());
  }
  if (!is_told) part_labels.clear();
  is_apart = part_base != all_base || !part_labels.empty();
  // Classic histograms: Pyrra tells `le=""` from the bucket.
  adds_up = part_is_bad && part_base == all_base && is_apart;
}

}  // namespace tarsier::alerting
