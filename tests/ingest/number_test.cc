#include "ingest/exposition/number.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tsdb/sample.h"

namespace tarsier::ingest {
namespace {

TEST(ExposedNumber, IsReadAsGoReadsIt) {
  const auto read = [](std::string_view text) {
    double value = 0;
    EXPECT_EQ(parse_number(text, value), NumberError::kNone) << text;
    return value;
  };
  EXPECT_EQ(read("0"), 0);
  EXPECT_TRUE(std::signbit(read("-0")));
  EXPECT_EQ(read("+12.50"), 12.5);
  EXPECT_EQ(read(".5"), 0.5);
  EXPECT_EQ(read("5."), 5);
  EXPECT_EQ(read("1e3"), 1000);
  EXPECT_EQ(read("1.7560473e+07"), 1.7560473e+07);
  EXPECT_EQ(read("2.5E-3"), 2.5e-3);
  EXPECT_EQ(read("18446744073709551616"), 18446744073709551616.0);
  EXPECT_EQ(read("0000000000000000000000000000000000000000001.2e-1"), 0.12);
  EXPECT_EQ(read("9007199254740993"), 9007199254740992.0);
  EXPECT_EQ(read("1e-400"), 0);
  EXPECT_EQ(read("4.9e-324"), 4.9e-324);
  EXPECT_EQ(read("+Inf"), HUGE_VAL);
  EXPECT_EQ(read("inf"), HUGE_VAL);
  EXPECT_EQ(read("-INFINITY"), -HUGE_VAL);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(read("NaN")), tsdb::kNormalNanBits);
}

TEST(ExposedNumber, RefusesWhatGoRefuses) {
  for (const std::string text :
       {"",    "+",       "-",      ".",   "e5",  "1e",    "1e+",   "--1",  "+-1",
        "1_2", "0x1",     "0x1p-3", "0b1", "0o1", "a",     "-nan",  "+NaN", "nan(1)",
        "in",  "infinit", "1\r",    "1 ",  " 1",  "1.2.3", "1e5.5", "1e1e1"}) {
    double value = 7;
    EXPECT_EQ(parse_number(text, value), NumberError::kSyntax) << text;
    EXPECT_EQ(value, 7) << text;
  }
  double value = 0;
  EXPECT_EQ(parse_number("1e309", value), NumberError::kRange);
  EXPECT_EQ(parse_number("-1e99999999999", value), NumberError::kRange);
}

TEST(ExposedNumber, IsReadLikeStrtodHoweverItIsWritten) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const double want = i % 2 == 0 ? std::bit_cast<double>(random())
                                   : static_cast<double>(random() % 1'000'000'000) / 1000;
    if (!std::isfinite(want)) continue;
    char text[64];
    const int digits = static_cast<int>(random() % 20);
    std::snprintf(text, sizeof text, i % 3 == 0 ? "%.*e" : "%.*g", digits, want);
    double got = 0;
    ASSERT_EQ(parse_number(text, got), NumberError::kNone) << text;
    EXPECT_EQ(got, std::strtod(text, nullptr)) << text;
  }
}

TEST(ExposedNumber, CanonicalFormIsOpenMetrics) {
  EXPECT_EQ(format_openmetrics_number(1), "1.0");
  EXPECT_EQ(format_openmetrics_number(0), "0.0");
  EXPECT_EQ(format_openmetrics_number(-0.5), "-0.5");
  EXPECT_EQ(format_openmetrics_number(100000), "100000.0");
  EXPECT_EQ(format_openmetrics_number(123456.7), "123456.7");
  EXPECT_EQ(format_openmetrics_number(1000000), "1e+06");
  EXPECT_EQ(format_openmetrics_number(0.0001), "0.0001");
  EXPECT_EQ(format_openmetrics_number(0.00001), "1e-05");
  EXPECT_EQ(format_openmetrics_number(HUGE_VAL), "+Inf");
  EXPECT_EQ(format_openmetrics_number(-HUGE_VAL), "-Inf");
  EXPECT_EQ(format_openmetrics_number(std::nan("")), "NaN");
}

}  // namespace
}  // namespace tarsier::ingest
