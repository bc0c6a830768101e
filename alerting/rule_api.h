#pragma once

#include <string>
#include <vector>

#include "alerting/alert_labelling.h"
#include "alerting/rule_status.h"
#include "base/http.h"

namespace tarsier::alerting {

// The endpoints below /api/v1 that tell of rules, as functions of what they show. Parameters, texts
// and JSON are Prometheus'.

/// `groups` sorted by file, then name. Alerts have a `fingerprint` more than Prometheus': their id
/// under `labelling`.
HttpResponse rules_response(const HttpRequest& request, const std::vector<RuleGroupStatus>& groups,
                            const AlertLabelling& labelling);
HttpResponse alerts_response(const std::vector<RuleGroupStatus>& groups,
                             const AlertLabelling& labelling);
HttpResponse alertmanagers_response(const std::vector<std::string>& active_urls,
                                    const std::vector<std::string>& dropped_urls);

}  // namespace tarsier::alerting
