#include <algorithm>
#include <utility>

#include "alerting/group_state.h"

// What others may ask a group while it works.

namespace tarsier::alerting {

RuleGroupStatus GroupRunner::status() const {
  RuleGroupStatus out{.file = group_.definition.file,
                      .name = group_.definition.name,
                      .interval = interval_,
                      .limit = group_.definition.limit};
  MutexLock lock(mutex_);
  out.evaluation_seconds = evaluation_seconds_;
  out.last_evaluation = last_evaluation_;
  for (const State& state : states_) {
    RuleStatus rule{.rule = state.rule,
                    .health = state.health,
                    .last_error = state.last_error,
                    .evaluation_seconds = state.seconds,
                    .last_evaluation = state.last_evaluation};
    for (const auto& [labels, alert] : state.alerts.records()) {
      if (alert.state != AlertState::kInactive) rule.alerts.push_back(alert);
    }
    out.rules.push_back(std::move(rule));
  }
  return out;
}

RuleGroupCounts GroupRunner::counts() const {
  MutexLock lock(mutex_);
  RuleGroupCounts out = counts_;
  out.evaluation_seconds = evaluation_seconds_;
  out.last_evaluation = last_evaluation_;
  out.rules = states_.size();
  return out;
}

bool GroupRunner::has_alert(const tsdb::Labels& labels) const {
  MutexLock lock(mutex_);
  return std::any_of(states_.begin(), states_.end(), [&](const State& state) {
    const AlertRecord* const alert = state.alerts.find(labels);
    return alert && alert->state != AlertState::kInactive;
  });
}

bool GroupRunner::writes(const tsdb::Labels& series) const {
  MutexLock lock(mutex_);
  return std::any_of(states_.begin(), states_.end(),
                     [&](const State& state) { return state.output->has(series); });
}

}  // namespace tarsier::alerting
