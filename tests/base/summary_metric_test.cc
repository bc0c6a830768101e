#include "base/summary_metric.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/metric.h"

namespace tarsier {
namespace {

TEST(SummaryMetric, TellsQuantilesWithinTwoPercent) {
  SummaryMetric summary;
  for (int i = 1; i <= 1000; ++i) summary.observe(i / 1000.0, Timestamp{1'000'000});
  EXPECT_NEAR(summary.quantile(0.5, Timestamp{1'000'000}), 0.5, 0.5 * 0.021);
  EXPECT_NEAR(summary.quantile(0.99, Timestamp{1'000'000}), 0.99, 0.99 * 0.021);
  EXPECT_EQ(summary.count(), 1000u);
  EXPECT_NEAR(summary.sum(), 500.5, 1e-9);
}

TEST(SummaryMetric, ForgetsWhatIsOlderThanTenMinutes) {
  SummaryMetric summary;
  summary.observe(5, Timestamp{0});
  EXPECT_FALSE(std::isnan(summary.quantile(0.5, Timestamp{minutes(7).ms})));
  EXPECT_TRUE(std::isnan(summary.quantile(0.5, Timestamp{minutes(11).ms})));
  summary.observe(1, Timestamp{minutes(20).ms});
  EXPECT_NEAR(summary.quantile(0.9, Timestamp{minutes(20).ms}), 1, 0.021);
  EXPECT_EQ(summary.count(), 2u);
}

TEST(SummaryMetric, IsRenderedWithItsQuantiles) {
  SummaryMetric summary;
  MetricWriter out;
  out.summary("x_seconds", "How long.", summary, {0.5, 0.99}, Timestamp{0}, {{"slice", "a"}});
  EXPECT_EQ(out.take(),
            "# HELP x_seconds How long.\n# TYPE x_seconds summary\n"
            "x_seconds{slice=\"a\",quantile=\"0.5\"} NaN\n"
            "x_seconds{slice=\"a\",quantile=\"0.99\"} NaN\n"
            "x_seconds_sum{slice=\"a\"} 0\nx_seconds_count{slice=\"a\"} 0\n");
}

}  // namespace
}  // namespace tarsier
