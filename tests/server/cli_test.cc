#include "server/cli.h"

#include <gtest/gtest.h>

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
