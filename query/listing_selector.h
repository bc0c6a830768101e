#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/matcher.h"

namespace tarsier::query {

/// One `match[]` of an endpoint that lists things: a metric selector of which at least one matcher
/// refuses the empty string. kInvalid with the text to show.
Result<std::vector<tsdb::Matcher>> parse_listing_selector(std::string_view text);

}  // namespace tarsier::query
