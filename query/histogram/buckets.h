#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "query/histogram/view.h"

namespace tarsier::query {

// Which bucket covers what: promql's native histograms as intervals on the number line.

/// One bucket with its bounds.
struct Bucket {
  double lower = 0;
  double upper = 0;
  double count = 0;
  bool has_lower = false;  ///< Whether the bound itself is inside.
  bool has_upper = false;
};

/// Where a bucket is, without its bounds: they cost more than the count, and most callers need
/// those of one bucket only.
struct BucketPlace {
  enum class Side : unsigned char { kNegative, kZero, kPositive };
  Side side;
  std::int64_t index;  ///< Of the bucket in its schema; meaningless for the zero bucket.
  double count;
};

/// The upper bound of the positive bucket with this index; powers of two are exact. For custom
/// buckets -Inf below index 0 and +Inf above the last bound.
double upper_bound(const tsdb::BucketLayout& layout, std::int64_t index);
/// The same with a schema at hand; exponential only.
double exponential_bound(std::int32_t schema, std::int64_t index);

/// Replaces `out` by the buckets that are not empty, from the lowest to the highest, the zero
/// bucket among them.
void list_buckets(const HistogramView& h, std::vector<BucketPlace>& out);
/// The bounds of one of them; next to the zero bucket they end where it begins.
Bucket bucket_at(const tsdb::BucketLayout& layout, const BucketPlace& place);

/// Calls `visit(index, count)` for each bucket of one side, empty ones too, in ascending order of
/// index.
template <typename F>
void for_each_index(std::span<const tsdb::BucketSpan> spans, std::span<const double> counts,
                    F&& visit) {
  std::int64_t index = 0;
  std::size_t next = 0;
  for (const tsdb::BucketSpan& span : spans) {
    index += span.offset;
    for (std::uint32_t k = 0; k < span.length && next < counts.size(); ++k) {
      visit(index++, counts[next++]);
    }
  }
}

}  // namespace tarsier::query
