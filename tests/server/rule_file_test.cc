#include "server/rule_file.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "server/cli_rules.h"
#include "server/junit_report.h"
#include "server/rule_test_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"

namespace tarsier::server {
namespace {

std::string error_of(std::string_view text, RuleFileOptions options = {}) {
  const auto parsed = parse_rule_file(text, "r.yml", options);
  return parsed.ok() ? "" : parsed.status().message();
}

TEST(RuleFile, ReadsEveryField) {
  const auto groups = parse_rule_file(R"(
groups:
- name: g
  interval: 30s
  query_offset: 0s
  limit: 7.5  # As a whole number, as Prometheus reads it.
  labels: {team: x, level: 1}
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
    labels: {a: b}
  - alert: Down
    expr: up == 0
    for: 5m
    keep_firing_for: 1h30m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }} is down', empty: ''}
)",
                                      "r.yml", {});
  ASSERT_TRUE(groups.ok()) << groups.status().message();
  ASSERT_EQ(groups->size(), 1u);
  const alerting::RuleGroupDefinition& group = groups->front();
  EXPECT_EQ(group.key(), "r.yml;g");
  EXPECT_EQ(group.interval, seconds(30));
  EXPECT_EQ(group.query_offset, Duration{0});
  EXPECT_EQ(group.limit, 7u);
  EXPECT_EQ(group.labels, (alerting::LabelMap{{"level", "1"}, {"team", "x"}}));
  ASSERT_EQ(group.rules.size(), 2u);
  EXPECT_EQ(group.rules[0].record, "job:up:sum");
  EXPECT_EQ(group.rules[1].keep_firing_for, minutes(90));
  EXPECT_EQ(group.rules[1].annotations.size(), 2u);
  EXPECT_EQ(parse_rule_file("", "r.yml", {})->size(), 0u);
}

TEST(RuleFile, TellsEveryErrorWithItsPlace) {
  EXPECT_EQ(error_of(R"(groups:
- name: g
  rules:
  - record: a
    alert: b
    expr: up
  - expr: up
  - record: 'a{b}'
    expr: sum(
  - record: x
    for: 1m
    expr: up
    annotations: {a: b}
  - alert: A
    expr: up
    labels: {'__name__': x}
    annotations: {s: '{{ $label.x }}'}
- name: g
)"),
            "r.yml: 4:5: group \"g\", rule 1, \"b\": only one of 'record' and 'alert' must be set\n"
            "r.yml: 7:5: group \"g\", rule 2, \"\": one of 'record' or 'alert' must be set\n"
            "r.yml: 9:11: group \"g\", rule 3, \"a{b}\": could not parse expression: 1:5: parse "
            "error: unclosed left parenthesis\n"
            "r.yml: 8:13: group \"g\", rule 3, \"a{b}\": braces present in the recording rule "
            "name; should it be in expr?: a{b}\n"
            "r.yml: 13:18: group \"g\", rule 4, \"x\": invalid field 'annotations' in recording "
            "rule\n"
            "r.yml: 11:10: group \"g\", rule 4, \"x\": invalid field 'for' in recording rule\n"
            "r.yml: 17:22: group \"g\", rule 5, \"A\": annotation \"s\": template: __alert_A:1: "
            "undefined variable \"$label\"\n"
            "r.yml: 16:26: group \"g\", rule 5, \"A\": invalid label name: __name__\n"
            "r.yml: 18:9: groupname: \"g\" is repeated in the same file");
}

TEST(RuleFile, IsStrictUnlessToldOtherwise) {
  const char* text =
      "groups:\n- name: g\n  owner: me\n  rules:\n  - record: a\n    expr: up\n"
      "    wait: 5m\n";
  EXPECT_EQ(error_of(text),
            "r.yml: yaml: unmarshal errors:\n"
            "  line 3: field owner not found in groups[0] (column 3)\n"
            "  line 7: field wait not found in groups[0].rules[0] (column 5)");
  EXPECT_EQ(error_of(text, {.ignore_unknown_fields = true}), "");
  EXPECT_NE(error_of("groups:\n- name: g\n  interval: 5\n").find("not a valid duration"),
            std::string::npos);
}

TEST(RuleFile, TakesEntriesThatAreNothing) {
  const auto groups =
      parse_rule_file("groups: [null, {name: g, limit: -1, rules: [null, {record: a, expr: up}]}]",
                      "r.yml", {});
  ASSERT_TRUE(groups.ok()) << groups.status().message();
  ASSERT_EQ(groups->size(), 1u);
  EXPECT_EQ(groups->front().limit, 0u);
  EXPECT_EQ(groups->front().rules.size(), 1u);
}

TEST(RuleFile, OneBadFileRejectsAll) {
  testing::FaultyFileSystem files;
  ASSERT_TRUE(files.create_directories("d").ok());
  const auto write = [&](const std::string& path, std::string_view text) {
    ASSERT_TRUE(write_file_atomically(files, path, text).ok());
  };
  write("d/a.yml", "groups: [{name: a}]");
  write("d/b.yml", "groups: [{name: b}]");
  auto read = read_rule_files(files, {"d/*.yml", "d/a.yml", "missing.yml"}, {});
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[1].key(), "d/b.yml;b");
  write("d/b.yml", "groups: [{}]");
  EXPECT_FALSE(read_rule_files(files, {"d/*.yml"}, {}).ok());
}

struct CommandRun {
  int code;
  std::string text;
};
CommandRun run_tests(const std::string& path, std::vector<std::string> options = {}) {
  CommandRun out{0, {}};
  const CommandOutput output{.out = [&](std::string_view t) { out.text += t; },
                             .err = [&](std::string_view t) { out.text += t; }};
  options.push_back(path);
  out.code = test_rules(options, output);
  return out;
}

TEST(RuleTests, TellWhatWasExpectedAndWhatCame) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory.path() + "/rules.yml") << R"(groups:
- name: g
  rules:
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }} is down in {{ $externalLabels.region }}'}
)";
  std::ofstream(directory.path() + "/test.yml") << R"(rule_files: [rules.yml]
tests:
- name: fires
  external_labels: {region: eu}
  input_series:
  - {series: 'up{job="a"}', values: '0x10'}
  alert_rule_test:
  - eval_time: 1m
    alertname: Down
  - eval_time: 2m
    alertname: Down
    exp_alerts:
    - exp_labels: {job: a, severity: page}
      exp_annotations: {summary: a is down in eu}
- name: wrong
  input_series:
  - {series: 'up{job="a"}', values: '0x10'}
  alert_rule_test:
  - eval_time: 5m
    alertname: Down
    exp_alerts:
    - exp_labels: {job: b, severity: page}
  promql_expr_test:
  - {expr: up, eval_time: 1m, exp_samples: [{labels: 'up{job="a"}', value: 1}]}
)";
  const std::string path = directory.path() + "/test.yml";
  EXPECT_EQ(run_tests(path, {"--run=fires"}).code, 0) << run_tests(path, {"--run=fires"}).text;
  const CommandRun all = run_tests(path, {"--junit=" + directory.path() + "/junit.xml"});
  EXPECT_EQ(all.code, 1);
  EXPECT_NE(all.text.find("    name: wrong,\n    alertname: Down, time: 5m,"), std::string::npos)
      << all.text;
  EXPECT_NE(all.text.find(R"(expr: "up", time: 1m,)"), std::string::npos) << all.text;
  EXPECT_NE(all.text.find(R"(0: up{job="a"} 0e+00)"), std::string::npos) << all.text;
  EXPECT_NE(run_tests(path, {"--diff"}).text.find("- Labels:{alertname=\"Down\", job=\"b\""),
            std::string::npos);
  std::ifstream junit(directory.path() + "/junit.xml");
  const std::string xml((std::istreambuf_iterator<char>(junit)), {});
  EXPECT_NE(xml.find("tests=\"2\" failures=\"2\" errors=\"0\" skipped=\"0\" timestamp=\""),
            std::string::npos)
      << xml;
}

TEST(JunitReport, HasPromtoolsShape) {
  const std::string xml = junit_report(
      {{.path = "a.yml",
        .tests = {{.name = "good", .failures = {}}, {.name = "bad", .failures = {"<1>", "2\n'\t"}}},
        .errors = {}},
       {.path = "b.yml", .tests = {}, .errors = {"no \x01 rules"}}},
      Timestamp{0});
  const std::string stamp = xml.substr(xml.find("timestamp=\"") + 11, 19);
  EXPECT_EQ(xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
            "  <testsuite name=\"a.yml\" tests=\"2\" failures=\"2\" errors=\"0\" skipped=\"0\" "
            "timestamp=\"" +
                stamp +
                "\">\n"
                "    <testcase name=\"good\">\n    </testcase>\n"
                "    <testcase name=\"bad\">\n"
                "      <failure>&lt;1&gt;</failure>\n      <failure>2&#xA;&#39;&#x9;</failure>\n"
                "    </testcase>\n  </testsuite>\n"
                "  <testsuite name=\"b.yml\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" "
                "timestamp=\"" +
                stamp +
                "\">\n"
                "    <testcase name=\"unknown\">\n"
                "      <error>no \xef\xbf\xbd rules</error>\n    </testcase>\n  </testsuite>\n"
                "</testsuites>\n");
}

TEST(RuleTests, GivePromtoolsVerdicts) {
  const testing::TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() + "/sub");
  std::ofstream(directory.path() + "/sub/rules.yml")
      << "groups: [{name: g, rules: [{alert: A, expr: m > 0, labels: {e: ''}}]}]\n";
  const auto code = [&](const std::string& test) {
    const std::string path = directory.path() + "/test.yml";
    std::ofstream(path) << "rule_files: ['s*/r[u]les.y?l']\ntests:\n- interval: 1m\n" << test;
    return run_tests(path).code;
  };
  const std::string series = "  input_series: [{series: m, values: '16x3'}]\n";
  const auto value = [&](const std::string& text) {
    return code(series +
                "  promql_expr_test: [{expr: m, eval_time: 1m, exp_samples: [{labels: m, "
                "value: " +
                text + "}]}]\n");
  };
  for (const char* text : {"16", "16.", "0x10", "1_6", "1.6e1", "+16"}) {
    EXPECT_EQ(value(text), 0) << text;
  }
  for (const char* text : {"'16'", "Inf", "nan", "x", "true", "1x"})
    EXPECT_EQ(value(text), 1) << text;
  const auto labels = [&](const std::string& text) {
    return code(series +
                "  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: "
                "[{exp_labels: {" +
                text + "}}]}]\n");
  };
  EXPECT_EQ(labels(""), 0);
  EXPECT_EQ(labels("e: ''"), 1);  // An alert has no empty labels.
  // Described twice: the last one counts.
  EXPECT_EQ(code("  input_series: [{series: m, values: '1 2'}, {series: m, values: '3 4'}]\n"
                 "  promql_expr_test: [{expr: m, eval_time: 1m, exp_samples: [{labels: m, value: "
                 "4}]}]\n"),
            0);
  EXPECT_EQ(code("  start_timestamp: 1704067200.5\n" + series +
                 "  promql_expr_test: [{expr: timestamp(m), eval_time: 1m, exp_samples: [{value: "
                 "1704067260.5}]}]\n"),
            0);
}

TEST(RuleTests, RulesThatCannotBeReadFailEveryTest) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory.path() + "/rules.yml") << "groups: [{name: g, rules: [{record: a}]}]\n";
  const std::string path = directory.path() + "/test.yml";
  std::ofstream(path) << "rule_files: [rules.yml]\ntests: [{name: one}, {name: two}]\n";
  const CommandRun run = run_tests(path, {"--junit=" + directory.path() + "/junit.xml"});
  EXPECT_EQ(run.code, 1);
  const std::string problem = "field 'expr' must be set in rule";
  EXPECT_EQ(run.text.find(problem), run.text.rfind(problem)) << run.text;
  std::ifstream junit(directory.path() + "/junit.xml");
  const std::string xml((std::istreambuf_iterator<char>(junit)), {});
  EXPECT_NE(xml.find("tests=\"2\" failures=\"2\" errors=\"0\""), std::string::npos) << xml;
}

TEST(RuleTests, RefuseWhatTheyDoNotKnow) {
  EXPECT_FALSE(parse_rule_test_file("tests: [{interval: 1m, inputs: []}]", "t.yml").ok());
  EXPECT_FALSE(parse_rule_test_file("tests: [{start_timestamp: soon}]", "t.yml").ok());
  EXPECT_EQ(parse_rule_test_file("tests: [{start_timestamp: 17}]", "t.yml")->tests[0].start,
            Timestamp{17'000});
}

}  // namespace
}  // namespace tarsier::server
