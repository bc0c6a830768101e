#include "server/cardinality_api.h"

#include <gtest/gtest.h>

#include <string>

namespace tarsier::server {
namespace {

constexpr Timestamp kSince{1'700'000'000'000};

UsageSources sources_with(const query::MetricUsage& usage) {
  return {.usage = usage,
          .since = kSince,
          .statistics =
              [](std::size_t) {
                tsdb::HeadStatistics head;
                head.series_count = 111;
                head.series_count_by_metric_name = {{"a_total", 50}, {"b_total", 40},
                                                    {"c_total", 10}, {"d_total", 9},
                                                    {"up", 1},       {"job:x:sum", 1}};
                return head;
              },
          .others = {"rate(d_total[5m])"}};
}

TEST(CardinalityApi, NamesWhatNobodyReads) {
  query::MetricUsage usage;
  usage.note("sum(rate(b_total[5m]))", "", kSince);
  HttpRequest request;
  request.parameters = {{"limit", "1"}};
  const HttpResponse response =
      suggestions_response(request, sources_with(usage), kSince + minutes(10));
  EXPECT_EQ(response.body,
            R"({"status":"success","data":{"since":"2023-11-14T22:13:20Z","observedSeconds":600,)"
            R"("complete":true,"metrics":6,"series":111,"unusedMetrics":2,"unusedSeries":60,)"
            R"("truncated":true,"unused":[{"name":"a_total","series":50}]}})");
}

TEST(CardinalityApi, SaysWhoReadsAMetric) {
  query::MetricUsage usage;
  usage.note("b_total", "group", kSince + seconds(5));
  EXPECT_EQ(usage_response("b_total", sources_with(usage)).body,
            R"({"status":"success","data":{"name":"b_total","since":"2023-11-14T22:13:20Z",)"
            R"("queries":0,"ruleEvaluations":1,"ruleGroup":"group","objectives":false,)"
            R"("lastUsed":"2023-11-14T22:13:25Z"}})");
  EXPECT_EQ(
      usage_response("d_total", sources_with(usage)).body,
      R"({"status":"success","data":{"name":"d_total","since":"2023-11-14T22:13:20Z",)"
      R"("queries":0,"ruleEvaluations":0,"ruleGroup":"","objectives":true,"lastUsed":null}})");
}

}  // namespace
}  // namespace tarsier::server
