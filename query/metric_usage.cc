#include "query/metric_usage.h"

#include <algorithm>
#include <utility>

#include "query/expression.h"
#include "query/parse.h"
#include "tsdb/labels.h"

namespace tarsier::query {
namespace {

/// No metric's name: a selector that matches it asks for no metric in particular.
constexpr std::string_view kNoName = "\x01";

void add(MetricUsage::Use& use, std::string_view rule_group, Timestamp now) {
  use.last = std::max(use.last, now);
  if (rule_group.empty()) {
    ++use.queries;
  } else {
    ++use.rules;
    use.rule_group = rule_group;
  }
}

bool matches_all(const std::vector<tsdb::Matcher>& matchers, std::string_view name) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const tsdb::Matcher& matcher) { return matcher.matches(name); });
}

}  // namespace

MetricUsage::Reads MetricUsage::reads_of(std::string_view text,
                                         std::map<std::string, Pattern>& patterns) {
  Reads reads;
  const Result<ExprPtr> parsed = parse_expression(
      text,
      {.experimental_functions = true, .extended_range_selectors = true, .fill_modifiers = true});
  if (!parsed.ok()) return reads;
  for (std::vector<tsdb::Matcher>& selector : selectors_of(**parsed)) {
    std::erase_if(selector,
                  [](const auto& matcher) { return matcher.name() != tsdb::kMetricName; });
    const auto exact = std::find_if(selector.begin(), selector.end(), [](const auto& matcher) {
      return matcher.op() == tsdb::MatchOp::kEqual && !matcher.value().empty();
    });
    if (exact != selector.end()) {
      reads.names.emplace_back(exact->value());
    } else if (!matches_all(selector, kNoName)) {
      std::string key;
      for (const tsdb::Matcher& matcher : selector) key += matcher.to_string() + ",";
      patterns.try_emplace(key, Pattern{.matchers = std::move(selector), .use = {}});
      reads.patterns.push_back(std::move(key));
    }
  }
  return reads;
}

void MetricUsage::note(std::string_view text, std::string_view rule_group, Timestamp now) {
  if (text.size() > options_.text_length_max) {
    const MutexLock lock(mutex_);
    is_complete_ = false;
    return;
  }
  std::string key(text);
  Reads fresh;
  std::map<std::string, Pattern> fresh_patterns;
  bool is_known = false;
  {
    const MutexLock lock(mutex_);
    is_known = texts_.contains(key);
  }
  // Parsed outside the lock: everybody's queries pass here.
  if (!is_known) fresh = reads_of(text, fresh_patterns);
  const MutexLock lock(mutex_);
  if (!is_known) {
    if (texts_.size() >= options_.texts_max) texts_.clear();
    for (auto& [name, pattern] : fresh_patterns) {
      if (patterns_.size() < options_.patterns_max || patterns_.contains(name)) {
        patterns_.try_emplace(name, std::move(pattern));
      } else {
        is_complete_ = false;
      }
    }
    texts_.insert_or_assign(key, std::move(fresh));
  }
  const auto reads = texts_.find(key);
  if (reads == texts_.end()) return;  // Another thread has just cleared them; the next time counts.
  for (const std::string& name : reads->second.names) {
    if (names_.size() >= options_.names_max && !names_.contains(name)) {
      is_complete_ = false;
      continue;
    }
    add(names_[name], rule_group, now);
  }
  for (const std::string& name : reads->second.patterns) {
    const auto pattern = patterns_.find(name);
    if (pattern != patterns_.end()) add(pattern->second.use, rule_group, now);
  }
}

std::optional<MetricUsage::Use> MetricUsage::of(std::string_view metric) const {
  const MutexLock lock(mutex_);
  std::optional<Use> out;
  if (const auto found = names_.find(std::string(metric)); found != names_.end()) {
    out = found->second;
  }
  for (const auto& [key, pattern] : patterns_) {
    if (pattern.use.last == kMinTimestamp || !matches_all(pattern.matchers, metric)) continue;
    if (!out) out.emplace();
    out->queries += pattern.use.queries;
    out->rules += pattern.use.rules;
    if (!pattern.use.rule_group.empty()) out->rule_group = pattern.use.rule_group;
    out->last = std::max(out->last, pattern.use.last);
  }
  return out;
}

bool MetricUsage::is_complete() const {
  const MutexLock lock(mutex_);
  return is_complete_;
}

}  // namespace tarsier::query
