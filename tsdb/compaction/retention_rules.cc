#include "tsdb/compaction/retention_rules.h"

#include <algorithm>

#include "tsdb/index/select.h"

namespace tarsier::tsdb {
namespace {

/// The longer of two limits, of which 0 is the longest.
Duration longer(Duration a, Duration b) {
  return a <= Duration{} || b <= Duration{} ? Duration{} : std::max(a, b);
}

}  // namespace

RetentionRules::RetentionRules(const Options& options) : rules_(options.retention_rules) {
  for (const TierOptions& tier : options.tiers) resolutions_.push_back(tier.resolution);
  if (rules_.empty() || !rules_.back().match.empty()) {
    RetentionRule& last = rules_.emplace_back();
    last.samples = options.retention;
    for (const TierOptions& tier : options.tiers) last.rows.push_back(tier.retention);
  }
  for (RetentionRule& rule : rules_) {
    rule.rows.resize(resolutions_.size());
    Duration least = rule.samples.value_or(milliseconds(1));
    for (std::optional<Duration>& rows : rule.rows) {
      if (!rows) continue;
      rows = longer(*rows, least);
      least = *rows;
    }
  }
}

std::optional<Duration> RetentionRules::limit(std::size_t rule, Duration resolution) const {
  if (resolution == Duration{}) return rules_[rule].samples;
  for (std::size_t i = 0; i < resolutions_.size(); ++i) {
    if (resolutions_[i] == resolution) return rules_[rule].rows[i];
  }
  // No longer made: what there is stays as long as the coarsest.
  const std::vector<std::optional<Duration>>& rows = rules_[rule].rows;
  return rows.empty() ? rules_[rule].samples : rows.back();
}

bool RetentionRules::is_simple() const {
  return rules_.size() == 1 && rules_.front().samples &&
         std::all_of(rules_.front().rows.begin(), rules_.front().rows.end(),
                     [](const auto& limit) { return limit.has_value(); });
}

bool RetentionRules::keeps_any_rows(std::size_t rule) const {
  const std::vector<std::optional<Duration>>& rows = rules_[rule].rows;
  return std::any_of(rows.begin(), rows.end(), [](const auto& limit) { return limit.has_value(); });
}

std::size_t RetentionRules::rule_of(const Labels& labels) const {
  const auto matches = [&](const RetentionRule& rule) {
    return std::all_of(rule.match.begin(), rule.match.end(), [&](const Matcher& matcher) {
      return matcher.matches(labels.get(matcher.name()));
    });
  };
  const auto found = std::find_if(rules_.begin(), rules_.end(), matches);
  return static_cast<std::size_t>(found - rules_.begin());
}

Result<std::vector<std::vector<std::uint32_t>>> RetentionRules::divide(
    const IndexReader& index) const {
  std::vector<std::vector<std::uint32_t>> parts;
  std::vector<std::uint32_t> taken;
  for (const RetentionRule& rule : rules_) {
    const std::vector<std::uint32_t> all = TRY(select_postings(index, rule.match, nullptr));
    std::vector<std::uint32_t>& own = parts.emplace_back();
    std::set_difference(all.begin(), all.end(), taken.begin(), taken.end(),
                        std::back_inserter(own));
    std::vector<std::uint32_t> both;
    std::merge(taken.begin(), taken.end(), own.begin(), own.end(), std::back_inserter(both));
    taken = std::move(both);
  }
  return parts;
}

bool RetentionRules::is_due(std::optional<Duration> limit, Timestamp end, Timestamp newest) {
  if (!limit) return true;
  return *limit > Duration{} && newest - end >= *limit;
}

}  // namespace tarsier::tsdb
