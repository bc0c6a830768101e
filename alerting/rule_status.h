#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alerting/alert_table.h"
#include "alerting/rule.h"
#include "base/time.h"

namespace tarsier::alerting {

enum class RuleHealth : unsigned char { kUnknown, kGood, kBad };

/// A rule at one moment, for the API. A copy.
struct RuleStatus {
  std::shared_ptr<const Rule> rule;
  RuleHealth health = RuleHealth::kUnknown;
  std::string last_error;
  double evaluation_seconds = 0;
  Timestamp last_evaluation = kNotYet;
  std::vector<AlertRecord> alerts;  ///< Pending and firing ones.
};

struct RuleGroupStatus {
  std::string file;
  std::string name;
  Duration interval;
  std::uint64_t limit = 0;
  double evaluation_seconds = 0;
  Timestamp last_evaluation = kNotYet;
  std::vector<RuleStatus> rules;
};

/// What metrics say of one group.
struct RuleGroupCounts {
  std::uint64_t evaluations = 0;
  std::uint64_t failures = 0;
  std::uint64_t iterations = 0;
  std::uint64_t iterations_missed = 0;
  std::uint64_t samples = 0;  ///< Of the last evaluation.
  double rule_seconds = 0;    ///< Sum over the rules of the last evaluation.
  double restore_seconds = 0;
  double evaluation_seconds = 0;  ///< Of the last evaluation, wall clock.
  Timestamp last_evaluation = kNotYet;
  std::uint64_t rules = 0;
};

}  // namespace tarsier::alerting
