#include <gtest/gtest.h>

#include "base/json_reader.h"
#include "base/posix_file.h"
#include "server/flags.h"
#include "server/memory_guard.h"
#include "server/metadata_api.h"
#include "server/settings.h"
#include "server/status_api.h"
#include "tests/support/temporary_directory.h"

namespace tarsier::server {
namespace {

Flags flags(std::vector<std::string> arguments = {}) {
  Result<Flags> parsed = Flags::parse(arguments);
  CHECK(parsed.ok(), parsed.status().message());
  return std::move(*parsed);
}

std::string member(const HttpResponse& response, std::string_view name) {
  const Result<JsonValue> json = parse_json(response.body);
  CHECK(json.ok(), response.body);
  const JsonValue* value = json->find("data")->find(name);
  CHECK(value != nullptr, response.body);
  return *value->as_string();
}

TEST(StatusApi, NamesTheImplementedApiAndItself) {
  EXPECT_EQ(member(build_info_response(), "version"), "3.14.0");
  EXPECT_NE(member(build_info_response(), "tarsierVersion"), "");
}

TEST(StatusApi, ShowsFlagsAsStrings) {
  const HttpResponse response = flags_response(flags({"--web.enable-lifecycle"}));
  EXPECT_EQ(member(response, "web.enable-lifecycle"), "true");
  EXPECT_EQ(member(response, "query.max-concurrency"), "20");
}

TEST(StatusApi, ShowsTheStateOfTheConfiguration) {
  const HttpResponse response = runtime_info_response({.start_time = {0},
                                                       .now = {1500},
                                                       .config_time = {1000},
                                                       .config_is_good = false,
                                                       .storage_retention = "15d"});
  EXPECT_EQ(member(response, "startTime"), "1970-01-01T00:00:00Z");
  EXPECT_EQ(member(response, "serverTime"), "1970-01-01T00:00:01.5Z");
  EXPECT_NE(response.body.find("\"reloadConfigSuccess\":false"), std::string::npos);
  EXPECT_EQ(describe_retention(days(15), std::uint64_t{512} << 20), "15d or 512MiB");
  EXPECT_EQ(describe_retention({0}, 1024), "1KiB");
}

TEST(StatusApi, ShowsTheHead) {
  const auto ask = [](std::string limit) {
    HttpRequest request;
    request.parameters = {{"limit", std::move(limit)}};
    return head_statistics_response(request,
                                    [](std::size_t n) {
                                      return tsdb::HeadStatistics{
                                          .series_count = n,
                                          .label_pair_count = 2,
                                          .chunk_count = 3,
                                          .min_time = {4},
                                          .max_time = {5},
                                          .series_count_by_metric_name = {{"up", 6}}};
                                    })
        .body;
  };
  EXPECT_EQ(ask(""),
            R"({"status":"success","data":{"headStats":{"numSeries":10,"numLabelPairs":2,)"
            R"("chunkCount":3,"minTime":4,"maxTime":5},"seriesCountByMetricName":[{"name":"up",)"
            R"("value":6}],"labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],)"
            R"("seriesCountByLabelValuePair":[]}})");
  EXPECT_NE(ask("0").find("limit must be a positive number"), std::string::npos);
  EXPECT_NE(ask("x").find("limit must be a positive number"), std::string::npos);
  EXPECT_NE(ask("10001").find("limit must not exceed 10000"), std::string::npos);
}

std::string metadata(std::vector<std::pair<std::string, std::string>> parameters) {
  HttpRequest request;
  request.parameters = std::move(parameters);
  const tsdb::Metadata counter{.type = tsdb::MetricType::kCounter, .unit = "", .help = "A."};
  const tsdb::Metadata gauge{.type = tsdb::MetricType::kGauge, .unit = "s", .help = "B."};
  return metadata_response(request, {}, {{"b", gauge}, {"a", counter}, {"a", gauge}, {"a", gauge}})
      .body;
}

TEST(MetadataApi, ListsDistinctEntriesByName) {
  EXPECT_EQ(metadata({}),
            R"({"status":"success","data":{"a":[{"type":"counter","help":"A.","unit":""},)"
            R"({"type":"gauge","help":"B.","unit":"s"}],"b":[{"type":"gauge","help":"B.",)"
            R"("unit":"s"}]}})");
  EXPECT_EQ(metadata({{"limit", "1"}, {"limit_per_metric", "1"}}),
            R"({"status":"success","data":{"a":[{"type":"counter","help":"A.","unit":""}]}})");
  EXPECT_EQ(metadata({{"limit", "0"}}), R"({"status":"success","data":{}})");
  EXPECT_EQ(metadata({{"metric", "none"}}), R"({"status":"success","data":{}})");
  EXPECT_EQ(metadata({{"limit", "x"}}),
            R"({"status":"error","errorType":"bad_data","error":"limit must be a number"})");
}

TEST(MetadataApi, TellsStoredMetadataByFamily) {
  const auto of = [](tsdb::MetricType type) { return tsdb::Metadata{type, "", "H."}; };
  ingest::PoolSnapshot pool;
  pool.active.emplace_back();
  pool.active.back().metadata = std::make_shared<const std::vector<ingest::FamilyMetadata>>(
      std::vector<ingest::FamilyMetadata>{{"scraped", of(tsdb::MetricType::kCounter)}});
  const auto families = [&](std::string metric) {
    HttpRequest request;
    request.parameters = {{"metric", std::move(metric)}};
    const std::string body = metadata_response(request, {pool},
                                               {{"h_bucket", of(tsdb::MetricType::kHistogram)},
                                                {"h_count", of(tsdb::MetricType::kHistogram)},
                                                {"build_info", of(tsdb::MetricType::kGauge)},
                                                {"requests_total", of(tsdb::MetricType::kCounter)},
                                                {"s", of(tsdb::MetricType::kSummary)},
                                                {"s_sum", of(tsdb::MetricType::kSummary)},
                                                {"scraped_total", of(tsdb::MetricType::kCounter)}})
                                 .body;
    std::string names;
    for (std::size_t at = body.find("\":[{"); at != std::string::npos;
         at = body.find("\":[{", at + 1)) {
      const std::size_t quote = body.rfind('"', at - 1);
      names += body.substr(quote + 1, at - quote - 1) + " ";
    }
    return names;
  };
  EXPECT_EQ(families(""), "build_info h requests_total s scraped ");
  EXPECT_EQ(families("h"), "h ");
  EXPECT_EQ(families("h_bucket"), "");
  EXPECT_EQ(families("scraped_total"), "");
}

TEST(Settings, KeepFifteenDaysOnlyWhenNothingIsSaid) {
  EXPECT_EQ(storage_options(flags(), {}).retention, days(15));
  EXPECT_EQ(storage_options(flags({"--storage.tsdb.retention.size=1GB"}), {}).retention,
            Duration{0});
  EXPECT_EQ(storage_options(flags({"--storage.tsdb.retention.time=2d"}), {}).retention, days(2));
  EXPECT_EQ(
      storage_options(flags({"--storage.tsdb.retention.time=2d"}), {.retention_time = days(3)})
          .retention,
      days(3))
      << "the file wins over the flag";
  EXPECT_EQ(storage_options(flags({"--storage.wal-sync=none"}), {}).wal_sync, tsdb::WalSync::kNone);
}

TEST(Settings, AMemoryLimitIsOneForQueriesToo) {
  const auto queries = [](const Flags& given) {
    return engine_options(given, {}).memory_total_max;
  };
  EXPECT_EQ(queries(flags()), available_memory_bytes() / 4);
  EXPECT_EQ(result_cache_bytes(flags()), 64u << 20);
  const auto limited = flags({"--storage.memory-limit=1000000B"});
  EXPECT_EQ(queries(limited), 150'000u);
  EXPECT_EQ(result_cache_bytes(limited), 30'000u);
  EXPECT_EQ(storage_options(limited, {}).memory_limit_bytes, 1'000'000u);
  const auto said = flags({"--storage.memory-limit=1000000B", "--query.max-memory=7000B",
                           "--query.result-cache-size=9000B"});
  EXPECT_EQ(queries(said), 7000u);
  EXPECT_EQ(result_cache_bytes(said), 9000u);
  const auto without = flags({"--storage.memory-limit=0B"});
  EXPECT_EQ(storage_options(without, {}).memory_limit_bytes, 0u);
  EXPECT_EQ(queries(without), available_memory_bytes() / 4);
}

TEST(Settings, FindTheRoutePrefix) {
  EXPECT_EQ(external_url(flags({"--web.external-url=https://x.example/p/"}), "1")->prefix, "/p");
  EXPECT_EQ(
      external_url(flags({"--web.external-url=https://x.example/p/", "--web.route-prefix=/"}), "1")
          ->prefix,
      "");
  EXPECT_EQ(external_url(flags({"--web.external-url=https://x.example/p/"}), "1")->authority,
            "x.example");
  EXPECT_FALSE(external_url(flags({"--web.external-url=ftp://x"}), "1").ok());
  EXPECT_EQ(loopback_of("0.0.0.0:9090"), "127.0.0.1:9090");
  EXPECT_EQ(loopback_of(":9090"), "127.0.0.1:9090");
  EXPECT_EQ(loopback_of("10.0.0.1:9090"), "10.0.0.1:9090");
}

TEST(Settings, RunOnDefaultsOnlyWhenNoFileIsNamed) {
  const testing::TemporaryDirectory directory;
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const std::string missing = directory.path() + "/none.yml";
  const Result<Config> named = load_config(flags({"--config.file=" + missing}), *files, "a:1");
  ASSERT_FALSE(named.ok());
  EXPECT_EQ(named.status().code(), Code::kNotFound);
  EXPECT_TRUE(named.status().message().starts_with("couldn't load configuration (--config.file=\"" +
                                                   missing + "\"): "));
  const std::string path = directory.path() + "/p.yml";
  ASSERT_TRUE(write_file_atomically(*files, path, "nope: 1\n").ok());
  const Result<Config> wrong = load_config(flags({"--config.file=" + path}), *files, "a:1");
  EXPECT_EQ(wrong.status().message(),
            "couldn't load configuration (--config.file=\"" + path + "\"): parsing YAML file " +
                path +
                ": yaml: unmarshal errors:\n  line 1: field nope not found in the configuration "
                "(column 1)");
}

}  // namespace
}  // namespace tarsier::server
