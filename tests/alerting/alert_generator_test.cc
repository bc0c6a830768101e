// What the public compliance suite for alert generators observes, case by case, as data and
// expectations of our own: samples every 15 s, groups every 30 s, resend delay 1 m.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/alerting/rule_lab.h"

namespace tarsier::alerting {
namespace {

using testing::alerting_rule;
using testing::rule_group;
using testing::RuleLab;
using Lines = std::vector<std::string>;

/// The value of sample #n, from pieces {from #n, value}; nothing before the first.
std::vector<double> shape(std::vector<std::pair<std::size_t, double>> pieces, std::size_t count) {
  std::vector<double> out;
  std::size_t piece = 0;
  for (std::size_t i = 0; i < count; ++i) {
    while (piece + 1 < pieces.size() && pieces[piece + 1].first <= i) ++piece;
    out.push_back(pieces[piece].second);
  }
  return out;
}

struct Told {
  std::int64_t at_s;
  std::string state;
  std::int64_t starts_s;
  std::int64_t ends_s;
  std::string annotation;
};

std::vector<Told> told(const RuleLab& lab, std::string_view name) {
  std::vector<Told> out;
  for (const AlertBatch& batch : lab.sink.batches) {
    for (const Alert& alert : batch.alerts) {
      if (alert.labels.get("alertname") != name) continue;
      out.push_back({batch.at.ms / 1000, alert.state == AlertState::kFiring ? "firing" : "resolved",
                     alert.starts_at.ms / 1000, alert.ends_at.ms / 1000,
                     alert.annotations.empty() ? "" : alert.annotations[0].second});
    }
  }
  return out;
}

constexpr Duration kInterval = seconds(30);

TEST(AlertGenerator, PendingAndFiringAndResolved) {
  RuleLab lab;
  lab.feed("m", 0, 15,
           shape({{0, 5}, {8, 11}, {21, 15}, {53, 19}, {69, 9}, {89, 15}, {134, 8}}, 240));
  auto rule = alerting_rule("A", "m > 10", minutes(6));
  rule.annotations = {{"description", "The value is {{$value}} {{.Value}}"}};
  lab.apply({rule_group({rule}, "g", kInterval)});
  lab.run_to(300);
  EXPECT_EQ(lab.alerts(), Lines{"pending A since 120"});
  EXPECT_EQ(lab.group().rules[0].alerts[0].annotations[0].second, "The value is 11 11");
  lab.run_to(330);
  EXPECT_EQ(lab.group().rules[0].alerts[0].annotations[0].second, "The value is 15 15");
  lab.run_to(479);
  EXPECT_TRUE(lab.sink.batches.empty());
  lab.run_to(3600);

  std::vector<Told> all = told(lab, "A");
  std::vector<std::int64_t> firing_at;
  std::vector<std::int64_t> resolved_at;
  std::vector<std::int64_t> again_at;
  std::vector<std::int64_t> over_at;
  for (const Told& one : all) {
    if (one.state == "firing" && one.starts_s == 480) {
      firing_at.push_back(one.at_s);
      EXPECT_EQ(one.ends_s, one.at_s + 240);
      EXPECT_EQ(one.annotation, one.at_s < 795 ? "The value is 15 15" : "The value is 19 19");
    } else if (one.state == "resolved" && one.starts_s == 480) {
      resolved_at.push_back(one.at_s);
      EXPECT_EQ(one.ends_s, 1050);
    } else if (one.state == "firing") {
      again_at.push_back(one.at_s);
      EXPECT_EQ(one.starts_s, 1710);
    } else {
      over_at.push_back(one.at_s);
      EXPECT_EQ(one.ends_s, 2010);
    }
  }
  // Strictly more than the resend delay: every third evaluation.
  EXPECT_EQ(firing_at, (std::vector<std::int64_t>{480, 570, 660, 750, 840, 930, 1020}));
  // Until it is pending again at 1350.
  EXPECT_EQ(resolved_at, (std::vector<std::int64_t>{1050, 1140, 1230, 1320}));
  EXPECT_EQ(again_at, (std::vector<std::int64_t>{1710, 1800, 1890, 1980}));
  ASSERT_FALSE(over_at.empty());
  EXPECT_EQ(over_at.front(), 2010);
  EXPECT_LE(over_at.back(), 2010 + 900);
  EXPECT_GT(over_at.size(), 8u);
}

TEST(AlertGenerator, PendingAndResolvedAndAlwaysInactive) {
  RuleLab lab;
  lab.feed("m", 0, 15, shape({{0, 5}, {8, 11}, {19, 9}}, 20));
  lab.apply({rule_group(
      {alerting_rule("A", "m > 10", minutes(3)), alerting_rule("Never", "m > 99", minutes(3))}, "g",
      kInterval)});
  lab.run_to(270);
  EXPECT_EQ(lab.alerts(), Lines{"pending A since 120"});
  EXPECT_EQ(lab.ask("ALERTS", 275), Lines{R"(ALERTS{alertname="A", alertstate="pending"} 1)"});
  lab.run_to(300);
  EXPECT_TRUE(lab.alerts().empty());
  EXPECT_TRUE(lab.ask("ALERTS", 300).empty());
  lab.run_to(1200);
  EXPECT_TRUE(lab.sink.batches.empty());
  EXPECT_EQ(lab.group().rules[1].health, RuleHealth::kGood);
}

TEST(AlertGenerator, ZeroForAndSmallFor) {
  RuleLab lab;
  lab.feed("m", 0, 15, shape({{0, 5}, {8, 15}, {21, 9}, {93, 11}, {106, 9}}, 107));
  lab.feed(R"(n{id="1"})", 0, 15, std::vector<double>(200, 101));
  lab.feed(R"(n{id="2"})", 0, 15, std::vector<double>(200, 102));
  auto zero = alerting_rule("ZeroFor", "m > 10");
  zero.annotations = {
      {"description",
       "{{humanize 1048576.0}} {{humanize1024 1048576.0}} {{humanize 0.002}} "
       "{{humanizeDuration 15.0}} {{humanizePercentage 0.959}} {{humanizeTimestamp 1643114203}}"},
      {"strings", R"({{title "this part"}} {{toUpper "is"}} {{stripPort "127.0.0.1:80"}} )"
                  R"j({{parseDuration "2h10m15s"}} {{reReplaceAll "a(b+)" "<$1>" "xabbx"}}.)j"},
      {"template", R"({{define "row"}}{{range .arg0}}{{label "id" .}}:{{value .}},{{end}}{{end}})"
                   R"(first_id:{{with query "n" | sortByLabel "id"}}{{. | first | label "id"}},)"
                   R"({{template "row" (args .)}}{{end}})"}};
  lab.apply({rule_group({zero, alerting_rule("SmallFor", "m > 13", seconds(15))}, "g", kInterval)});
  lab.run_to(120);
  EXPECT_EQ(lab.alerts(), (Lines{"firing ZeroFor since 120", "pending SmallFor since 120"}));
  const Annotations texts = lab.group().rules[0].alerts[0].annotations;
  EXPECT_EQ(texts[0].second, "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC");
  EXPECT_EQ(texts[1].second, "This Part IS 127.0.0.1 7815 x<bb>x.");
  EXPECT_EQ(texts[2].second, "first_id:1,1:101,2:102,");
  lab.run_to(150);
  EXPECT_EQ(lab.alerts(), (Lines{"firing ZeroFor since 120", "firing SmallFor since 120"}));
  lab.run_to(2700);
  std::int64_t last_of_first = 0;
  std::int64_t starts_again = 0;
  for (const Told& one : told(lab, "ZeroFor")) {
    if (one.starts_s == 120) last_of_first = one.at_s;
    if (one.starts_s > 120) starts_again = one.starts_s;
  }
  EXPECT_LE(last_of_first, 330 + 900);
  EXPECT_GT(last_of_first, 330 + 700);
  EXPECT_EQ(starts_again, 1410);
  const std::vector<Told> small = told(lab, "SmallFor");
  ASSERT_FALSE(small.empty());
  EXPECT_EQ(small.front().starts_s, 150);
  EXPECT_EQ(lab.alerts(), Lines{});
}

TEST(AlertGenerator, NewAlertsAndOrder) {
  RuleLab lab;
  lab.feed(R"(m{foo="bar",variant="one"})", 0, 15, shape({{0, 5}, {8, 11}, {72, 5}}, 120));
  lab.feed(R"(m{foo="bar",variant="two"})", 0, 15, shape({{0, 5}, {32, 11}, {64, 5}}, 120));
  auto second = alerting_rule(
      "Both", R"(sum without (variant) (ALERTS{alertname="Rule1", alertstate="firing"}) == 2)");
  second.labels = {{"foo", "baz"}};
  second.annotations = {{"description", "{{$labels.foo}} {{$labels.alertname}}"}};
  lab.apply({rule_group({alerting_rule("Rule1", "m > 10", minutes(3)), second}, "g", kInterval)});
  lab.run_to(630);
  EXPECT_EQ(lab.alerts(), (Lines{R"(firing Rule1{foo="bar", variant="one"} since 120)",
                                 R"(pending Rule1{foo="bar", variant="two"} since 480)"}));
  lab.run_to(660);  // The second alert fires, and the other rule sees it at once.
  EXPECT_EQ(lab.alerts(), (Lines{R"(firing Rule1{foo="bar", variant="one"} since 120)",
                                 R"(firing Rule1{foo="bar", variant="two"} since 480)",
                                 R"(firing Both{alertstate="firing", foo="baz"} since 660)"}));
  EXPECT_EQ(lab.group().rules[1].alerts[0].annotations[0].second, "bar Rule1");
  lab.run_to(990);
  const std::vector<Told> both = told(lab, "Both");
  ASSERT_FALSE(both.empty());
  EXPECT_EQ(both.back().state, "resolved");
  EXPECT_EQ(both.back().ends_s, 960);
}

}  // namespace
}  // namespace tarsier::alerting
