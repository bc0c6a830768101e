#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "tsdb/index/postings.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// Where postings come from: an index file or the head. `Ref` is its series reference. Every
/// method appends and never clears.
///   append_all(out)                     every series
///   append_postings(name, value, out)   the series with this pair; none if nobody has it
///   append_values(name, prefix, keep, runs)
///       one finished run for each value of `name` that begins with `prefix` and passes `keep`
///   value_count(name)                   distinct values of `name`, or a guess
///   label_value(ref, name)              one series' value; empty if absent. The view lives at
///                                       least until the next call.
template <typename S>
concept PostingsSource =
    requires(S& source, std::string_view name, typename S::Ref ref, bool (*keep)(std::string_view),
             std::vector<typename S::Ref>& out, PostingsRuns<typename S::Ref>& runs) {
      { source.append_all(out) } -> std::same_as<Status>;
      { source.append_postings(name, name, out) } -> std::same_as<Status>;
      { source.append_values(name, name, keep, runs) } -> std::same_as<Status>;
      { source.value_count(name) } -> std::convertible_to<std::size_t>;
      { source.label_value(ref, name) } -> std::same_as<Result<std::string_view>>;
    };

/// What one matcher does to a selection. An absent label counts as empty, and an index lists no
/// absent labels; so a matcher that an absent label passes cannot be answered by listing what it
/// lets pass. It is answered by removing the series whose value fails.
struct SelectStep {
  const Matcher* matcher = nullptr;
  bool removes = false;
  /// The values to look up, if they are few and known; else the values are walked.
  const std::vector<std::string>* literals = nullptr;
  /// In a walk: only values with this prefix can be listed ...
  std::string_view prefix;
  /// ... and those are for which matches(value) is this.
  bool listed_if_matches = true;
};

/// The steps for `matchers` (borrowed), cheapest first: look-ups that keep, walks that keep,
/// look-ups that remove, walks that remove. Matchers that everything passes have none.
std::vector<SelectStep> plan_selection(const std::vector<Matcher>& matchers);

/// OK, or why a request should stop. `cancel` may be null.
Status check_cancel(const CancelToken* cancel);

namespace select_detail {

/// Whether asking each of the series that are left for its value is cheaper than a walk, which
/// visits every value of the name: when there are half as many. One that removes also lists all
/// series of the values it excludes, of which a value has several at least.
inline bool asking_is_cheaper(const SelectStep& step, std::size_t selected, std::size_t values) {
  return step.removes ? selected < 4 * values : 2 * selected < values;
}

/// Keeps the series whose own label passes: one evaluation per series at most, none for a run of
/// equal values.
template <PostingsSource S>
Status filter_by_value(S& source, const Matcher& matcher, std::vector<typename S::Ref>& selected) {
  std::size_t kept = 0;
  std::string last;
  bool last_matches = matcher.matches_empty();
  for (const typename S::Ref ref : selected) {
    const std::string_view value = TRY(source.label_value(ref, matcher.name()));
    if (value != last) {
      last = value;
      last_matches = matcher.matches(value);
    }
    if (last_matches) selected[kept++] = ref;
  }
  selected.resize(kept);
  return {};
}

/// Leaves the series the step lists in `runs.refs`.
template <PostingsSource S>
Status gather(S& source, const SelectStep& step, const CancelToken* cancel,
              PostingsRuns<typename S::Ref>& runs) {
  const Matcher& matcher = *step.matcher;
  runs.clear();
  if (step.literals != nullptr) {
    for (const std::string& value : *step.literals) {
      TRY(source.append_postings(matcher.name(), value, runs.refs));
      runs.finish_run();
    }
  } else {
    const auto keep = [&](std::string_view value) {
      if (cancel != nullptr && cancel->is_cancelled()) return false;
      return matcher.matches(value) == step.listed_if_matches;
    };
    TRY(source.append_values(matcher.name(), step.prefix, keep, runs));
    TRY(check_cancel(cancel));
  }
  unite(runs);
  return {};
}

}  // namespace select_detail

/// The references of every series that passes all `matchers`, ascending. Each regular expression
/// is evaluated at most once per distinct value. kCancelled or kTimeout when `cancel` (may be null)
/// fires; otherwise only the source's errors.
template <PostingsSource S>
Result<std::vector<typename S::Ref>> select_postings(S& source,
                                                     const std::vector<Matcher>& matchers,
                                                     const CancelToken* cancel) {
  using Ref = typename S::Ref;
  std::vector<Ref> selected;
  PostingsRuns<Ref> runs;
  bool started = false;
  for (const SelectStep& step : plan_selection(matchers)) {
    TRY(check_cancel(cancel));
    if (!started && step.removes) {
      TRY(source.append_all(selected));
      started = true;
    }
    if (started && selected.empty()) return selected;
    if (started && step.literals == nullptr &&
        select_detail::asking_is_cheaper(step, selected.size(),
                                         source.value_count(step.matcher->name()))) {
      TRY(select_detail::filter_by_value(source, *step.matcher, selected));
      continue;
    }
    TRY(select_detail::gather(source, step, cancel, runs));
    if (!started) {
      selected.swap(runs.refs);
      started = true;
    } else if (step.removes) {
      subtract<Ref>(selected, runs.refs);
    } else {
      intersect_with<Ref>(selected, runs.refs);
    }
  }
  if (!started) TRY(source.append_all(selected));
  return selected;
}

}  // namespace tarsier::tsdb
