#pragma once

#include <string_view>

#include "base/result.h"

namespace tarsier::ingest {

/// Whether `body` is OpenMetrics 1.0 text by every rule of the specification, the semantic ones
/// included: grouping and order, name clashes, what each metric type may hold. Far stricter than a
/// scrape; for "check metrics" commands and conformance tests. kInvalid names the line and the
/// first broken rule.
Status check_openmetrics(std::string_view body);

}  // namespace tarsier::ingest
