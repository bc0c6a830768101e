#include "server/slo_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alerting/slo_alerts.h"
#include "base/posix_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"

namespace tarsier::server {
namespace {

using alerting::SliDefinition;
using alerting::SloDefinition;

std::vector<SloDefinition> read(std::string_view text) {
  const auto files = make_posix_file_system();
  auto contents = parse_slo_file(text, "slos.yml", *files);
  EXPECT_TRUE(contents.ok()) << contents.status().message();
  return contents.ok() ? std::move(contents->slos) : std::vector<SloDefinition>();
}
std::string error_of(std::string_view text) {
  const auto files = make_posix_file_system();
  const auto contents = parse_slo_file(text, "slos.yml", *files);
  EXPECT_FALSE(contents.ok());
  return contents.status().message();
}

constexpr std::string_view kOwn = R"(
slos:
- name: checkout-availability
  service: checkout
  objective: 99.9
  period: 28d
  sli:
    errors: 'http_requests_total{job="checkout",code=~"5.."}'
    total: 'http_requests_total{job="checkout"}'
  group_by: [cluster]
  labels: {team: payments}
  alerts:
    name: CheckoutBurns
    page: {labels: {severity: critical}, min_bad_events: 5}
    ticket: off
    tiers:
    - {severity: page, long: 1h, short: 5m, factor: 14.4}
    - {severity: page, long: 6h, short: 30m, budget_percent: 5}
- name: latency
  objective: 99
  period: {calendar: month, time_zone: Europe/Paris}
  definition: promql
  sli:
    latency: {histogram: 'http_request_duration_seconds{job="checkout"}', below: 300ms}
)";

TEST(SloFile, ReadsOurOwnForm) {
  const std::vector<SloDefinition> slos = read(kOwn);
  ASSERT_EQ(slos.size(), 2u);
  EXPECT_EQ(slos[0].id(), "checkout-checkout-availability");
  EXPECT_EQ(slos[0].period.length, days(28));
  EXPECT_EQ(slos[0].group_by, std::vector<std::string>{"cluster"});
  EXPECT_FALSE(slos[0].alerts.ticket.is_on);
  EXPECT_EQ(slos[0].alerts.page.guards.min_bad_events, 5u);
  ASSERT_EQ(slos[0].alerts.tiers.size(), 2u);
  EXPECT_DOUBLE_EQ(slos[0].alerts.tiers[1].factor, 5.6);
  EXPECT_EQ(slos[1].period.unit, alerting::CalendarUnit::kMonth);
  EXPECT_EQ(slos[1].counting, alerting::SloCounting::kPromql);
  EXPECT_EQ(slos[1].sli.kind, SliDefinition::Kind::kLatency);
  EXPECT_EQ(slos[1].sli.bound, 0.3);
}

TEST(SloFile, SaysWhereThingsAreWrong) {
  EXPECT_EQ(error_of(R"(slos:
- name: a
  objective: 120
  sli: {gauge: 'up{'}
)"),
            "slos.yml: 3:14: slo \"a\": an objective is a percentage above 0 and at most 100, not "
            "120\nslos.yml: 4:16: slo \"a\": \"up{\" is no selector: 1:4: parse error: unexpected "
            "end of input inside braces");
  EXPECT_NE(error_of("slos:\n- name: a\n  objectiv: 3\n").find("line 3: field objectiv not found"),
            std::string::npos);
  EXPECT_NE(error_of("slos:\n- name: a\n  objective: 99\n  sli: {gauge: up, ratio: x}\n")
                .find("slos.yml: 4:8: an sli is exactly one of"),
            std::string::npos);
  EXPECT_NE(error_of("groups: []\n").find("a file of objectives has slos"), std::string::npos);
  EXPECT_NE(error_of("apiVersion: openslo/v1alpha\nkind: SLO\n").find("openslo/v1alpha"),
            std::string::npos);
}

constexpr std::string_view kSloth = R"yaml(
version: "prometheus/v1"
service: "myservice"
labels:
  owner: "myteam"
slos:
  - name: "requests-availability"
    objective: 99.9
    description: "Availability."
    labels: {category: availability}
    sli:
      events:
        error_query: sum(rate(http_request_duration_seconds_count{job="myservice",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(http_request_duration_seconds_count{job="myservice"}[{{ .window }}]))
    alerting:
      name: MyServiceHighErrorRate
      labels: {category: availability}
      annotations:
        summary: "High error rate"
      page_alert:
        labels: {severity: pageteam}
      ticket_alert:
        disable: true
---
version: prometheus/v1
service: other
slos:
- name: raw
  objective: 99
  sli: {raw: {error_ratio_query: "sum(rate(bad[{{.window}}])) / sum(rate(all[{{.window}}]))"}}
)yaml";

TEST(SloFile, TimeSlicesAreSharesOfSlices) {
  const auto with = [](std::string_view method, std::string_view objective) {
    return fmt::format(R"yaml(
apiVersion: openslo/v1
kind: SLO
metadata: {{name: slices}}
spec:
  service: web
  timeWindow: [{{duration: 28d, isRolling: true}}]
  budgetingMethod: {}
  indicator:
    metadata: {{name: sli}}
    spec:
      ratioMetric:
        counter: true
        good: {{metricSource: {{type: Prometheus, spec: {{query: 'good_total'}}}}}}
        total: {{metricSource: {{type: Prometheus, spec: {{query: 'all_total'}}}}}}
  objectives: [{{{}}}]
)yaml",
                       method, objective);
  };
  const std::vector<SloDefinition> whole =
      read(with("Timeslices", "target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 5"));
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].sli.kind, alerting::SliDefinition::Kind::kRatio);
  EXPECT_EQ(whole[0].sli.ratio,
            "avg_over_time((((1 - ((sum(increase(good_total[5m]))) / "
            "(sum(increase(all_total[5m]))))) >= 0) > bool 0.050000000000000044)[$window:5m])");
  const std::vector<SloDefinition> shares =
      read(with("RatioTimeslices", "target: 0.99, timeSliceWindow: 1m"));
  EXPECT_EQ(shares.at(0).sli.ratio.find("bool"), std::string::npos);
  EXPECT_NE(error_of(with("Timeslices", "target: 0.99")).find("timeSliceTarget"),
            std::string::npos);
  EXPECT_NE(error_of(with("Sometimes", "target: 0.99")).find("budgetingMethod"), std::string::npos);
}

TEST(SloFile, ReadsSlothsFilesUnchanged) {
  const std::vector<SloDefinition> slos = read(kSloth);
  ASSERT_EQ(slos.size(), 2u);
  EXPECT_EQ(slos[0].id(), "myservice-requests-availability");
  EXPECT_EQ(slos[0].format, alerting::SloFormat::kSloth);
  EXPECT_EQ(slos[0].labels,
            (alerting::LabelMap{{"category", "availability"}, {"owner", "myteam"}}));
  EXPECT_EQ(slos[0].alerts.name, "MyServiceHighErrorRate");
  EXPECT_EQ(slos[0].alerts.page.labels,
            (alerting::LabelMap{{"category", "availability"}, {"severity", "pageteam"}}));
  EXPECT_FALSE(slos[0].alerts.ticket.is_on);
  EXPECT_EQ(slos[0].period.length, days(30));
  auto compiled = alerting::Slo::compile(slos[0]);
  ASSERT_TRUE(compiled.ok());
  EXPECT_EQ((*compiled)->terms().size(), 2u);
  EXPECT_EQ((*compiled)->counting(), alerting::SloCounting::kEvents);
  EXPECT_EQ(slos[1].sli.ratio, "sum(rate(bad[$window])) / sum(rate(all[$window]))");
}

TEST(SloFile, RefusesSlothsPluginsByName) {
  const std::string error = error_of(R"(version: prometheus/v1
service: s
slos:
- name: a
  objective: 99
  sli:
    plugin: {id: "sloth-common/kubernetes/apiserver/availability", options: {}}
)");
  EXPECT_NE(error.find("slos.yml: 7:13: the SLI plugin \"sloth-common/kubernetes/apiserver/"
                       "availability\" is a program in Go"),
            std::string::npos)
      << error;
}

TEST(SloFile, ReadsSlothsKubernetesObjectsAndWindows) {
  testing::FaultyFileSystem files;
  testing::put_file(files, "slos/a.yml", R"(
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: x, namespace: monitoring}
spec:
  service: s
  slos:
  - name: a
    objective: 99.9
    sli:
      events:
        errorQuery: sum(rate(e[{{.window}}]))
        totalQuery: sum(rate(t[{{.window}}]))
    alerting:
      name: A
      pageAlert: {labels: {severity: page}}
)");
  testing::put_file(files, "slos/windows.yml", R"(
apiVersion: sloth.slok.dev/v1
kind: AlertWindows
spec:
  sloPeriod: 30d
  page:
    quick: {errorBudgetPercent: 8, shortWindow: 5m, longWindow: 1h}
    slow: {errorBudgetPercent: 12.5, shortWindow: 30m, longWindow: 6h}
  ticket:
    quick: {errorBudgetPercent: 20, shortWindow: 2h, longWindow: 1d}
    slow: {errorBudgetPercent: 42, shortWindow: 6h, longWindow: 3d}
)");
  const auto slos = read_slo_files(files, {"slos/*.yml"});
  ASSERT_TRUE(slos.ok()) << slos.status().message();
  ASSERT_EQ(slos->size(), 1u);
  EXPECT_DOUBLE_EQ((*slos)[0]->tiers()[0].factor, 57.6);
}

TEST(SloFile, ReadsPyrrasObjectsUnchanged) {
  const std::vector<SloDefinition> slos = read(R"(
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: prometheus-api-query
  namespace: monitoring
  labels: {prometheus: k8s, role: alert-rules, pyrra.dev/team: operations}
spec:
  target: '99'
  window: 2w
  description: ""
  indicator:
    ratio:
      errors: {metric: 'prometheus_http_requests_total{handler="/api/v1/query",code=~"5.."}'}
      total: {metric: 'prometheus_http_requests_total{handler="/api/v1/query"}'}
      grouping: [handler]
---
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: latency}
spec:
  target: "99.5"
  window: 4w
  indicator:
    latency:
      success: {metric: 'http_request_duration_seconds_bucket{job="a",le="0.1"}'}
      total: {metric: 'http_request_duration_seconds_count{job="a"}'}
---
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: native}
spec:
  target: "99.5"
  window: 4w
  indicator: {latencyNative: {total: {metric: 'request_seconds{job="a",code=~"2.."}'}, latency: 500ms}}
  alerting: {severities: {absent: gone, fastBurn: page, longTermBurn: mail}}
)");
  ASSERT_EQ(slos.size(), 3u);
  EXPECT_EQ(slos[0].labels, (alerting::LabelMap{{"team", "operations"}}));
  EXPECT_EQ(slos[0].period.length, days(14));
  EXPECT_EQ(slos[0].group_by, std::vector<std::string>{"handler"});
  EXPECT_EQ(slos[1].sli.kind, SliDefinition::Kind::kBuckets);
  const auto compiled = alerting::Slo::compile(slos[1]);
  ASSERT_TRUE(compiled.ok());
  EXPECT_EQ((*compiled)->tiers()[3].long_window, days(4));
  EXPECT_EQ((*compiled)->tiers()[0].factor, 14);
  // Each tier is an alert, with the labels Pyrra gives it.
  const auto native = alerting::Slo::compile(slos[2]);
  ASSERT_TRUE(native.ok());
  EXPECT_TRUE(slos[2].sli.is_native);
  const alerting::SloAlertTexts texts(**native);
  std::vector<std::string> alerts;
  for (const alerting::AlertUnit& unit : (*native)->alert_units()) {
    alerts.push_back(texts.labels(**native, unit, {}).to_string());
  }
  alerts.push_back(texts.no_data_labels(**native, {}).to_string());
  const auto burn = [](std::string_view exhaustion, std::string_view longer,
                       std::string_view severity, std::string_view shorter) {
    return fmt::format(R"({{alertname="ErrorBudgetBurn", exhaustion="{}", job="a", long="{}", )"
                       R"(severity="{}", short="{}", slo="native"}})",
                       exhaustion, longer, severity, shorter);
  };
  EXPECT_EQ(alerts, (std::vector<std::string>{
                        burn("2d", "1h", "page", "5m"), burn("4d", "6h", "critical", "30m"),
                        burn("2w", "1d", "warning", "2h"), burn("4w", "4d", "mail", "6h"),
                        R"({alertname="SLOMetricAbsent", job="a", severity="gone", )"
                        R"(slo="native"})"}));
}

TEST(SloFile, ReadsOpenSloV1Unchanged) {
  const std::vector<SloDefinition> slos = read(R"(
apiVersion: openslo/v1
kind: SLO
metadata:
  name: web-availability
  displayName: Web
  labels: {team: [web]}
spec:
  service: web
  indicatorRef: web-successful
  timeWindow:
  - duration: 28d
    isRolling: true
  budgetingMethod: Occurrences
  objectives:
  - displayName: Good
    target: 0.98
  - targetPercent: 99.5
  alertPolicies: [fast]
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: web-successful}
spec:
  ratioMetric:
    counter: true
    good:
      metricSource: {type: Prometheus, spec: {query: 'sum(http_requests{job="web",code!~"5.."})'}}
    total:
      metricSource: {type: Prometheus, spec: {query: 'http_requests{job="web"}'}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast}
spec:
  alertWhenBreaching: true
  alertWhenNoData: true
  conditions: [{conditionRef: burns}]
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: burns}
spec:
  severity: page
  condition: {kind: burnrate, op: lte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}
)");
  ASSERT_EQ(slos.size(), 2u);
  EXPECT_EQ(slos[0].name, "web-availability-0");
  EXPECT_EQ(slos[0].objective_percent, 98);
  EXPECT_EQ(slos[1].objective_percent, 99.5);
  EXPECT_EQ(slos[0].labels, (alerting::LabelMap{{"team", "web"}}));
  ASSERT_EQ(slos[0].alerts.tiers.size(), 1u);
  EXPECT_EQ(slos[0].alerts.tiers[0].comparison, alerting::BurnComparison::kAtMost);
  EXPECT_EQ(slos[0].alerts.tiers[0].hold, minutes(5));
  EXPECT_TRUE(slos[0].alerts.alerts_on_no_data);
  EXPECT_FALSE(slos[0].warnings.empty());  // What it says is not what its author meant.
  const auto compiled = alerting::Slo::compile(slos[0]);
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();
  EXPECT_EQ((*compiled)->terms().size(), 2u);
}

TEST(SloFile, ReferencesThatLeadNowhereAreErrors) {
  EXPECT_NE(error_of(R"(
apiVersion: openslo/v1
kind: SLO
metadata: {name: a}
spec:
  indicatorRef: nobody
  timeWindow: [{duration: 1M, calendar: {startTime: "2024-01-01 00:00:00", timeZone: UTC}}]
  objectives: [{target: 0.9}]
)")
                .find("slos.yml: 6:17: there is no SLI \"nobody\""),
            std::string::npos);
}

TEST(SloFile, IdsAreUniqueOverAllFiles) {
  testing::FaultyFileSystem files;
  for (const char* name : {"s/a.yml", "s/b.yml"}) {
    testing::put_file(files, name, "slos: [{name: a, objective: 99, sli: {gauge: up}}]\n");
  }
  const auto slos = read_slo_files(files, {"s/*.yml"});
  ASSERT_FALSE(slos.ok());
  EXPECT_EQ(slos.status().message(), "s/b.yml: the objective \"a\" is in s/a.yml, too");
}

}  // namespace
}  // namespace tarsier::server
