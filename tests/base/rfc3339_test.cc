#include "base/rfc3339.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(Rfc3339, ReadsDatesWithAZone) {
  const std::pair<const char*, std::int64_t> cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-08-01T12:00:00Z", 1'785'585'600'000},
      {"2026-08-01T14:00:00.5+02:00", 1'785'585'600'500},
      {"2024-02-29T23:59:59.999999999Z", 1'709'251'199'999},
      {"1969-12-31T23:59:59.250Z", -750},
      {"0001-01-01T00:00:00Z", -62'135'596'800'000},
  };
  for (const auto& [text, expected] : cases) {
    const std::optional<Timestamp> got = parse_rfc3339(text);
    ASSERT_TRUE(got.has_value()) << text;
    EXPECT_EQ(got->ms, expected) << text;
  }
}

TEST(Rfc3339, RefusesWhatIsNotADate) {
  for (const char* text :
       {"", "2026-08-01", "2026-08-01T12:00:00", "2026-08-01 12:00:00Z", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-08-01T24:00:00Z", "2026-08-01T12:00:60Z",
        "2026-08-01T12:00:00.Z", "2026-08-01T12:00:00Zz", "2026-08-01T12:00:00 02:00"}) {
    EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
  }
}

TEST(Rfc3339, WritesOnlyTheFractionThereIs) {
  EXPECT_EQ(format_rfc3339({1'785'585'600'000}), "2026-08-01T12:00:00Z");
  EXPECT_EQ(format_rfc3339({1'785'585'600'120}), "2026-08-01T12:00:00.12Z");
  EXPECT_EQ(format_rfc3339({-62'135'596'800'000}), "0001-01-01T00:00:00Z");
  EXPECT_EQ(format_rfc3339({-1}), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_rfc3339_ms({1'785'585'600'120}), "2026-08-01T12:00:00.120Z");
}

TEST(Rfc3339, ReadsBackWhatItWrites) {
  for (std::int64_t ms = -62'135'596'800'000; ms < 250'000'000'000'000; ms += 7'777'777'777'777) {
    const std::optional<Timestamp> back = parse_rfc3339(format_rfc3339({ms}));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->ms, ms);
  }
}

}  // namespace
}  // namespace tarsier
