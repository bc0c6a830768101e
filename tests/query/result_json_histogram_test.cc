#include <gtest/gtest.h>

#include "query/result_json.h"
#include "tests/query/histogram_notation.h"

namespace tarsier::query {
namespace {

using testing::histogram_of;

std::string json_of(const QueryResult& result) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_result(json, result, 0);
  json.end_object();
  return out;
}

TEST(ResultJson, AHistogramListsItsBucketsFromLowestToHighest) {
  QueryResult result;
  result.type = ResultType::kVector;
  result.time = Timestamp{1'700'000'000'500};
  const char* literals[] = {
      ("{{count:10 sum:18.4 z_bucket:4 z_bucket_w:0.001 offset:1 buckets:[5] n_offset:1 "
       "n_buckets:[1]}}"),
      "{{schema:-53 count:3 sum:4 custom_values:[1 2] buckets:[1 0 2]}}", "{{}}"};
  for (const char* literal : literals) {
    result.vector.push_back(
        {{}, 0, std::make_shared<const tsdb::FloatHistogram>(histogram_of(literal))});
  }
  result.vector.push_back({{}, 1.5});
  EXPECT_EQ(json_of(result),
            R"({"resultType":"vector","result":[)"
            R"({"metric":{},"histogram":[1700000000.500,{"count":"10","sum":"18.4",)"
            R"("buckets":[[1,"-2","-1","1"],[3,"-0.001","0.001","4"],[0,"1","2","5"]]}]},)"
            R"({"metric":{},"histogram":[1700000000.500,{"count":"3","sum":"4",)"
            R"("buckets":[[3,"-Inf","1","1"],[0,"2","+Inf","2"]]}]},)"
            R"({"metric":{},"histogram":[1700000000.500,{"count":"0","sum":"0"}]},)"
            R"({"metric":{},"value":[1700000000.500,"1.5"]}]})");
}

TEST(ResultJson, ASeriesShowsNumbersBeforeHistogramsAndNoEmptyList) {
  QueryResult result;
  result.type = ResultType::kMatrix;
  auto histograms = std::make_shared<tsdb::HistogramColumns>();
  histograms->push_back(Timestamp{3000}, histogram_of("{{count:1 sum:1 buckets:[1]}}"));
  MatrixSeries only{{{"a", "1"}}, {}, histograms};
  MatrixSeries both{{{"a", "2"}}, {}, histograms};
  both.points.push_back(Timestamp{1000}, 7);
  result.matrix = {only, both};
  const std::string tail =
      R"("histograms":[[3,{"count":"1","sum":"1","buckets":[[0,"0.5","1","1"]]}]]})";
  EXPECT_EQ(json_of(result), R"({"resultType":"matrix","result":[{"metric":{"a":"1"},)" + tail +
                                 R"(,{"metric":{"a":"2"},"values":[[1,"7"]],)" + tail + "]}");
}

}  // namespace
}  // namespace tarsier::query
