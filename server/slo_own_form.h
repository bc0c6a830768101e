#pragma once

#include <string>
#include <vector>

#include "alerting/slo.h"
#include "base/result.h"

namespace tarsier::server {

/// One objective as an item of `slos:` in our own form. Queries of Sloth and OpenSLO that are sums
/// of rates become selectors, so that the same events are counted. `notes` gets what is not the
/// same afterwards, one sentence each. kInvalid where our form has no words for it.
Result<std::string> own_form(const alerting::Slo& slo, std::vector<std::string>& notes);

}  // namespace tarsier::server
