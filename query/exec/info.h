#pragma once

#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "tsdb/matcher.h"

namespace tarsier::query {

/// info(): the series of `base` with the labels of the info series that share their `instance` and
/// `job`, step by step, as both may come and go. `info_times` holds the info series `matchers`
/// selected, each step with the time of its newest sample in seconds.
Result<StreamPtr> enrich_with_info(Context& context, StreamPtr base, StreamPtr info_times,
                                   const std::vector<tsdb::Matcher>& matchers);

}  // namespace tarsier::query
