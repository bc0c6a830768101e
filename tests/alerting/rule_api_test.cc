#include "alerting/rule_api.h"

#include <gtest/gtest.h>

#include "base/json_reader.h"
#include "tests/alerting/rule_lab.h"

namespace tarsier::alerting {
namespace {

std::vector<RuleGroupStatus> groups() {
  auto rule = testing::alerting_rule("Down", "up==0", minutes(5));
  rule.labels = {{"severity", "page"}};
  rule.annotations = {{"summary", "{{ $labels.job }} is down"}};
  RuleGroupDefinition first{.file = "/etc/a.yml",
                            .name = "g",
                            .labels = {{"team", "x"}},
                            .rules = {rule, testing::recording("r", "sum by(job)(up)")}};
  RuleGroupDefinition second{
      .file = "/etc/b.yml", .name = "h", .rules = {testing::recording("s", "1")}};
  std::vector<RuleGroupStatus> out;
  for (const RuleGroupDefinition& definition : {first, second}) {
    auto group = compile_group(definition, {});
    RuleGroupStatus status{
        .file = definition.file, .name = definition.name, .interval = seconds(60)};
    for (const auto& compiled : group->rules) status.rules.push_back({.rule = compiled});
    out.push_back(std::move(status));
  }
  RuleStatus& down = out[0].rules[0];
  down.health = RuleHealth::kGood;
  down.last_evaluation = {1'785'585'600'100};
  down.evaluation_seconds = 0.25;
  down.alerts = {{.labels = {{"alertname", "Down"}, {"job", "a"}},
                  .annotations = {{"summary", "a is down"}},
                  .state = AlertState::kFiring,
                  .value = 11,
                  .active_at = {1'785'585'000'000},
                  .fired_at = {1'785'585'300'000}}};
  return out;
}

std::string ask(std::vector<std::pair<std::string, std::string>> parameters) {
  HttpRequest request;
  request.parameters = std::move(parameters);
  return rules_response(request, groups(), {}).body;
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(RuleApi, TellsEverythingInPrometheusShape) {
  EXPECT_EQ(
      ask({{"rule_group[]", "g"}}),
      R"({"status":"success","data":{"groups":[{"name":"g","file":"/etc/a.yml","rules":[)"
      R"({"state":"firing","name":"Down","query":"up == 0","duration":300,"keepFiringFor":0,)"
      R"("labels":{"severity":"page","team":"x"},)"
      R"("annotations":{"summary":"{{ $labels.job }} is down"},)"
      R"("alerts":[{"labels":{"alertname":"Down","job":"a"},"annotations":{"summary":"a is down"},)"
      R"("state":"firing","activeAt":"2026-08-01T11:50:00Z","value":"1.1e+01",)"
      R"("fingerprint":")" +
          fingerprint_of({{"alertname", "Down"}, {"job", "a"}}).to_string() +
          R"("}],)"
          R"("health":"ok","evaluationTime":0.25,"lastEvaluation":"2026-08-01T12:00:00.1Z",)"
          R"("type":"alerting"},)"
          R"j({"name":"r","query":"sum by (job) (up)","labels":{"team":"x"},"health":"unknown",)j"
          R"("evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"recording"}],)"
          R"("interval":60,"limit":0,"evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z"}]}})");
}

TEST(RuleApi, Filters) {
  EXPECT_EQ(count(ask({{"type", "alert"}}), "\"type\":"), 1u);
  EXPECT_EQ(count(ask({{"type", "record"}}), "\"type\":"), 2u);
  EXPECT_EQ(count(ask({{"rule_name[]", "r"}, {"rule_name[]", "s"}}), "\"type\":"), 2u);
  EXPECT_EQ(count(ask({{"file[]", "/etc/b.yml"}}), "\"type\":"), 1u);
  EXPECT_EQ(count(ask({{"match[]", "{severity=\"page\"}"}}), "\"type\":"), 1u);
  EXPECT_EQ(
      count(ask({{"match[]", "{severity=\"page\"}"}, {"match[]", "{team=\"x\"}"}}), "\"type\":"),
      2u);
  EXPECT_EQ(count(ask({{"exclude_alerts", "true"}}), "\"alerts\":null"), 1u);
  EXPECT_NE(ask({{"type", "x"}}).find(R"("errorType":"bad_data")"), std::string::npos);
}

TEST(RuleApi, Pages) {
  const std::string first = ask({{"group_limit", "1"}});
  const std::size_t at = first.find("\"groupNextToken\":\"");
  ASSERT_NE(at, std::string::npos) << first;
  const std::string token = first.substr(at + 18, 64);
  const std::string second = ask({{"group_limit", "1"}, {"group_next_token", token}});
  EXPECT_EQ(count(second, "\"name\":\"h\""), 1u);
  EXPECT_EQ(count(second, "groupNextToken"), 0u);
  EXPECT_NE(ask({{"group_limit", "1"}, {"group_next_token", "x"}})
                .find("invalid group_next_token 'x'. were rule groups changed?"),
            std::string::npos);
  EXPECT_NE(ask({{"group_next_token", token}}).find("bad_data"), std::string::npos);
  EXPECT_NE(ask({{"group_limit", "0"}}).find("bad_data"), std::string::npos);
}

TEST(RuleApi, ListsActiveAlerts) {
  const AlertLabelling labelling{.external_labels = {{"region", "eu"}}, .relabel = {}};
  const std::string id =
      fingerprint_of({{"alertname", "Down"}, {"job", "a"}, {"region", "eu"}}).to_string();
  EXPECT_EQ(alerts_response(groups(), labelling).body,
            R"({"status":"success","data":{"alerts":[{"labels":{"alertname":"Down","job":"a"},)"
            R"("annotations":{"summary":"a is down"},"state":"firing",)"
            R"("activeAt":"2026-08-01T11:50:00Z","value":"1.1e+01","fingerprint":")" +
                id + R"("}]}})");
  EXPECT_EQ(alertmanagers_response({"http://a"}, {}).body,
            R"({"status":"success","data":{"activeAlertmanagers":[{"url":"http://a"}],)"
            R"("droppedAlertmanagers":[]}})");
}

}  // namespace
}  // namespace tarsier::alerting
