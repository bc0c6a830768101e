#include "base/calendar.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(Calendar, CountsDaysInBothDirections) {
  EXPECT_EQ(days_from({1970, 1, 1}), 0);
  EXPECT_EQ(days_from({2000, 2, 29}), 11'016);
  EXPECT_EQ(days_from({1969, 12, 31}), -1);
  EXPECT_EQ(days_from({0, 3, 1}), -719'468);
  for (std::int64_t days = -800'000; days < 800'000; days += 37) {
    EXPECT_EQ(days_from(date_from(days)), days);
  }
}

TEST(Calendar, KnowsLeapYears) {
  EXPECT_EQ(days_in_month(2000, 2), 29);
  EXPECT_EQ(days_in_month(1900, 2), 28);
  EXPECT_EQ(days_in_month(2024, 2), 29);
  EXPECT_EQ(days_in_month(2023, 2), 28);
  EXPECT_EQ(days_in_month(2023, 4), 30);
  EXPECT_EQ(days_in_month(2023, 12), 31);
}

}  // namespace
}  // namespace tarsier
