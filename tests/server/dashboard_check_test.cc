#include "server/dashboard_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "server/cli_dashboards.h"

namespace tarsier::server {
namespace {

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + "\n";
  return out;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string dashboard(const std::string& panels) {
  return R"json({"uid": "a", "title": "A", "id": null, "editable": false, "schemaVersion": 39, "time": {},
    "templating": {"list": [{"name": "datasource", "type": "datasource"},
      {"name": "job", "type": "query", "refresh": 2, "datasource": {"uid": "${datasource}"},
       "query": {"query": "label_values(up{instance=~\"$job\"}, job)"}}]},
    "panels": [)json" +
         panels + "]}";
}

std::string panel(int id, int x, const std::string& expression) {
  return R"json({"id": )json" + std::to_string(id) +
         R"json(, "type": "timeseries", "title": "T", "description": "D", "datasource": {"uid": "${datasource}"},
    "fieldConfig": {"defaults": {"unit": "ops", "noValue": "no data"}},
    "gridPos": {"y": 0, "w": 12, "h": 8, "x": )json" +
         std::to_string(x) +
         R"json(}, "targets": [{"refId": "A", "datasource": {"uid": "${datasource}"}, "expr": ")json" +
         expression + R"json("}]})json";
}

TEST(DashboardCheck, FillsVariablesAsGrafanaDoes) {
  EXPECT_EQ(fill_variables("rate(x{job=~\"$job\"}[$__rate_interval])"), "rate(x{job=~\".+\"}[5m])");
  EXPECT_EQ(fill_variables("x{a=\"$a\",b!=\"${b:regex}\"}[$__range]"),
            "x{a=~\".+\",b!=\".+\"}[1h]");
  EXPECT_EQ(fill_variables("topk($n, x{a=~\"pre-[[a]]\"})"), "topk(1, x{a=~\"pre-.+\"})");
  EXPECT_EQ(fill_variables("x * $__range_s > ${limit}"), "x * 3600 > 1");
}

TEST(DashboardCheck, AcceptsADashboardAndGivesItsQueries) {
  const DashboardReport report =
      check_dashboard(dashboard(panel(1, 0, R"(rate(x_total{job=~\"$job\"}[$__rate_interval]))")));
  EXPECT_EQ(joined(report.problems), "");
  EXPECT_EQ(joined(report.findings), "");
  ASSERT_EQ(report.queries.size(), 1U);
  EXPECT_EQ(report.queries[0].expression, "rate(x_total{job=~\".+\"}[5m])");
  EXPECT_FALSE(report.queries[0].is_optional);
}

TEST(DashboardCheck, NamesWhatGrafanaWouldStumbleOver) {
  EXPECT_EQ(check_dashboard("{").problems.size(), 1U);
  EXPECT_TRUE(has(joined(check_dashboard("{}").problems), "uid is missing"));
  const std::string text = joined(
      check_dashboard(dashboard(panel(1, 0, "sum(") + "," + panel(1, 6, "up{a=~\\\"$b\\\"}")))
          .problems);
  for (const char* part : {"panel 1 \"T\", query A: 1:5: parse error", "the same id", "lies on",
                           "no variable \"b\""}) {
    EXPECT_TRUE(has(text, part)) << part << " is not in\n" << text;
  }
  EXPECT_TRUE(has(joined(check_dashboard(dashboard(panel(1, 13, "up"))).problems), "24 columns"));
}

TEST(DashboardCheck, FindsWhatReadersWouldStumbleOver) {
  const DashboardReport report =
      check_dashboard(dashboard(panel(1, 0, "x_total + sum(rate(y_total[5m]))")));
  EXPECT_EQ(joined(report.problems), "");
  EXPECT_EQ(report.findings.size(), 2U);
  EXPECT_TRUE(has(joined(report.findings), "x_total is a counter"));
  EXPECT_TRUE(has(joined(report.findings), "fixed window"));
}

TEST(DashboardCheck, AsksAServerForEachQuery) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("tarsier_dashboard_" + std::to_string(::getpid()) + ".json");
  std::ofstream(path) << dashboard(panel(1, 0, "up") + "," + panel(2, 12, "down"));
  std::string out;
  std::string err;
  const CommandOutput output{.out = [&](std::string_view text) { out += text; },
                             .err = [&](std::string_view text) { err += text; }};
  const auto ask = [](HttpFetch fetch) -> Result<HttpResponse> {
    HttpResponse response;
    response.body = fetch.url.ends_with("=up")
                        ? R"({"status":"success","data":{"resultType":"vector","result":[{}]}})"
                        : R"({"status":"success","data":{"resultType":"vector","result":[]}})";
    return response;
  };
  const std::vector<std::string> alone = {path.string()};
  EXPECT_EQ(check_dashboards(alone, ask, output), 0) << err;
  EXPECT_TRUE(has(out, "SUCCESS: 2 queries parsed")) << out;
  const std::vector<std::string> live = {"--url=localhost:1", path.string()};
  EXPECT_EQ(check_dashboards(live, ask, output), 1);
  EXPECT_TRUE(has(err, "panel 2 \"T\", query A: no series: down")) << err;
  std::filesystem::remove(path);
}

TEST(DashboardCheck, FindsNothingWrongWithOurOwn) {
  const std::filesystem::path directory =
      std::filesystem::path(TARSIER_SOURCE_DIR) / "dashboards/grafana/dashboards";
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    SCOPED_TRACE(entry.path().string());
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const DashboardReport report = check_dashboard(text);
    EXPECT_EQ(joined(report.problems), "");
    EXPECT_EQ(joined(report.findings), "");
    EXPECT_FALSE(report.queries.empty());
    ++count;
  }
  EXPECT_EQ(count, 7U);
}

}  // namespace
}  // namespace tarsier::server
