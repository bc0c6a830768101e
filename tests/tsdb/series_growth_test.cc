#include "tsdb/head/series_growth.h"

#include <gtest/gtest.h>

namespace tarsier::tsdb {
namespace {

constexpr Timestamp kStart{1'700'000'000'000};

TEST(SeriesGrowth, ComparesWithADayAgoAndNamesWhoGrewMost) {
  SeriesGrowth growth;
  EXPECT_EQ(growth.growth({{"a", 1}}).since, kMaxTimestamp);
  EXPECT_TRUE(growth.is_due(kStart));
  growth.note(kStart, 30, 30, {{"a", 10}, {"b", 20}});
  EXPECT_FALSE(growth.is_due(kStart + minutes(59)));
  EXPECT_TRUE(growth.is_due(kStart + hours(1)));

  SeriesGrowth::Growth found = growth.growth({{"a", 15}, {"b", 19}, {"c", 9}});
  EXPECT_EQ(found.since, kStart);
  EXPECT_EQ(found.series_count, 30u);
  EXPECT_EQ(found.metrics, (SeriesGrowth::Counts{{"c", 9}, {"a", 5}}));

  for (int hour = 1; hour <= 30; ++hour) {
    growth.note(kStart + hours(hour), 30, 40, {{"a", 10 + static_cast<std::uint64_t>(hour)}});
  }
  found = growth.growth({{"a", 40}});
  EXPECT_EQ(found.since, kStart + hours(6));
  EXPECT_EQ(found.metrics, (SeriesGrowth::Counts{{"a", 24}}));
}

TEST(SeriesGrowth, AClockSetBackBeginsAnew) {
  SeriesGrowth growth;
  growth.note(kStart, 1, 1, {});
  EXPECT_TRUE(growth.is_due(kStart - hours(5)));
  growth.note(kStart - hours(5), 2, 2, {});
  EXPECT_EQ(growth.growth({}).since, kStart - hours(5));
}

}  // namespace
}  // namespace tarsier::tsdb
