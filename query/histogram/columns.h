#pragma once

#include "tsdb/histogram.h"

namespace tarsier::query {

/// Removes stale markers; buckets stay where they are.
void remove_stale_markers(tsdb::HistogramColumns& columns);

/// Count, sum and hint are kept, buckets are not. What they said about counter resets becomes the
/// hint of each sample but the first.
void keep_statistics(tsdb::HistogramColumns& columns);

}  // namespace tarsier::query
