#include "tsdb/histogram.h"

#include <gtest/gtest.h>

#include <limits>

#include <string>

#include "tests/support/table_storage.h"
#include "tsdb/exemplar.h"

namespace tarsier::tsdb {
namespace {

IntegerHistogram some_histogram() {
  IntegerHistogram h;
  h.layout.schema = 1;
  h.layout.zero_threshold = 0.001;
  h.layout.positive_spans = {{0, 2}, {1, 1}};
  h.layout.negative_spans = {{-1, 1}};
  h.count = 13;
  h.zero_count = 2;
  h.sum = 18.4;
  h.positive_deltas = {3, 1, -3};  // 3, 4, 1
  h.negative_deltas = {3};
  return h;
}

TEST(Histogram, BecomesFloatByAddingUpItsDifferences) {
  const FloatHistogram f = to_float(some_histogram());
  EXPECT_EQ(f.positive_counts, (std::vector<double>{3, 4, 1}));
  EXPECT_EQ(f.negative_counts, (std::vector<double>{3}));
  EXPECT_EQ(f.count, 13);
  EXPECT_EQ(f.zero_count, 2);
  EXPECT_TRUE(f.layout == some_histogram().layout);
}

TEST(Histogram, IsValidWhenItsPartsAgree) {
  EXPECT_TRUE(validate(some_histogram()).ok());
  EXPECT_TRUE(validate(to_float(some_histogram())).ok());
  IntegerHistogram stale;
  stale.sum = stale_marker();
  EXPECT_TRUE(validate(stale).ok());
}

TEST(Histogram, NamesWhatDoesNotAgree) {
  IntegerHistogram h = some_histogram();
  h.positive_deltas.push_back(0);
  EXPECT_EQ(validate(h).message(),
            "positive side: spans need 3 buckets, have 4 buckets: histogram spans specify "
            "different number of buckets than provided");
  h = some_histogram();
  h.positive_deltas[2] = -5;
  EXPECT_EQ(validate(h).message(),
            "positive side: bucket number 3 has observation count of -1: histogram has a bucket "
            "whose observation count is negative");
  h = some_histogram();
  h.layout.positive_spans[1].offset = -1;
  EXPECT_NE(validate(h).message().find("span number 2 with offset -1"), std::string::npos);
  h = some_histogram();
  h.count = 12;
  EXPECT_NE(
      validate(h).message().find("13 observations found in buckets, but the Count field is 12"),
      std::string::npos);
  h.sum = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(validate(h).ok());
  h.count = 14;  // One observation was NaN.
  EXPECT_TRUE(validate(h).ok());
  h = some_histogram();
  h.layout.custom_bounds = {1};
  EXPECT_FALSE(validate(h).ok());
  h = some_histogram();
  h.layout.schema = 53;
  EXPECT_FALSE(validate(h).ok());
}

TEST(Histogram, CustomBoundsGrowAndCoverTheSpans) {
  FloatHistogram h;
  h.layout.schema = kCustomBucketsSchema;
  h.layout.custom_bounds = {1, 2, 5};
  h.layout.positive_spans = {{0, 4}};
  h.positive_counts = {1, 0, 2, 3};
  h.count = 6;
  EXPECT_TRUE(validate(h).ok());
  h.layout.positive_spans = {{1, 4}};
  EXPECT_FALSE(validate(h).ok());
  h.layout.positive_spans = {{0, 4}};
  h.layout.custom_bounds = {1, 1, 5};
  EXPECT_FALSE(validate(h).ok());
  h.layout.custom_bounds = {1, 2, std::numeric_limits<double>::infinity()};
  EXPECT_FALSE(validate(h).ok());
}

TEST(HistogramColumns, ShareOneLayoutBetweenNeighbours) {
  HistogramColumns columns;
  FloatHistogram a = to_float(some_histogram());
  FloatHistogram b = a;
  b.layout.schema = 0;
  columns.push_back(Timestamp{1}, a);
  columns.push_back(Timestamp{2}, a);
  columns.push_back(Timestamp{3}, b);
  ASSERT_EQ(columns.size(), 3U);
  EXPECT_EQ(columns.layouts.size(), 2U);
  EXPECT_EQ(columns.at(2).layout.schema, 0);
  EXPECT_EQ(columns.at(1).positive_counts, a.positive_counts);
  EXPECT_EQ(columns.at(1).negative_counts, a.negative_counts);
}

TEST(TableStorage, GivesBothKindsOfSamples) {
  testing::TableStorage storage;
  const Labels labels = Labels::from_views({{"__name__", "h"}});
  storage.add(labels, Timestamp{1}, 5);
  storage.add_histogram(labels, Timestamp{2}, to_float(some_histogram()));
  auto querier = storage.querier({Timestamp{0}, Timestamp{9}});
  auto set = querier.value()->select({}, {}, nullptr);
  ASSERT_EQ(set.value()->size(), 1U);
  EXPECT_TRUE(set.value()->may_have_histograms(0));
  SampleColumns floats;
  HistogramColumns histograms;
  ASSERT_TRUE(set.value()->read_mixed(0, {Timestamp{0}, Timestamp{9}}, floats, histograms).ok());
  EXPECT_EQ(floats.size(), 1U);
  ASSERT_EQ(histograms.size(), 1U);
  EXPECT_EQ(histograms.times_ms[0], 2);
}

TEST(StoredHistogram, IsReducedToTheFinestResolutionThatCanBeStored) {
  IntegerHistogram histogram;
  histogram.layout.schema = 10;  // Four buckets of it are one of schema 8.
  histogram.layout.positive_spans = {{-3, 5}, {3, 1}};
  histogram.positive_deltas = {1, 1, 0, 2, -1, 4};  // 1 2 2 4 | 3 ... 7 at -3..0, 1, 5.
  histogram.count = 19;
  ASSERT_TRUE(prepare_for_storage(histogram).ok());
  EXPECT_EQ(histogram.layout.schema, 8);
  EXPECT_EQ(histogram.layout.positive_spans, (std::vector<BucketSpan>{{0, 3}}));
  EXPECT_EQ(histogram.positive_deltas, (std::vector<std::int64_t>{9, -6, 4}));
  EXPECT_TRUE(validate(histogram).ok());

  FloatHistogram floats;
  floats.layout.schema = 9;
  floats.layout.negative_spans = {{1, 3}};
  floats.negative_counts = {1, 2, 4};
  ASSERT_TRUE(prepare_for_storage(floats).ok());
  EXPECT_EQ(floats.layout.negative_spans, (std::vector<BucketSpan>{{1, 2}}));
  EXPECT_EQ(floats.negative_counts, (std::vector<double>{3, 4}));
}

TEST(StoredHistogram, RefusesResolutionsNobodyCanStore) {
  IntegerHistogram histogram;
  histogram.layout.schema = -5;
  EXPECT_FALSE(validate_for_storage(histogram).ok());
  histogram.layout.schema = 53;
  EXPECT_FALSE(validate_for_storage(histogram).ok());
  histogram.sum = stale_marker();
  EXPECT_TRUE(validate_for_storage(histogram).ok()) << "of a stale one only the sum counts";
}

TEST(Exemplar, HasLabelsOfLimitedLength) {
  Exemplar exemplar;
  const std::string umlauts = [] {
    std::string text;
    for (int i = 0; i < 126; ++i) text += "\xc3\xa4";
    return text;
  }();
  exemplar.labels = Labels::from_views({{"id", umlauts}});
  EXPECT_TRUE(validate_for_storage(exemplar).ok());
  exemplar.labels = Labels::from_views({{"ids", umlauts}});
  EXPECT_EQ(validate_for_storage(exemplar).message(),
            "label length for exemplar exceeds maximum of 128 UTF-8 characters");
}

}  // namespace
}  // namespace tarsier::tsdb
