// The arithmetic of native histograms.

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "query/histogram/arithmetic.h"
#include "query/histogram/buckets.h"
#include "query/histogram/compensated.h"
#include "query/histogram/layout.h"
#include "query/histogram/statistics.h"
#include "query/histogram/text.h"
#include "query/histogram/trim.h"
#include "tests/query/histogram_notation.h"

namespace tarsier::query {
namespace {

using testing::histogram_of;
using testing::notation_of;
using tsdb::CounterResetHint;
using tsdb::FloatHistogram;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(HistogramBuckets, PowersOfTwoAreExactBounds) {
  EXPECT_EQ(exponential_bound(0, 0), 1);
  EXPECT_EQ(exponential_bound(0, 10), 1024);
  EXPECT_EQ(exponential_bound(0, -1), 0.5);
  EXPECT_EQ(exponential_bound(3, 8), 2);
  // To the last bit as Prometheus' answers have them.
  EXPECT_EQ(exponential_bound(1, -1), 0.7071067811865475);
  EXPECT_EQ(exponential_bound(1, 1), 1.414213562373095);
  EXPECT_EQ(exponential_bound(2, -1), 0.8408964152537144);
  EXPECT_EQ(exponential_bound(3, -7), 0.5452538663326288);
  EXPECT_EQ(exponential_bound(3, -16), 0.25);
  EXPECT_EQ(exponential_bound(-2, 1), 16);
  EXPECT_EQ(exponential_bound(-4, -1), std::ldexp(1, -16));
  EXPECT_DOUBLE_EQ(exponential_bound(1, 1), std::sqrt(2.0));
}

TEST(HistogramBuckets, TheLastFiniteBucketEndsAtTheLargestNumber) {
  EXPECT_EQ(exponential_bound(0, 1024), std::numeric_limits<double>::max());
  EXPECT_EQ(exponential_bound(0, 1025), kInfinity);
  EXPECT_EQ(exponential_bound(-4, 64), std::numeric_limits<double>::max());
  EXPECT_EQ(exponential_bound(-4, 65), kInfinity);
  EXPECT_EQ(exponential_bound(8, 1 << 30), kInfinity);
  EXPECT_EQ(exponential_bound(0, -5000), 0);
}

TEST(HistogramBuckets, BucketsBesideTheZeroBucketBeginWhereItEnds) {
  const FloatHistogram h =
      histogram_of("{{z_bucket:1 z_bucket_w:0.75 offset:-1 buckets:[1 2 3] n_buckets:[4]}}");
  std::vector<BucketPlace> places;
  list_buckets(view_of(h), places);
  ASSERT_EQ(places.size(), 5U);
  std::string text;
  for (const BucketPlace& place : places) {
    const Bucket b = bucket_at(h.layout, place);
    text += std::to_string(b.lower) + ".." + std::to_string(b.upper) + " ";
  }
  EXPECT_EQ(text,
            "-1.000000..-0.750000 -0.750000..0.750000 0.750000..0.500000 0.750000..1.000000 "
            "1.000000..2.000000 ");
}

TEST(HistogramText, ShowsBucketsFromLowestToHighest) {
  EXPECT_EQ(histogram_text(view_of(histogram_of(
                "{{count:10 sum:1234567 z_bucket:4 z_bucket_w:0.001 buckets:[0 5] n_buckets:[0 "
                "1]}}"))),
            "{count:10, sum:1.234567e+06, [-2,-1):1, [-0.001,0.001]:4, (1,2]:5}");
  EXPECT_EQ(histogram_text(view_of(
                histogram_of("{{schema:-53 count:3 sum:4 custom_values:[1 2] buckets:[1 0 2]}}"))),
            "{count:3, sum:4, [-Inf,1]:1, (2,+Inf]:2}");
  EXPECT_EQ(histogram_text(view_of(FloatHistogram())), "{count:0, sum:0}");
}

// Adding.

struct Sum {
  const char* left;
  const char* right;
  const char* want;
};

TEST(HistogramArithmetic, AddsAndSubtractsAfterReconcilingLayouts) {
  const Sum sums[] = {
      {"{{count:3 sum:6 buckets:[1 2]}}", "{{count:1 sum:2 buckets:[0 1]}}",
       "{{count:4 sum:8 buckets:[1 3]}}"},
      // Missing buckets are inserted, on either side of those that are there.
      {"{{count:1 sum:1 offset:2 buckets:[1]}}", "{{count:3 sum:2 offset:-1 buckets:[1 0 0 0 2]}}",
       "{{count:4 sum:3 offset:-1 buckets:[1 0 0 1 2]}}"},
      // The finer is reduced to the coarser.
      {"{{schema:1 count:4 sum:1 buckets:[1 1 1 1]}}", "{{schema:0 count:2 sum:1 buckets:[1 1]}}",
       "{{schema:0 count:6 sum:2 buckets:[2 3 1]}}"},
      // The wider zero bucket swallows buckets.
      {"{{count:6 sum:1 z_bucket:1 z_bucket_w:1 buckets:[0 5]}}",
       "{{count:4 sum:1 z_bucket:1 z_bucket_w:0.25 offset:-1 buckets:[1 1 1]}}",
       "{{count:10 sum:2 z_bucket:4 z_bucket_w:1 offset:1 buckets:[6]}}"},
      // A threshold inside a populated bucket moves to its end, which may cut one of the other.
      {"{{count:2 sum:1 z_bucket:1 z_bucket_w:1.5 offset:2 buckets:[1]}}",
       "{{count:2 sum:1 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[1]}}",
       "{{count:4 sum:2 z_bucket:3 z_bucket_w:2 offset:2 buckets:[1]}}"},
      {"{{count:2 sum:1 n_buckets:[2]}}", "{{count:1 sum:1 n_buckets:[0 1]}}",
       "{{count:3 sum:2 n_buckets:[2 1]}}"},
      // Custom bounds: those both have.
      {"{{schema:-53 count:4 sum:1 custom_values:[1 2 3] buckets:[1 1 1 1]}}",
       "{{schema:-53 count:3 sum:1 custom_values:[2 4] buckets:[1 1 1]}}",
       "{{schema:-53 count:7 sum:2 custom_values:[2] buckets:[3 4]}}"},
      {"{{schema:-53 count:1 sum:1 custom_values:[1] buckets:[1]}}",
       "{{schema:-53 count:2 sum:1 custom_values:[2] buckets:[1 1]}}",
       "{{schema:-53 count:3 sum:2 custom_values:[] buckets:[3]}}"},
  };
  for (const Sum& s : sums) {
    SCOPED_TRACE(s.left + std::string(" + ") + s.right);
    FloatHistogram h = histogram_of(s.left);
    EXPECT_TRUE(add(h, view_of(histogram_of(s.right))).is_compatible);
    compact(h);
    FloatHistogram want = histogram_of(s.want);
    compact(want);
    EXPECT_EQ(notation_of(h), notation_of(want));
    // Both ways, and back again.
    FloatHistogram other = histogram_of(s.right);
    add(other, view_of(histogram_of(s.left)));
    EXPECT_TRUE(is_equal(view_of(other), view_of(want))) << notation_of(other);
    subtract(h, view_of(histogram_of(s.right)));
    EXPECT_EQ(h.count, histogram_of(s.left).count);

    CompensatedHistogram compensated;
    compensated.start(view_of(histogram_of(s.left)));
    EXPECT_TRUE(compensated.add(view_of(histogram_of(s.right))).is_compatible);
    FloatHistogram sum;
    compensated.value(1, sum);
    EXPECT_TRUE(is_equal(view_of(sum), view_of(want))) << notation_of(sum);
  }
}

TEST(HistogramArithmetic, ExponentialAndCustomBucketsDoNotMix) {
  FloatHistogram h = histogram_of("{{count:1 sum:1 buckets:[1]}}");
  const FloatHistogram before = h;
  EXPECT_FALSE(add(h, view_of(histogram_of("{{schema:-53 count:1 custom_values:[1] buckets:[1]}}")))
                   .is_compatible);
  EXPECT_TRUE(is_equal(view_of(h), view_of(before)));
}

TEST(HistogramArithmetic, ASumOfHintsIsWhatIsKnownOfBoth) {
  using Hint = CounterResetHint;
  bool collide = false;
  EXPECT_EQ(merge_hints(Hint::kReset, Hint::kReset, collide), Hint::kReset);
  EXPECT_EQ(merge_hints(Hint::kGauge, Hint::kReset, collide), Hint::kGauge);
  EXPECT_EQ(merge_hints(Hint::kUnknown, Hint::kNotReset, collide), Hint::kUnknown);
  EXPECT_FALSE(collide);
  EXPECT_EQ(merge_hints(Hint::kNotReset, Hint::kReset, collide), Hint::kUnknown);
  EXPECT_TRUE(collide);
}

TEST(HistogramArithmetic, DividingByZeroLeavesNoBuckets) {
  FloatHistogram h = histogram_of("{{count:3 sum:-6 z_bucket:0 buckets:[1 2]}}");
  divide(h, 0);
  EXPECT_EQ(h.count, kInfinity);
  EXPECT_EQ(h.sum, -kInfinity);
  EXPECT_TRUE(std::isnan(h.zero_count));
  EXPECT_TRUE(h.positive_counts.empty());
  EXPECT_TRUE(h.layout.positive_spans.empty());
}

TEST(HistogramArithmetic, ANegativeFactorMakesAGauge) {
  FloatHistogram h = histogram_of("{{count:3 sum:6 buckets:[1 2]}}");
  multiply(h, -2);
  EXPECT_EQ(notation_of(h),
            "{{schema:0 count:-6 sum:-12 offset:0 buckets:[-2 -4] counter_reset_hint:gauge}}");
}

TEST(HistogramArithmetic, EqualityIgnoresEmptyBucketsAndHints) {
  const auto equal = [](const char* a, const char* b) {
    return is_equal(view_of(histogram_of(a)), view_of(histogram_of(b)));
  };
  EXPECT_TRUE(equal("{{count:1 buckets:[0 0 1]}}",
                    "{{count:1 offset:2 buckets:[1] counter_reset_hint:gauge}}"));
  EXPECT_TRUE(equal("{{sum:NaN}}", "{{sum:NaN}}"));
  EXPECT_FALSE(equal("{{sum:0}}", "{{sum:-0}}"));
  EXPECT_FALSE(equal("{{count:1 buckets:[1]}}", "{{count:1 offset:1 buckets:[1]}}"));
  EXPECT_FALSE(equal("{{count:1 buckets:[1]}}", "{{count:1 n_buckets:[1]}}"));
  EXPECT_FALSE(equal("{{count:1}}", "{{schema:1 count:1}}"));
  EXPECT_FALSE(equal("{{z_bucket_w:1}}", "{{z_bucket_w:2}}"));
}

TEST(HistogramArithmetic, KnowsACounterReset) {
  struct Case {
    const char* previous;
    const char* current;
    bool want;
  };
  const Case cases[] = {
      {"{{count:3 buckets:[1 2]}}", "{{count:4 buckets:[2 2]}}", false},
      {"{{count:3 buckets:[1 2]}}", "{{count:2 buckets:[1 1]}}", true},
      {"{{count:3 buckets:[1 2]}}", "{{count:3 buckets:[2 1]}}", true},
      {"{{count:3 buckets:[1 2]}}", "{{count:4 buckets:[4]}}", true},
      {"{{count:3 buckets:[3 0]}}", "{{count:4 buckets:[4]}}", false},
      {"{{count:3 sum:9 buckets:[3]}}", "{{count:3 sum:1 buckets:[3]}}", false},
      {"{{count:9 buckets:[3]}}", "{{count:1 counter_reset_hint:not_reset}}", false},
      {"{{count:1 buckets:[1]}}", "{{count:2 buckets:[2] counter_reset_hint:reset}}", true},
      // Coarser is fine, finer is not.
      {"{{schema:1 count:2 buckets:[1 1]}}", "{{count:3 buckets:[1 2]}}", false},
      {"{{schema:1 count:3 buckets:[1 1 1]}}", "{{count:3 buckets:[1 1 1]}}", true},
      {"{{count:1 buckets:[1]}}", "{{schema:1 count:1 buckets:[1]}}", true},
      // A wider zero bucket must hold what it swallowed.
      {"{{count:2 z_bucket:1 z_bucket_w:0.5 buckets:[1]}}", "{{count:2 z_bucket:2 z_bucket_w:1}}",
       false},
      {"{{count:2 z_bucket:1 z_bucket_w:0.5 buckets:[1]}}",
       "{{count:2 z_bucket:1 z_bucket_w:1 offset:1 buckets:[1]}}", true},
      {"{{count:2 z_bucket:1 z_bucket_w:0.5 buckets:[1]}}",
       "{{count:2 z_bucket:2 z_bucket_w:0.75}}", true},
      {"{{count:1 z_bucket:1 z_bucket_w:1}}", "{{count:1 z_bucket:1 z_bucket_w:0.5}}", true},
      // Kinds of buckets, and custom bounds.
      {"{{count:1 buckets:[1]}}", "{{schema:-53 count:2 custom_values:[1] buckets:[2]}}", true},
      {"{{schema:-53 count:2 custom_values:[1] buckets:[2]}}", "{{count:3 buckets:[3]}}", true},
      {"{{schema:-53 count:3 custom_values:[1 2] buckets:[1 2]}}",
       "{{schema:-53 count:4 custom_values:[2] buckets:[4]}}", false},
      {"{{schema:-53 count:3 custom_values:[1 2] buckets:[1 2]}}",
       "{{schema:-53 count:4 custom_values:[2] buckets:[2 2]}}", true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.previous + std::string(" then ") + c.current);
    EXPECT_EQ(is_reset(view_of(histogram_of(c.current)), view_of(histogram_of(c.previous))),
              c.want);
  }
}

TEST(HistogramArithmetic, ReducesResolution) {
  FloatHistogram h = histogram_of("{{schema:2 count:9 offset:-3 buckets:[1 1 1 1 1 1 1 1 1]}}");
  reduce_resolution(h, 0);
  // At schema 2 four buckets make one: (-4, 0], (0, 4], (4, 8].
  EXPECT_EQ(notation_of(h),
            "{{schema:0 count:9 sum:0 offset:0 buckets:[4 4 1] counter_reset_hint:unknown}}");
}

TEST(HistogramArithmetic, CompactionJoinsSpansAndDropsEmptyBuckets) {
  FloatHistogram h;
  h.layout.positive_spans = {{-2, 2}, {0, 1}, {3, 0}, {1, 3}};
  h.positive_counts = {0, 1, 2, 0, 3, 0};
  compact(h);
  const std::vector<tsdb::BucketSpan> want = {{-1, 2}, {5, 1}};
  EXPECT_EQ(h.layout.positive_spans, want);
  EXPECT_EQ(h.positive_counts, (std::vector<double>{1, 2, 3}));
}

// Sums and means.

TEST(HistogramSum, KeepsWhatRoundingWouldLose) {
  HistogramSum sum;
  for (const char* text : {"{{count:1e100 buckets:[1e100]}}", "{{count:1 offset:1 buckets:[1]}}",
                           "{{count:-1e100 buckets:[-1e100]}}"}) {
    sum.add(view_of(histogram_of(text)));
  }
  FloatHistogram h;
  sum.value(h);
  EXPECT_EQ(h.count, 1);
  compact(h);
  EXPECT_EQ(h.positive_counts, std::vector<double>{1});
}

TEST(HistogramSum, PartsMergeToTheWhole) {
  HistogramSum whole;
  HistogramSum left;
  HistogramSum right;
  for (int i = 0; i < 10; ++i) {
    FloatHistogram h = histogram_of("{{schema:1 count:3 sum:0.1 buckets:[0.1 0.7]}}");
    if (i % 3 == 0) h.layout.schema = 0;
    whole.add(view_of(h));
    (i < 4 ? left : right).add(view_of(h));
  }
  left.merge(right);
  FloatHistogram a;
  FloatHistogram b;
  whole.value(a);
  left.value(b);
  EXPECT_EQ(notation_of(a), notation_of(b));
}

TEST(HistogramMean, StaysFiniteWhereTheSumDoesNot) {
  HistogramMean mean;
  for (int i = 0; i < 4; ++i)
    mean.add(view_of(histogram_of("{{count:1.5e308 buckets:[1.5e308]}}")));
  FloatHistogram h;
  mean.value(h);
  EXPECT_DOUBLE_EQ(h.count, 1.5e308);
  EXPECT_DOUBLE_EQ(h.positive_counts[0], 1.5e308);
}

TEST(HistogramSum, TellsWhatItMet) {
  HistogramSum sum;
  sum.add(view_of(histogram_of("{{count:1 counter_reset_hint:reset}}")));
  sum.add(view_of(histogram_of("{{count:1 counter_reset_hint:not_reset}}")));
  EXPECT_TRUE(sum.log().hints_collide());
  EXPECT_TRUE(sum.log().is_compatible);
  sum.add(view_of(histogram_of("{{schema:-53 custom_values:[1] count:1 buckets:[1]}}")));
  EXPECT_FALSE(sum.log().is_compatible);
}

// Statistics.

TEST(HistogramStatistics, QuantilesInterpolateOnTheScaleOfTheBuckets) {
  const auto quantile = [](double phi, const char* text) {
    return histogram_quantile(phi, view_of(histogram_of(text))).value;
  };
  const char* one = "{{count:4 sum:6 offset:1 buckets:[4]}}";  // All in (1, 2].
  EXPECT_DOUBLE_EQ(quantile(0.5, one), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(quantile(0.25, one), std::exp2(0.25));
  EXPECT_EQ(quantile(-1, one), -kInfinity);
  EXPECT_EQ(quantile(2, one), kInfinity);
  EXPECT_TRUE(std::isnan(quantile(std::nan(""), one)));
  EXPECT_TRUE(std::isnan(quantile(0.5, "{{}}")));
  EXPECT_DOUBLE_EQ(quantile(0.75, "{{count:4 sum:-6 n_offset:1 n_buckets:[4]}}"), -std::exp2(0.25));
  // The zero bucket: linear, and on the side where there are buckets.
  EXPECT_DOUBLE_EQ(quantile(0.25, "{{count:4 sum:1 z_bucket:4 z_bucket_w:1}}"), -0.5);
  EXPECT_DOUBLE_EQ(quantile(0.25, "{{count:4 sum:1 z_bucket:2 z_bucket_w:1 offset:1 buckets:[2]}}"),
                   0.5);
  // Custom buckets: linear.
  const char* custom = "{{schema:-53 count:4 sum:1 custom_values:[2 4] buckets:[2 1 1]}}";
  EXPECT_DOUBLE_EQ(quantile(0.25, custom), 1);
  EXPECT_DOUBLE_EQ(quantile(0.625, custom), 3);
  EXPECT_DOUBLE_EQ(quantile(0.99, custom), 4);
}

TEST(HistogramStatistics, TellsOfObservationsThatAreNaN) {
  const FloatHistogram h = histogram_of("{{count:4 sum:NaN offset:1 buckets:[2]}}");
  EXPECT_EQ(histogram_quantile(0.9, view_of(h)).finding, NanFinding::kResultIsNan);
  EXPECT_EQ(histogram_quantile(0.25, view_of(h)).finding, NanFinding::kSkewedHigher);
  const Answer fraction = histogram_fraction(-kInfinity, kInfinity, view_of(h));
  EXPECT_EQ(fraction.finding, NanFinding::kExcluded);
  EXPECT_DOUBLE_EQ(fraction.value, 0.5);
}

TEST(HistogramStatistics, FractionsAreTheInverseOfQuantiles) {
  for (const char* text :
       {"{{count:10 sum:6 buckets:[1 2 3 4]}}",
        "{{count:10 sum:6 z_bucket:3 z_bucket_w:0.5 buckets:[1 2] n_buckets:[4]}}",
        "{{schema:-53 count:6 sum:1 custom_values:[2 4 7] buckets:[1 2 3]}}"}) {
    SCOPED_TRACE(text);
    const FloatHistogram h = histogram_of(text);
    for (const double phi : {0.1, 0.3, 0.5, 0.8, 0.95}) {
      const double q = histogram_quantile(phi, view_of(h)).value;
      EXPECT_NEAR(histogram_fraction(-kInfinity, q, view_of(h)).value, phi, 1e-9);
    }
  }
}

TEST(HistogramStatistics, VarianceTakesTheMiddleOfEachBucket) {
  EXPECT_DOUBLE_EQ(
      histogram_variance(view_of(histogram_of("{{schema:-53 count:2 sum:4 custom_values:[1 3 5] "
                                              "offset:1 buckets:[1 1]}}"))),
      2);  // 2 and 4 around a mean of 2.
}

// Trimming.

TEST(HistogramTrim, CountsAsTheFractionSays) {
  for (const char* text :
       {"{{count:10 sum:6 buckets:[1 2 3 4]}}",
        "{{count:10 sum:6 z_bucket:3 z_bucket_w:0.5 buckets:[1 2] n_buckets:[4]}}",
        "{{schema:-53 count:6 sum:1 custom_values:[2 4 7] buckets:[1 2 3]}}"}) {
    for (const double limit : {-3.0, -0.75, -0.1, 0.0, 0.3, 1.5, 3.0, 6.0}) {
      SCOPED_TRACE(text + std::string(" at ") + std::to_string(limit));
      const FloatHistogram h = histogram_of(text);
      FloatHistogram below = h;
      trim(below, limit, TrimSide::kKeepBelow);
      FloatHistogram above = h;
      trim(above, limit, TrimSide::kKeepAbove);
      EXPECT_NEAR(below.count, histogram_fraction(-kInfinity, limit, view_of(h)).value * h.count,
                  1e-9);
      // Below zero nothing is known about how a first custom bucket is spread: it is dropped.
      if (h.layout.is_custom() && limit < 0) continue;
      EXPECT_NEAR(below.count + above.count, h.count, 1e-9);
    }
  }
}

TEST(HistogramTrim, KeepsTheSumWhereNothingIsRemoved) {
  FloatHistogram h = histogram_of("{{count:10 sum:123 buckets:[1 2 3 4]}}");
  trim(h, 100, TrimSide::kKeepBelow);
  EXPECT_EQ(h.sum, 123);
  trim(h, 2, TrimSide::kKeepBelow);
  EXPECT_EQ(h.count, 3);
  EXPECT_NE(h.sum, 123);
}

}  // namespace
}  // namespace tarsier::query
