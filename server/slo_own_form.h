#pragma once

#include <string>

#include "alerting/slo.h"

namespace tarsier::server {

/// The objective as an element of `slos` in our own form; empty for what that has no words for.
std::string slo_own_form(const alerting::SloDefinition& slo);

}  // namespace tarsier::server
