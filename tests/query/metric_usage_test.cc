#include "query/metric_usage.h"

#include <gtest/gtest.h>

#include <string>

namespace tarsier::query {
namespace {

constexpr Timestamp kNow{1'000'000};

TEST(MetricUsage, KnowsWhoReadsAMetric) {
  MetricUsage usage;
  usage.note("sum(rate(a_total[5m])) / b", "", kNow);
  usage.note("sum(rate(a_total[5m])) / b", "", kNow + seconds(1));
  usage.note("{__name__=\"a_total\"}", "group", kNow + seconds(2));
  const auto a = usage.of("a_total");
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->queries, 2U);
  EXPECT_EQ(a->rules, 1U);
  EXPECT_EQ(a->rule_group, "group");
  EXPECT_EQ(a->last, kNow + seconds(2));
  EXPECT_EQ(usage.of("b")->rules, 0U);
  EXPECT_FALSE(usage.of("c").has_value());
}

TEST(MetricUsage, CountsWhatAPatternMatchesButNotWhatReadsEverything) {
  MetricUsage usage;
  usage.note("count by (__name__) ({__name__=~\".+\"})", "", kNow);
  usage.note("count({job=\"x\"})", "", kNow);
  usage.note("not a query (", "", kNow);
  EXPECT_FALSE(usage.of("http_requests_total").has_value());
  usage.note("{__name__=~\"http_.*\",__name__!=\"http_other\"}", "", kNow);
  EXPECT_EQ(usage.of("http_requests_total")->queries, 1U);
  EXPECT_FALSE(usage.of("http_other").has_value());
  EXPECT_FALSE(usage.of("grpc").has_value());
}

TEST(MetricUsage, SaysWhenItCouldNotRememberAll) {
  MetricUsage usage({.names_max = 2, .patterns_max = 1, .texts_max = 2});
  usage.note("a", "", kNow);
  usage.note("b", "", kNow);
  EXPECT_TRUE(usage.is_complete());
  usage.note("a", "", kNow);  // The texts were cleared or not: names stay.
  EXPECT_EQ(usage.of("a")->queries, 2U);
  usage.note("c", "", kNow);
  EXPECT_FALSE(usage.is_complete());
  EXPECT_FALSE(usage.of("c").has_value());
}

}  // namespace
}  // namespace tarsier::query
