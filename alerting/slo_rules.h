#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alerting/rule_status.h"
#include "alerting/slo_runner.h"
#include "base/mutex.h"

namespace tarsier::alerting {

/// Objectives as /api/v1/rules shows them, so that whoever knows Prometheus finds
/// their alerts: one group per objective, with its file and id, and one alerting rule per severity
/// and for missing samples. The rules' queries say in PromQL what is evaluated natively; they are
/// made when somebody asks, and kept. Any number of threads.
class SloRules final {
 public:
  std::vector<RuleGroupStatus> groups(const std::vector<std::shared_ptr<const SloStatus>>& slos)
      EXCLUDES_LOCK(mutex_);

 private:
  using Rules = std::vector<std::shared_ptr<const Rule>>;
  struct Made {
    std::shared_ptr<const Slo> slo;
    Rules rules;
  };
  Mutex mutex_;
  std::map<std::string, Made> made_ GUARDED_BY(mutex_);  ///< By id.
};

/// The alerting rules of an objective, in PromQL.
std::vector<RuleDefinition> slo_rule_definitions(const Slo& slo);

}  // namespace tarsier::alerting
