#include "server/cli.h"

#include <gtest/gtest.h>

#include "server/query_answer.h"

namespace tarsier::server {
namespace {

TEST(Cli, PrintsResultsLikePromtool) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"status":"success","data":{"resultType":"vector","result":[
          {"metric":{"__name__":"up","job":"a"},"value":[1700000000.123,"1"]},
          {"metric":{},"value":[1700000000,"NaN"]}]}})",
       "up{job=\"a\"} => 1 @[1700000000.123]\n{} => NaN @[1700000000]"},
      {R"({"status":"success","data":{"resultType":"matrix","result":[
          {"metric":{"__name__":"up"},"values":[[1700000000,"1"],[1700000015,"0"]]}]}})",
       "up =>\n1 @[1700000000]\n0 @[1700000015]"},
      {R"({"status":"success","data":{"resultType":"vector","result":[
          {"metric":{"__name__":"h"},"histogram":[1700000000.5,{"count":"7","sum":"-2.5","buckets":[
            [1,"-2","-1","1"],[3,"-0.001","0.001","4"],[0,"0.7071067811865475","1","1.5"],
            [0,"4194304","+Inf","1"]]}]},
          {"metric":{"__name__":"e"},"histogram":[1700000000,{"count":"0","sum":"NaN"}]}]}})",
       "h => Count: 7.000000, Sum: -2.500000, Buckets: [[-2,-1):1 [-0.001,0.001]:4 "
       "(0.7071067811865475,1]:1.5 (4.194304e+06,+Inf]:1] @[1700000000.5]\n"
       "e => Count: 0.000000, Sum: NaN, Buckets: [] @[1700000000]"},
      {R"({"status":"success","data":{"resultType":"matrix","result":[
          {"metric":{"__name__":"m"},"values":[[1700000000,"1"]],
           "histograms":[[1700000015,{"count":"1","sum":"1","buckets":[[0,"0.5","1","1"]]}]]}]}})",
       "m =>\n1 @[1700000000]\nCount: 1.000000, Sum: 1.000000, Buckets: [(0.5,1]:1] @[1700000015]"},
      {R"({"status":"success","data":{"resultType":"scalar","result":[1700000000,"4"]}})",
       "scalar: 4 @[1700000000]"},
      {R"({"status":"success","data":{"resultType":"string","result":[1700000000,"text"]}})",
       "text"},
      {R"({"status":"success","data":{"resultType":"vector","result":[]}})", ""},
  };
  for (const auto& [body, expected] : cases) {
    const Result<std::string> text = format_query_answer(body);
    ASSERT_TRUE(text.ok()) << text.status().message();
    EXPECT_EQ(*text, expected);
  }
}

TEST(Cli, TellsTheServersError) {
  const Result<std::string> refused =
      format_query_answer(R"({"status":"error","errorType":"bad_data","error":"1:1: no"})");
  EXPECT_EQ(refused.status().message(), "bad_data: 1:1: no");
  for (const char* body : {"", "404 page not found", "[]", "{}", R"({"status":"success"})",
                           R"({"status":"success","data":{"resultType":"vector","result":[1]}})"}) {
    EXPECT_FALSE(format_query_answer(body).ok()) << body;
  }
}

TEST(Cli, TellsCommandsFromFlags) {
  EXPECT_TRUE(is_command(std::vector<std::string>{"query"}));
  EXPECT_FALSE(is_command(std::vector<std::string>{"--config.file=x"}));
  EXPECT_FALSE(is_command(std::vector<std::string>{}));
  EXPECT_NE(usage().find("--config.file"), std::string::npos);
}

}  // namespace
}  // namespace tarsier::server
