#include "query/histogram/text.h"

#include "base/number_text.h"
#include "query/histogram/buckets.h"

namespace tarsier::query {

std::string histogram_text(const HistogramView& h) {
  std::string out = "{count:" + short_number(h.count) + ", sum:" + short_number(h.sum);
  const auto append = [&out](const Bucket& bucket) {
    out += bucket.has_lower ? ", [" : ", (";
    out += short_number(bucket.lower) + "," + short_number(bucket.upper);
    out += bucket.has_upper ? "]:" : "):";
    out += short_number(bucket.count);
  };
  // Shown as the schema has them, also where they reach into the zero bucket.
  tsdb::BucketLayout layout = *h.layout;
  layout.zero_threshold = 0;
  std::vector<BucketPlace> places;
  list_buckets(h, places);
  bool is_zero_shown = h.zero_count == 0;
  const auto append_zero = [&] {
    const BucketPlace zero{BucketPlace::Side::kZero, 0, h.zero_count};
    if (!is_zero_shown) append(bucket_at(*h.layout, zero));
    is_zero_shown = true;
  };
  for (const BucketPlace& place : places) {
    if (place.side != BucketPlace::Side::kNegative) append_zero();
    if (place.side != BucketPlace::Side::kZero) append(bucket_at(layout, place));
  }
  append_zero();
  return out + "}";
}

}  // namespace tarsier::query
