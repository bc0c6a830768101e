#include "server/early_reads.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/table_storage.h"

namespace tarsier::server {
namespace {

constexpr std::int64_t kUntilMs = 1'000'000;

class EarlyReadsTest : public ::testing::Test {
 protected:
  HttpResponse ask(EarlyReads::Endpoint endpoint, const char* end, const std::string& query,
                   const std::string& time) {
    const EarlyReads early(
        engine_, opening_, {},
        {.expire_at = [](const auto&, Timestamp) {}, .elapsed_seconds = [] { return 0.0; }});
    HttpRequest request;
    request.parameters = {{"query", query}, {"time", time}, {"start", "600"}, {"step", "60"}};
    if (!time.empty()) request.parameters.emplace_back("end", time);
    HttpResponse unavailable;
    unavailable.status = 503;
    return early.answer(endpoint, end, request, unavailable);
  }
  int instant(const std::string& query, const std::string& time) {
    return ask(&query::Api::query, "time", query, time).status;
  }
  int ranged(const std::string& query, const std::string& end) {
    return ask(&query::Api::query_range, "end", query, end).status;
  }

  testing::TableStorage storage_;
  tsdb::Opening opening_;
  query::Engine engine_{query::EngineOptions{}, nullptr};
};

TEST_F(EarlyReadsTest, OnlyWhatBlocksHaveIsAnswered) {
  EXPECT_EQ(instant("up", "1"), 503);  // No blocks are open.
  opening_.serve_blocks(Timestamp{kUntilMs}, [this](TimeRange range) {
    return std::move(storage_.querier(range)).value();
  });
  EXPECT_EQ(instant("up", "999"), 200);
  EXPECT_EQ(instant("up", "1000"), 503);
  EXPECT_EQ(instant("up", ""), 503);     // Now.
  EXPECT_EQ(instant("1", "1000"), 503);  // Nobody takes this for being ready.
  EXPECT_EQ(instant("up offset -5m", "999"), 503);
  EXPECT_EQ(instant("up @ 1000", "999"), 503);
  EXPECT_EQ(instant("up[", "999"), 400);
  EXPECT_EQ(ranged("rate(up[5m])", "999"), 200);
  EXPECT_EQ(ranged("rate(up[5m])", "1060"), 503);
  opening_.finish();
  EXPECT_EQ(instant("up", "999"), 503);
}

}  // namespace
}  // namespace tarsier::server
