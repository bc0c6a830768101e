#pragma once

#include <cstdint>
#include <vector>

#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::query {

/// Removes stale markers; buckets stay where they are. `starts_ms`, if not empty, has one entry per
/// sample, and loses those of stale markers.
void remove_stale_markers(tsdb::HistogramColumns& columns, std::vector<std::int64_t>& starts_ms);
void remove_stale_markers(tsdb::SampleColumns& columns, std::vector<std::int64_t>& starts_ms);

/// Count, sum and hint are kept, buckets are not. What they said about counter resets becomes the
/// hint of each sample but the first.
void keep_statistics(tsdb::HistogramColumns& columns);

}  // namespace tarsier::query
