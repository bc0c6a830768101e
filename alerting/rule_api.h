#pragma once

#include <string>
#include <vector>

#include "alerting/rule_status.h"
#include "base/http.h"

namespace tarsier::alerting {

// The endpoints below /api/v1 that tell of rules, as functions of what they show. Parameters, texts
// and JSON are Prometheus'.

/// `groups` sorted by file, then name.
HttpResponse rules_response(const HttpRequest& request, const std::vector<RuleGroupStatus>& groups);
HttpResponse alerts_response(const std::vector<RuleGroupStatus>& groups);
HttpResponse alertmanagers_response(const std::vector<std::string>& active_urls,
                                    const std::vector<std::string>& dropped_urls);

}  // namespace tarsier::alerting
