#include "tracing/latency_histogram.h"

#include <algorithm>
#include <cmath>

namespace tarsier::tracing {
namespace {

/// What client libraries use: nothing a clock can measure lies in it but zero.
const double kZeroThreshold = std::ldexp(1.0, -128);

/// Bucket i of schema s holds (2^((i-1)·2^-s), 2^(i·2^-s)].
std::int32_t native_index(double v, std::int32_t schema) {
  return static_cast<std::int32_t>(std::ceil(std::ldexp(std::log2(v), schema)));
}

}  // namespace

std::size_t LatencyHistogram::bucket_of(double v) const {
  const std::vector<double>& bounds = buckets_->bounds;
  return static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), v) -
                                  bounds.begin());
}

void LatencyHistogram::observe(double v, double weight) {
  counts_[bucket_of(v)] += weight;
  count_ += weight;
  sum_ += v * weight;
  if (buckets_->has_native) observe_native(v, weight);
}

void LatencyHistogram::observe_native(double v, double weight) {
  if (v <= kZeroThreshold) {
    zero_count_ += weight;
    return;
  }
  const std::int32_t index = native_index(v, schema_);
  const auto at = std::lower_bound(native_.begin(), native_.end(), index,
                                   [](const std::pair<std::int32_t, double>& bucket,
                                      std::int32_t i) { return bucket.first < i; });
  if (at != native_.end() && at->first == index) {
    at->second += weight;
    return;
  }
  native_.insert(at, {index, weight});
  while (native_.size() > kNativeBucketsMax && schema_ > tsdb::kExponentialSchemaMin) halve();
}

void LatencyHistogram::halve() {
  --schema_;
  std::size_t out = 0;
  for (const auto& [index, weight] : native_) {
    // Two neighbours become one: -1 and 0 become 0, 1 and 2 become 1.
    const std::int32_t wider = (index + 1) >> 1;
    if (out > 0 && native_[out - 1].first == wider) {
      native_[out - 1].second += weight;
    } else {
      native_[out++] = {wider, weight};
    }
  }
  native_.resize(out);
}

void LatencyHistogram::append_cumulative(std::vector<double>& out) const {
  double sum = 0;
  for (const double n : counts_) out.push_back(sum += n);
}

tsdb::FloatHistogram LatencyHistogram::native() const {
  tsdb::FloatHistogram out;
  out.layout.schema = schema_;
  out.layout.zero_threshold = kZeroThreshold;
  out.count = count_;
  out.zero_count = zero_count_;
  out.sum = sum_;
  std::int32_t next = 0;
  for (const auto& [index, weight] : native_) {
    std::vector<tsdb::BucketSpan>& spans = out.layout.positive_spans;
    if (spans.empty() || index != next) {
      spans.push_back({.offset = spans.empty() ? index : index - next, .length = 0});
    }
    ++spans.back().length;
    next = index + 1;
    out.positive_counts.push_back(weight);
  }
  return out;
}

}  // namespace tarsier::tracing
