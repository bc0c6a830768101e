#include "query/search.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/table_storage.h"

namespace tarsier::query {
namespace {

class SearchTest : public ::testing::Test {
 protected:
  SearchTest() {
    for (const char* name : {"http_requests_total", "http_request_size", "node_load1", "Errors"}) {
      storage_.add({{"__name__", name}, {"job", "web"}, {"zone", "north"}}, Timestamp{999'000}, 1);
    }
  }
  HttpResponse ask(SearchIn in, std::vector<std::pair<std::string, std::string>> parameters) {
    HttpRequest request;
    request.parameters = std::move(parameters);
    request.received = Timestamp{1'000'000};
    return search(request, storage_, in,
                  {.limit_max = 50, .metadata = [](std::string_view name) {
                     return name == "node_load1"
                                ? std::optional<SearchMetadata>({"gauge", "Load.", ""})
                                : std::nullopt;
                   }});
  }
  testing::TableStorage storage_;
};

TEST_F(SearchTest, FindsNamesByWhatIsTyped) {
  EXPECT_EQ(ask(SearchIn::kMetricNames, {{"search[]", "http_req"}}).body,
            "{\"results\":[{\"name\":\"http_request_size\"},{\"name\":\"http_requests_total\"}]}\n"
            "{\"status\":\"success\",\"has_more\":false}\n");
  EXPECT_EQ(ask(SearchIn::kMetricNames, {{"search[]", "nld"}}).body.substr(0, 36),
            "{\"results\":[{\"name\":\"node_load1\"}]}\n");
  EXPECT_EQ(ask(SearchIn::kMetricNames, {{"search[]", "err"}}).body.substr(0, 14),
            "{\"results\":[]}");
  EXPECT_EQ(ask(SearchIn::kMetricNames, {{"search[]", "err"}, {"case_sensitive", "false"}})
                .body.substr(0, 31),
            "{\"results\":[{\"name\":\"Errors\"}]}");
  EXPECT_EQ(ask(SearchIn::kMetricNames, {{"search[]", "load"}, {"include_metadata", "1"}}).body,
            "{\"results\":[{\"name\":\"node_load1\",\"type\":\"gauge\",\"help\":\"Load.\"}]}\n"
            "{\"status\":\"success\",\"has_more\":false}\n");
}

TEST_F(SearchTest, CutsAtTheLimitInBatches) {
  EXPECT_EQ(ask(SearchIn::kLabelNames, {{"limit", "2"}, {"batch_size", "1"}}).body,
            "{\"results\":[{\"name\":\"__name__\"}]}\n{\"results\":[{\"name\":\"job\"}]}\n"
            "{\"status\":\"success\",\"has_more\":true}\n");
  EXPECT_EQ(ask(SearchIn::kLabelValues, {{"label", "zone"}, {"include_score", "true"}}).body,
            "{\"results\":[{\"value\":\"north\",\"score\":1}]}\n"
            "{\"status\":\"success\",\"has_more\":false}\n");
}

TEST_F(SearchTest, RefusesWithPrometheusTexts) {
  const auto error = [&](const std::string& name, const std::string& value) {
    const HttpResponse response = ask(SearchIn::kMetricNames, {{name, value}});
    EXPECT_EQ(response.status, 400);
    const std::size_t at = response.body.find("\"error\":\"") + 9;
    return response.body.substr(at, response.body.size() - at - 2);
  };
  EXPECT_EQ(error("limit", "51"),
            "limit 51 exceeds the configured maximum (50, see --web.search.max-limit)");
  EXPECT_EQ(error("sort_by", "score"), "sort_by=score requires search[] to be set");
  EXPECT_EQ(error("sort_dir", "asc"), "sort_dir is only valid when sort_by is set");
  EXPECT_EQ(error("fuzz_threshold", "101"), "invalid fuzz_threshold \\\"101\\\": must be 0-100");
  EXPECT_EQ(ask(SearchIn::kLabelValues, {}).status, 400);
}

TEST(SearchScores, PreferBeginningsAndWholePieces) {
  EXPECT_EQ(subsequence_score("ab", "abc"), 1);
  EXPECT_GT(subsequence_score("ab", "xab"), subsequence_score("ab", "xaxb"));
  EXPECT_GT(subsequence_score("ab", "xabx"), subsequence_score("ab", "xxxab"));
  EXPECT_EQ(subsequence_score("ab", "ba"), 0);
  EXPECT_NEAR(jaro_winkler("MARTHA", "MARHTA"), 0.9611, 1e-4);
  EXPECT_NEAR(jaro_winkler("DIXON", "DICKSONX"), 0.8133, 1e-4);
  EXPECT_EQ(jaro_winkler("abc", "xyz"), 0);
}

}  // namespace
}  // namespace tarsier::query
