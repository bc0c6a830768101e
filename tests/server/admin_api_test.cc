#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/json_reader.h"
#include "base/log.h"
#include "base/posix_file.h"
#include "server/admin_api.h"
#include "server/flags.h"
#include "server/self_metrics.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/db.h"

namespace tarsier::server {
namespace {

using tsdb::Db;

/// The admin routes over a database whose maintenance runs on the caller's thread.
class AdminApiTest : public ::testing::Test {
 protected:
  void start(std::vector<std::string> arguments = {"--web.enable-admin-api"}) {
    flags_ = std::make_unique<Flags>(Flags::parse(arguments).value());
    db_ = Db::open(*files_, directory_.path(), {}, log_, nullptr).value();
    doors_ = std::make_unique<Doors>(Doors{.flags = *flags_, .self = self_});
    doors_->maintain = [](const std::function<void()>& task) { task(); };
    doors_->db = db_.get();
    router_ = Router::create({}).value();
    add_admin_routes(*router_, *doors_);
    router_->set_state(Router::State::kReady);
    append("a", now_.ms);
    append("b", now_.ms);
  }
  void append(const std::string& name, std::int64_t t) {
    const auto appender = db_->appender();
    appender->append(appender->resolve({{"__name__", name}}).value(), {Timestamp{t}, 1});
    ASSERT_TRUE(appender->commit().ok());
  }
  HttpResponse ask(const std::string& call,
                   std::vector<std::pair<std::string, std::string>> parameters = {},
                   const std::string& method = "POST") {
    HttpRequest request;
    request.method = method;
    request.path = request.raw_path = "/api/v1/admin/tsdb/" + call;
    request.url_parameters = request.parameters = std::move(parameters);
    request.cancel = std::make_shared<CancelToken>();
    HttpDecision decision = router_->decide(request);
    if (decision.handler == nullptr) return decision.answer;
    HttpResponse answer;
    answer.status = 0;
    (*decision.handler)(std::move(request), [&](HttpResponse r) { answer = std::move(r); });
    if (answer.status == 0) {  // It waits for the disk.
      db_->interrupt_sync();
      db_->sync_due();
    }
    return answer;
  }
  std::size_t series_count() {
    return db_->querier({}).value()->select({}, {}, nullptr).value()->size();
  }
  static std::string error_of(const HttpResponse& response) {
    const JsonValue json = parse_json(response.body).value();
    return json.find("errorType")->as_string().value() + ": " +
           json.find("error")->as_string().value();
  }

  const Timestamp now_{1'700'000'000'000};
  testing::TemporaryDirectory directory_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  NullLogger log_;
  SelfMetrics self_{now_};
  std::unique_ptr<Flags> flags_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<Doors> doors_;
  std::unique_ptr<Router> router_;
};

TEST_F(AdminApiTest, IsOffUnlessAllowed) {
  start({});
  for (const char* call : {"delete_series", "clean_tombstones", "snapshot"}) {
    const HttpResponse response = ask(call, {{"match[]", "a"}});
    EXPECT_EQ(response.status, 500) << call;
    EXPECT_EQ(error_of(response), "unavailable: admin APIs disabled");
  }
  EXPECT_EQ(series_count(), 2u);
}

TEST_F(AdminApiTest, TakesPostAndPutOnly) {
  start();
  EXPECT_EQ(ask("clean_tombstones", {}, "GET").status, 405);
  EXPECT_EQ(ask("clean_tombstones", {}, "PUT").status, 204);
}

TEST_F(AdminApiTest, DeletesWhatAnySelectorNames) {
  start();
  const HttpResponse response = ask("delete_series", {{"match[]", "a"}, {"match[]", "{x!=\"\"}"}});
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(series_count(), 1u);
  EXPECT_EQ(ask("delete_series", {{"match[]", "b"}, {"end", "1699999999.999"}}).status, 204);
  EXPECT_EQ(series_count(), 1u);
  EXPECT_EQ(ask("delete_series", {{"match[]", "b"}, {"start", "1700000000"}}).status, 204);
  EXPECT_EQ(series_count(), 0u);
}

TEST_F(AdminApiTest, NamesTheBadParameter) {
  start();
  EXPECT_EQ(error_of(ask("delete_series")), "bad_data: no match[] parameter provided");
  EXPECT_EQ(error_of(ask("delete_series", {{"match[]", "a"}, {"start", "soon"}})),
            "bad_data: invalid parameter \"start\": invalid time value for 'start': cannot parse "
            "\"soon\" to a valid timestamp");
  const HttpResponse selector = ask("delete_series", {{"match[]", "a"}, {"match[]", "{"}});
  EXPECT_EQ(selector.status, 400);
  EXPECT_TRUE(error_of(selector).starts_with("bad_data: invalid parameter \"match[]\": "));
  EXPECT_EQ(error_of(ask("snapshot", {{"skip_head", "maybe"}})),
            "bad_data: invalid parameter \"skip_head\": unable to parse boolean: strconv.ParseBool: "
            "parsing \"maybe\": invalid syntax");
  EXPECT_EQ(series_count(), 2u);
}

TEST_F(AdminApiTest, NamesTheSnapshotItMade) {
  start();
  for (const bool skips_head : {false, true}) {
    const HttpResponse response = ask("snapshot", {{"skip_head", skips_head ? "true" : "0"}});
    ASSERT_EQ(response.status, 200) << response.body;
    const JsonValue json = parse_json(response.body).value();
    const std::string name = json.find("data")->find("name")->as_string().value();
    const auto entries = files_->list(directory_.path() + "/snapshots/" + name);
    ASSERT_TRUE(entries.ok()) << name;
    EXPECT_EQ(entries->size(), skips_head ? 0u : 1u);
  }
}

}  // namespace
}  // namespace tarsier::server
