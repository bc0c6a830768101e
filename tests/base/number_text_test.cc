#include "base/number_text.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(NumberText, PlainNumbersHaveTheShortestDigitsAndNoExponent) {
  EXPECT_EQ(plain_number(0), "0");
  EXPECT_EQ(plain_number(-0.0), "-0");
  EXPECT_EQ(plain_number(0.1), "0.1");
  EXPECT_EQ(plain_number(-12.5), "-12.5");
  EXPECT_EQ(plain_number(100), "100");
  EXPECT_EQ(plain_number(1e30), "1000000000000000000000000000000");
  EXPECT_EQ(plain_number(123456789012345680000.0), "123456789012345680000");
  EXPECT_EQ(plain_number(9007199254740992), "9007199254740992");
  EXPECT_EQ(plain_number(-9.5e16), "-95000000000000000");
  EXPECT_EQ(plain_number(1e-7), "0.0000001");
  EXPECT_EQ(plain_number(NAN), "NaN");
  EXPECT_EQ(plain_number(INFINITY), "+Inf");
  EXPECT_EQ(plain_number(-INFINITY), "-Inf");
  EXPECT_EQ(std::stod(plain_number(std::numeric_limits<double>::min())),
            std::numeric_limits<double>::min());
  EXPECT_EQ(std::stod(plain_number(std::numeric_limits<double>::max())),
            std::numeric_limits<double>::max());
}

TEST(NumberText, ShortNumbersHaveAnExponentWhereGoHasOne) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(123456), "123456");
  EXPECT_EQ(short_number(1e6), "1e+06");
  EXPECT_EQ(short_number(1234567.5), "1.2345675e+06");
  EXPECT_EQ(short_number(-1.5e-5), "-1.5e-05");
  EXPECT_EQ(short_number(0.0001), "0.0001");
  EXPECT_EQ(short_number(1e300), "1e+300");
}

}  // namespace
}  // namespace tarsier
