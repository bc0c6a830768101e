#include "alerting/notifier/inhibitor.h"

#include <algorithm>

#include "base/bytes.h"

namespace tarsier::alerting {
namespace {

bool all_match(const std::vector<tsdb::Matcher>& matchers, const tsdb::Labels& labels) {
  return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
    return matcher.matches(labels.get(matcher.name()));
  });
}

std::string equal_key(const std::vector<std::string>& names, const tsdb::Labels& labels) {
  std::string key;
  for (const std::string& name : names) put_string(key, labels.get(name));
  return key;
}

}  // namespace

Inhibitor::Inhibitor(const std::vector<InhibitRule>& rules,
                     const std::map<Fingerprint, Alert>& alerts) {
  for (const InhibitRule& rule : rules) {
    Index& index = indexes_.emplace_back(Index{&rule, {}});
    for (const auto& [fingerprint, alert] : alerts) {
      if (!all_match(rule.source, alert.labels)) continue;
      index.by_equal[equal_key(rule.equal, alert.labels)].push_back(
          {fingerprint, alert.ends_at, all_match(rule.target, alert.labels)});
    }
  }
}

std::vector<Fingerprint> Inhibitor::inhibitors(const tsdb::Labels& labels, Timestamp now) const {
  std::vector<Fingerprint> out;
  for (const Index& index : indexes_) {
    if (index.by_equal.empty() || !all_match(index.rule->target, labels)) continue;
    const auto found = index.by_equal.find(equal_key(index.rule->equal, labels));
    if (found == index.by_equal.end()) continue;
    // An alert on both sides of a rule is not muted by another one on both sides.
    const bool is_source_too = all_match(index.rule->source, labels);
    for (const Source& source : found->second) {
      const bool fires = source.ends_at.ms == 0 || now < source.ends_at;
      if (fires && !(is_source_too && source.is_target_too)) out.push_back(source.fingerprint);
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace tarsier::alerting
