#include "alerting/rule_test/series_notation.h"

#include <gtest/gtest.h>

#include "query/histogram_notation.h"
#include "tsdb/sample.h"

namespace tarsier::alerting {
namespace {

std::vector<double> values(std::string_view text) {
  const auto parsed = parse_series_values(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  std::vector<double> out;
  if (!parsed.ok()) return out;
  for (const DescribedSample& sample : *parsed) out.push_back(sample.value.value_or(-99));
  return out;
}

TEST(SeriesNotation, ReadsEveryForm) {
  using V = std::vector<double>;
  EXPECT_EQ(values("1 2.5 -3 1e3"), (V{1, 2.5, -3, 1000}));
  EXPECT_EQ(values("1x2"), (V{1, 1, 1}));
  EXPECT_EQ(values("0x10").size(), 11u);
  EXPECT_EQ(values("1+2x3"), (V{1, 3, 5, 7}));
  EXPECT_EQ(values("10-2.5x2"), (V{10, 7.5, 5}));
  EXPECT_EQ(values("-1e1+1e0x1"), (V{-10, -9}));
  EXPECT_EQ(values("_ 1 _x3 2"), (V{-99, 1, -99, -99, -99, 2}));
  EXPECT_TRUE(tsdb::is_stale_marker(values("stale")[0]));
  EXPECT_TRUE(values("").empty());
  for (const char* bad : {"x", "1x", "a", "1+x3", "1+2", "_x", "{{", "1x99999999999"}) {
    EXPECT_FALSE(parse_series_values(bad).ok()) << bad;
  }
}

TEST(SeriesNotation, ReadsHistograms) {
  const auto parsed =
      parse_series_values("{{sum:3 count:2 buckets:[2]}}+{{sum:1.5 count:1 buckets:[1]}}x2 1");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  ASSERT_EQ(parsed->size(), 4u);
  EXPECT_EQ(query::histogram_notation(*(*parsed)[2].histogram), "{{count:4 sum:6 buckets:[4]}}");
  EXPECT_FALSE((*parsed)[3].histogram);
}

TEST(SeriesNotation, HistogramsComeBackAsWritten) {
  for (const char* text :
       {"{{}}",
        "{{schema:1 count:32.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 offset:-3 buckets:[5.1 10 7] "
        "n_offset:-5 n_buckets:[4.1 5]}}",
        "{{schema:-53 count:3 sum:5 counter_reset_hint:gauge custom_values:[1 2] buckets:[1 "
        "2]}}"}) {
    std::string_view rest = text;
    const auto h = query::take_histogram(rest);
    ASSERT_TRUE(h.ok()) << h.status().message();
    EXPECT_TRUE(rest.empty());
    EXPECT_EQ(query::histogram_notation(*h), text);
  }
  for (const char* bad :
       {"{{a:1}}", "{{count:x}}", "{{buckets:[1}}", "{{count:1 count:1}}", "{{"}) {
    std::string_view rest = bad;
    EXPECT_FALSE(query::take_histogram(rest).ok()) << bad;
  }
}

}  // namespace
}  // namespace tarsier::alerting
