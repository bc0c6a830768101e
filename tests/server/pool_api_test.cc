#include "server/pool_api.h"

#include <gtest/gtest.h>

#include "server/self_metrics_api.h"

namespace tarsier::server {
namespace {

Config two_jobs() {
  Result<Config> config = parse_config(R"(
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["h:9100"]}]
    basic_auth: {username: me, password: hidden}
    relabel_configs:
      - {source_labels: [__address__], regex: "(.*):.*", target_label: host}
      - {source_labels: [host], regex: x, action: drop}
      - {target_label: last, replacement: "1"}
  - job_name: other
)",
                                       {});
  CHECK(config.ok(), config.status().message());
  return std::move(*config);
}

std::string ask(HttpResponse (*answer)(const HttpRequest&, const Config&),
                std::vector<std::pair<std::string, std::string>> parameters) {
  HttpRequest request;
  request.parameters = std::move(parameters);
  return answer(request, two_jobs()).body;
}

TEST(PoolApi, ShowsOneJobAsYaml) {
  const std::string body = ask(pool_config_response, {{"scrapePool", "node"}});
  EXPECT_TRUE(body.starts_with(
      R"({"status":"success","data":{"yaml":"job_name: node\nhonor_timestamps: true\n)"))
      << body;
  EXPECT_EQ(body.find("hidden"), std::string::npos);
  EXPECT_EQ(body.find("other"), std::string::npos);
  EXPECT_EQ(
      ask(pool_config_response, {{"scrapePool", "x"}}),
      R"({"status":"error","errorType":"bad_data","error":"error retrieving scrape config: scrape pool \"x\" not found"})");
  EXPECT_NE(ask(pool_config_response, {}).find("no scrapePool parameter provided"),
            std::string::npos);
}

TEST(PoolApi, ShowsWhatEachRuleMakesOfLabels) {
  EXPECT_EQ(
      ask(relabel_steps_response, {{"scrapePool", "node"}, {"labels", R"({"__address__":"x:1"})"}}),
      R"json({"status":"success","data":{"steps":[)json"
      R"json({"rule":{"source_labels":["__address__"],"separator":";","regex":"(.*):.*","target_label":"host","replacement":"$1","action":"replace"},"output":{"__address__":"x:1","host":"x"},"keep":true},)json"
      R"json({"rule":{"source_labels":["host"],"separator":";","regex":"x","replacement":"$1","action":"drop"},"output":{},"keep":false},)json"
      R"json({"rule":{"separator":";","regex":"(.*)","target_label":"last","replacement":"1","action":"replace"},"output":{},"keep":false}]}})json");
  EXPECT_NE(ask(relabel_steps_response, {{"scrapePool", "node"}}).find("no labels parameter"),
            std::string::npos);
  for (const char* labels : {"[", "{\"a\":1}"}) {
    EXPECT_NE(ask(relabel_steps_response, {{"scrapePool", "node"}, {"labels", labels}})
                  .find("error parsing labels: "),
              std::string::npos);
  }
}

TEST(SelfMetricsApi, ShowsFamiliesAsProtobufsJson) {
  constexpr const char* kText =
      "# HELP c_total Of \\\\ and\\nlines.\n# TYPE c_total counter\n"
      "c_total{code=\"2\\\"00\",handler=\"/x\"} 3\nc_total{code=\"500\",handler=\"/x\"} +Inf\n"
      "# HELP h Seconds.\n# TYPE h histogram\n"
      "h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.75\nh_count 2\n"
      "# HELP s Seconds.\n# TYPE s summary\n"
      "s{slice=\"a\",quantile=\"0.5\"} NaN\ns_sum{slice=\"a\"} 1\ns_count{slice=\"a\"} 2\n";
  HttpRequest request;
  EXPECT_EQ(
      self_metrics_response(request, kText).body,
      R"({"status":"success","data":[)"
      R"({"name":"c_total","help":"Of \\ and\nlines.","type":"COUNTER","metric":[)"
      R"({"label":[{"name":"code","value":"2\"00"},{"name":"handler","value":"/x"}],"counter":{"value":3}},)"
      R"({"label":[{"name":"code","value":"500"},{"name":"handler","value":"/x"}],"counter":{"value":"Infinity"}}]},)"
      R"({"name":"h","help":"Seconds.","type":"HISTOGRAM","metric":[{"histogram":{"sampleCount":"2","sampleSum":0.75,"bucket":[{"cumulativeCount":"1","upperBound":0.1}]}}]},)"
      R"({"name":"s","help":"Seconds.","type":"SUMMARY","metric":[{"label":[{"name":"slice","value":"a"}],"summary":{"sampleCount":"2","sampleSum":1,"quantile":[{"quantile":0.5,"value":"NaN"}]}}]}]})");
  request.parameters = {{"metric_name_pattern", "h|x"}};
  EXPECT_TRUE(self_metrics_response(request, kText)
                  .body.starts_with(R"({"status":"success","data":[{"name":"h",)"));
  request.parameters = {{"metric_name_pattern", "("}};
  EXPECT_NE(self_metrics_response(request, kText).body.find("invalid metric_name_pattern: "),
            std::string::npos);
}

}  // namespace
}  // namespace tarsier::server
