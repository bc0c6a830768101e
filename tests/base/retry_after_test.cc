#include "base/retry_after.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(RetryAfter, IsSecondsOrADate) {
  const Timestamp now{784'111'777'000 - 60'000};
  EXPECT_EQ(parse_retry_after("120", now), seconds(120));
  EXPECT_EQ(parse_retry_after(" 5 ", now), seconds(5));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), seconds(60));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:47:37 GMT", now), seconds(0));
  EXPECT_EQ(parse_retry_after("86400", now), hours(1));
  for (const char* const text : {"", "soon", "-1", "99999999999", "Sun, 06 Nov 1994 08:49:37 CET",
                                 "Sun, 06 Abc 1994 08:49:37 GMT", "5 s"}) {
    EXPECT_EQ(parse_retry_after(text, now), seconds(0)) << text;
  }
}

TEST(RetryAfter, IsFoundWhateverItsCase) {
  EXPECT_EQ(retry_after({{"date", "x"}, {"retry-AFTER", "7"}}, Timestamp{0}), seconds(7));
  EXPECT_EQ(retry_after({{"date", "x"}}, Timestamp{0}), seconds(0));
}

}  // namespace
}  // namespace tarsier
