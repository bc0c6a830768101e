#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::server {

/// The body of a query's answer as promtool prints results: `up{job="a"} => 1 @[1700000000]`,
/// native histograms as `Count: 2.000000, Sum: 3.500000, Buckets: [(1,2]:2] @[1700000000]`.
/// kInvalid with the server's own error when it refused.
Result<std::string> format_query_answer(std::string_view body);

}  // namespace tarsier::server
