#include "tsdb/index/select.h"

#include <algorithm>

namespace tarsier::tsdb {
namespace {

/// `=~".*"` lets everything pass, whatever the index holds.
bool passes_everything(const Matcher& matcher) {
  return matcher.op() == MatchOp::kRegex && matcher.value() == ".*";
}

SelectStep plan_step(const Matcher& matcher) {
  SelectStep step;
  step.matcher = &matcher;
  step.removes = matcher.matches_empty();
  step.listed_if_matches = !step.removes;
  // What is listed is exactly what the positive form matches: its literals and prefix apply. (The
  // empty value is never among those literals, because then the other branch would hold.)
  if (step.removes == matcher.is_negative()) {
    if (matcher.literals()) step.literals = &*matcher.literals();
    step.prefix = matcher.prefix();
  }
  return step;
}

int cost(const SelectStep& step) {
  return (step.removes ? 2 : 0) + (step.literals == nullptr ? 1 : 0);
}

}  // namespace

std::vector<SelectStep> plan_selection(const std::vector<Matcher>& matchers) {
  std::vector<SelectStep> steps;
  steps.reserve(matchers.size());
  for (const Matcher& matcher : matchers) {
    if (!passes_everything(matcher)) steps.push_back(plan_step(matcher));
  }
  std::stable_sort(steps.begin(), steps.end(),
                   [](const SelectStep& a, const SelectStep& b) { return cost(a) < cost(b); });
  return steps;
}

Status check_cancel(const CancelToken* cancel) {
  if (cancel == nullptr || !cancel->is_cancelled()) return {};
  return cancel->is_expired() ? timeout("query timed out while selecting series")
                              : cancelled("query was cancelled while selecting series");
}

}  // namespace tarsier::tsdb
