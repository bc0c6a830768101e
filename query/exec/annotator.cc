#include "query/exec/annotator.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/rfc3339.h"
#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

/// Whether a node at `a` is evaluated after one at `b`: operands first, from left to right.
bool is_later(SourceRange a, SourceRange b) {
  return a.end != b.end ? a.end > b.end : a.begin < b.begin;
}

void remember(std::map<std::string, SourceRange>& texts, std::string text, SourceRange where) {
  const auto [it, is_new] = texts.try_emplace(std::move(text), where);
  if (!is_new && is_later(where, it->second)) it->second = where;
}

}  // namespace

void Annotator::warn(std::string text, SourceRange where) {
  const MutexLock lock(mutex_);
  remember(warnings_, "PromQL warning: " + std::move(text), where);
}

void Annotator::warn_often(std::string text, SourceRange where, std::uint64_t occurrences) {
  const MutexLock lock(mutex_);
  const auto [it, is_new] = often_.try_emplace("PromQL warning: " + std::move(text));
  if (is_new || is_later(where, it->second.where)) it->second.where = where;
  it->second.occurrences += occurrences;
}

void Annotator::warn_plainly(std::string text) {
  const MutexLock lock(mutex_);
  plain_warnings_.insert(std::move(text));
}

void Annotator::inform(std::string text, SourceRange where) {
  const MutexLock lock(mutex_);
  remember(infos_, "PromQL info: " + std::move(text), where);
}

void Annotator::inform_of_fix(std::string text, SourceRange where, const MonotonicityFix& fix) {
  const MutexLock lock(mutex_);
  const auto [it, is_new] = fixes_.try_emplace("PromQL info: " + std::move(text));
  Fixed& fixed = it->second;
  if (is_new || is_later(where, fixed.where)) fixed.where = where;
  if (is_new) {
    fixed.fix = fix;
    return;
  }
  fixed.fix.bound_min = std::min(fixed.fix.bound_min, fix.bound_min);
  fixed.fix.bound_max = std::max(fixed.fix.bound_max, fix.bound_max);
  fixed.fix.difference_max = std::max(fixed.fix.difference_max, fix.difference_max);
  fixed.fix.sample_count += fix.sample_count;
  fixed.fix.time_min_ms = std::min(fixed.fix.time_min_ms, fix.time_min_ms);
  fixed.fix.time_max_ms = std::max(fixed.fix.time_max_ms, fix.time_max_ms);
}

Annotations Annotator::take() {
  const MutexLock lock(mutex_);
  const auto at = [&](const std::string& text, SourceRange where) {
    const SourcePosition position = position_of(query_, where.begin);
    return fmt::format("{} ({}:{})", text, position.line, position.column);
  };
  Annotations result;
  for (const auto& [text, where] : warnings_) result.warnings.push_back(at(text, where));
  result.warnings.insert(result.warnings.end(), plain_warnings_.begin(), plain_warnings_.end());
  for (const auto& [text, where] : infos_) result.infos.push_back(at(text, where));
  for (const auto& [text, fixed] : fixes_) {
    const MonotonicityFix& fix = fixed.fix;
    result.infos.push_back(at(
        fmt::format(
            "{}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}", text,
            short_number(fix.bound_min), short_number(fix.bound_max),
            two_digit_number(fix.difference_max), fix.sample_count,
            format_rfc3339(Timestamp{fix.time_min_ms}), format_rfc3339(Timestamp{fix.time_max_ms})),
        fixed.where));
  }
  for (const auto& [text, often] : often_) {
    const bool is_once = often.occurrences == 1;
    result.warnings.push_back(at(
        is_once ? text : fmt::format("{} ({} occurrences)", text, often.occurrences), often.where));
  }
  std::sort(result.warnings.begin(), result.warnings.end());
  std::sort(result.infos.begin(), result.infos.end());
  return result;
}

}  // namespace tarsier::query
