#include "base/duration.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(Duration, ReadsUnitsFromLargeToSmall) {
  const std::pair<const char*, Duration> cases[] = {
      {"0", {0}},
      {"0s", {0}},
      {"100ms", {100}},
      {"90s", seconds(90)},
      {"1h30m", minutes(90)},
      {"1d12h", hours(36)},
      {"1w", days(7)},
      {"1y", days(365)},
      {"1y2w3d4h5m6s7ms", days(365 + 14 + 3) + hours(4) + minutes(5) + seconds(6) + Duration{7}},
  };
  for (const auto& [text, expected] : cases) {
    const Result<Duration> got = parse_duration(text);
    ASSERT_TRUE(got.ok()) << text << ": " << got.status().message();
    EXPECT_EQ(*got, expected) << text;
  }
}

TEST(Duration, RefusesWithTheTextUsersKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "empty duration string"},
      {"15", "not a valid duration string: \"15\""},
      {"-5m", "not a valid duration string: \"-5m\""},
      {"1m1h", "not a valid duration string: \"1m1h\""},
      {"1m1m", "not a valid duration string: \"1m1m\""},
      {"1.5h", "unknown unit \".\" in duration \"1.5h\""},
      {"5sec", "unknown unit \"sec\" in duration \"5sec\""},
      {"300y", "duration out of range"},
      {"292y364d24h", "duration out of range"},
  };
  for (const auto& [text, expected] : cases) {
    const Result<Duration> got = parse_duration(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_EQ(got.status().message(), expected) << text;
  }
}

TEST(Duration, WritesTheCanonicalForm) {
  const std::pair<Duration, const char*> cases[] = {
      {{0}, "0s"},
      {seconds(90), "1m30s"},
      {days(15), "15d"},
      {days(14), "2w"},
      {days(365), "1y"},
      {days(366), "366d"},
      {milliseconds(1500), "1s500ms"},
      {hours(2), "2h"},
      {seconds(-15), "-15s"},
  };
  for (const auto& [duration, expected] : cases) EXPECT_EQ(format_duration(duration), expected);
}

}  // namespace
}  // namespace tarsier
