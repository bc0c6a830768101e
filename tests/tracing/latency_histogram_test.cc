#include "tracing/latency_histogram.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace tarsier::tracing {
namespace {

TEST(LatencyHistogram, BoundsAreInclusive) {
  const LatencyBuckets buckets{.bounds = {1, 2}};
  LatencyHistogram histogram(buckets);
  for (const double v : {0.0, 1.0, 1.5, 2.0, 2.5}) histogram.observe(v, 2);
  std::vector<double> cumulative;
  histogram.append_cumulative(cumulative);
  EXPECT_EQ(cumulative, (std::vector<double>{4, 8, 10}));
  EXPECT_EQ(histogram.sum(), 14);
  EXPECT_EQ(histogram.count(), 10);
}

TEST(LatencyHistogram, NativeBucketsAreWhereTheFormatHasThem) {
  const LatencyBuckets buckets{.has_native = true};
  LatencyHistogram histogram(buckets);
  histogram.observe(0, 1);
  histogram.observe(1, 1);     // (2^(-1/8), 1]: index 0.
  histogram.observe(1.05, 2);  // (1, 2^(1/8)]: index 1.
  histogram.observe(2, 3);     // Index 8.
  const tsdb::FloatHistogram native = histogram.native();
  EXPECT_TRUE(tsdb::validate(native).ok());
  EXPECT_EQ(native.layout.schema, 3);
  EXPECT_EQ(native.zero_count, 1);
  EXPECT_EQ(native.layout.positive_spans, (std::vector<tsdb::BucketSpan>{{0, 2}, {6, 1}}));
  EXPECT_EQ(native.positive_counts, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(native.count, 7);
}

TEST(LatencyHistogram, TooManyNativeBucketsMakeThemWider) {
  const LatencyBuckets buckets{.has_native = true};
  LatencyHistogram histogram(buckets);
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    histogram.observe(std::exp2(static_cast<double>(random() % 60'000) / 1000 - 30), 1);
  }
  const tsdb::FloatHistogram native = histogram.native();
  EXPECT_TRUE(tsdb::validate(native).ok());
  EXPECT_LT(native.layout.schema, 3);
  EXPECT_LE(native.positive_counts.size(), LatencyHistogram::kNativeBucketsMax);
  double sum = 0;
  for (const double n : native.positive_counts) sum += n;
  EXPECT_EQ(sum, 20'000);
  // Still where the format has them: the bucket of the smallest value holds it.
  EXPECT_LE(native.layout.positive_spans[0].offset, 0);
}

}  // namespace
}  // namespace tarsier::tracing
