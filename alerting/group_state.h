#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alerting/group_runner.h"

namespace tarsier::alerting {

/// One rule of a group at work.
struct GroupRunner::State {
  std::shared_ptr<const Rule> rule;
  std::string owner;
  std::string graph_path;
  std::unique_ptr<SeriesOutput> output = std::make_unique<SeriesOutput>();
  bool is_restored = true;  ///< Of the evaluating thread.

  // Written by the evaluating thread, under the group's lock.
  AlertTable alerts;
  RuleHealth health = RuleHealth::kUnknown;
  std::string last_error;
  double seconds = 0;
  Timestamp last_evaluation = kNotYet;
};

/// What an evaluation of one rule has to tell.
struct GroupRunner::News {
  State* state = nullptr;
  std::vector<Alert> alerts;
};

}  // namespace tarsier::alerting
