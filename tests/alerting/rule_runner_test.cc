#include "alerting/rule_runner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/alerting/rule_lab.h"

namespace tarsier::alerting {
namespace {

using testing::alerting_rule;
using testing::recording;
using testing::rule_group;
using testing::RuleLab;
using Lines = std::vector<std::string>;

std::vector<double> steps(std::size_t count, double v) { return std::vector<double>(count, v); }

TEST(RuleRunner, LaterRulesOfAGroupSeeEarlierOnesAtTheSameTime) {
  RuleLab lab;
  lab.feed("x", 0, 60, {1, 2, 3, 4, 5});
  lab.apply({rule_group({recording("a", "x * 10"), recording("b", "a + 1"),
                         alerting_rule("Big", "b > 30"),
                         recording("c", "ALERTS{alertname=\"Big\"} * 7")})});
  lab.run_to(180);
  EXPECT_EQ(lab.ask("b", 180), Lines{"b 41"});
  EXPECT_EQ(lab.ask("c", 180), Lines{R"(c{alertname="Big", alertstate="firing"} 7)"});
}

TEST(RuleRunner, VanishedSeriesGetAStaleMarkerAtOnce) {
  RuleLab lab;
  lab.feed(R"(x{i="1"})", 0, 60, {1, 1, tsdb::stale_marker()});
  lab.feed(R"(x{i="2"})", 0, 60, {1, 1, 1});
  lab.apply({rule_group({recording("r", "x")})});
  lab.run_to(120);
  EXPECT_EQ(lab.ask("count(r)", 119), Lines{"{} 2"});
  EXPECT_EQ(lab.ask("r", 120), Lines{R"(r{i="2"} 1)"});
}

TEST(RuleRunner, NativeHistogramsAreRecorded) {
  RuleLab lab;
  tsdb::FloatHistogram histogram{.count = 3, .sum = 5, .positive_counts = {1, 2}};
  histogram.layout.positive_spans = {{.offset = 1, .length = 2}};
  lab.put_histogram(R"(h{i="1"})", 50, histogram);
  lab.put_histogram(R"(h{i="2"})", 50, histogram);
  lab.apply({rule_group({recording("sum", "sum(h)"), recording("again", "sum"),
                         alerting_rule("A", "histogram_count(again) > 5")})});
  lab.run_to(60);
  EXPECT_EQ(lab.ask("sum", 60), Lines{"sum {count:6, sum:10, (1,2]:2, (2,4]:4}"});
  EXPECT_EQ(lab.ask("again", 60), Lines{"again {count:6, sum:10, (1,2]:2, (2,4]:4}"});
  EXPECT_EQ(lab.alerts(), Lines{"firing A since 60"});
  lab.run_to(360);  // Out of sight: what was recorded ends at once.
  EXPECT_TRUE(lab.ask("sum", 360).empty());
  EXPECT_EQ(lab.sink.take().back(), "resolved A since 60 over 360");
}

TEST(RuleRunner, RuleLabelsWinAndEmptyOnesRemove) {
  RuleLab lab;
  lab.feed(R"(x{a="1",b="2"})", 0, 60, {1, 1});
  auto group = rule_group({recording("r", "x")});
  group.labels = {{"g", "group"}, {"a", "group"}};
  group.rules[0].labels = {{"a", "rule"}, {"b", ""}};
  lab.apply({group});
  lab.run_to(60);
  EXPECT_EQ(lab.ask("r", 60), Lines{R"(r{a="rule", g="group"} 1)"});
}

TEST(RuleRunner, EqualOutputsAreAnErrorAndNothingIsWritten) {
  RuleLab lab;
  lab.feed(R"(x{a="1"})", 0, 60, {1, 1});
  lab.feed(R"(x{a="2"})", 0, 60, {1, 1});
  auto group = rule_group({recording("r", "x")});
  group.rules[0].labels = {{"a", ""}};
  lab.apply({group});
  lab.run_to(60);
  EXPECT_EQ(lab.group().rules[0].last_error,
            "vector contains metrics with the same labelset after applying rule labels");
  EXPECT_EQ(lab.group().rules[0].health, RuleHealth::kBad);
  EXPECT_TRUE(lab.ask("r", 60).empty());
}

TEST(RuleRunner, AnErrorKeepsAlertsAndSeriesAsTheyAre) {
  RuleLab lab;
  lab.feed(R"(x{a="1"})", 0, 60, steps(10, 1));
  lab.feed(R"(y{a="1",b="1"})", 120, 60, {1, 1, tsdb::stale_marker()});
  lab.feed(R"(y{a="1",b="2"})", 120, 60, {1, 1, tsdb::stale_marker()});
  lab.apply({rule_group({alerting_rule("A", "x unless on (a) (x * on (a) y)")})});
  lab.run_to(60);
  EXPECT_EQ(lab.sink.take(), Lines{R"(firing A{a="1"} since 60 until 300)"});
  lab.run_to(180);
  EXPECT_EQ(lab.group().rules[0].health, RuleHealth::kBad);
  EXPECT_EQ(lab.alerts(), Lines{R"(firing A{a="1"} since 60)"});
  EXPECT_TRUE(lab.sink.take().empty());
  EXPECT_EQ(lab.ask("ALERTS", 180).size(), 1u);
}

TEST(RuleRunner, LimitRefusesAll) {
  RuleLab lab;
  lab.feed(R"(x{a="1"})", 0, 60, {1, 1, 1});
  lab.feed(R"(x{a="2"})", 120, 60, {1, 1, 1});
  auto group = rule_group({recording("r", "x"), alerting_rule("A", "x")});
  group.limit = 1;
  lab.apply({group});
  lab.run_to(60);
  EXPECT_EQ(lab.ask("r", 60).size(), 1u);
  lab.run_to(120);
  EXPECT_EQ(lab.group().rules[0].last_error, "exceeded limit of 1 with 2 series");
  EXPECT_EQ(lab.group().rules[1].last_error, "exceeded limit of 1 with 2 alerts");
  EXPECT_TRUE(lab.alerts().empty());
}

TEST(RuleRunner, PendingToFiringLeavesAStaleMarkerOnThePendingSeries) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(20, 1));
  lab.apply({rule_group({alerting_rule("A", "x", minutes(2))})});
  lab.run_to(120);
  EXPECT_EQ(lab.ask("ALERTS", 120), Lines{R"(ALERTS{alertname="A", alertstate="pending"} 1)"});
  EXPECT_EQ(lab.ask("ALERTS_FOR_STATE", 120), Lines{R"(ALERTS_FOR_STATE{alertname="A"} 60)"});
  lab.run_to(180);
  EXPECT_EQ(lab.ask("ALERTS", 180), Lines{R"(ALERTS{alertname="A", alertstate="firing"} 1)"});
  EXPECT_EQ(lab.sink.take(), Lines{"firing A since 180 until 420"});
}

TEST(RuleRunner, QueryOffsetShiftsDataAndNotTheAlertsClock) {
  RuleLab lab;
  lab.feed("x", 0, 60, {0, 1, 1, 1, 1, 1});
  auto group = rule_group({alerting_rule("A", "x > 0", minutes(1)), recording("r", "x")});
  group.query_offset = seconds(60);
  lab.apply({group});
  lab.run_to(120);
  EXPECT_EQ(lab.alerts(), Lines{"pending A since 120"});
  EXPECT_EQ(lab.ask("timestamp(r)", 120), Lines{"{} 60"});
  EXPECT_EQ(lab.ask("ALERTS", 60), Lines{R"(ALERTS{alertname="A", alertstate="pending"} 1)"});
}

TEST(RuleRunner, MissedEvaluationsAreCountedNotCaughtUp) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(20, 1));
  lab.apply({rule_group({recording("r", "x")})});
  lab.run_to(60);
  lab.now_s = 330;  // The process slept.
  lab.run_to(330);
  EXPECT_EQ(lab.group().last_evaluation, Timestamp{300'000});
  EXPECT_EQ(lab.ask("count_over_time(r[1h])", 330), Lines{"{} 2"});
}

TEST(RuleRunner, AReloadKeepsTheStateOfEqualRules) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(40, 1));
  lab.apply({rule_group({alerting_rule("A", "x", minutes(5))})});
  lab.run_to(240);
  lab.apply({rule_group({recording("r", "x"), alerting_rule("A", "x > 0", minutes(5))})});
  EXPECT_EQ(lab.alerts(), Lines{"pending A since 60"});
  lab.run_to(360);
  EXPECT_EQ(lab.alerts(), Lines{"firing A since 60"});
}

TEST(RuleRunner, ARemovedRuleResolvesAndItsSeriesEnd) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(40, 1));
  lab.apply({rule_group({alerting_rule("A", "x"), alerting_rule("B", "x")})});
  lab.run_to(60);
  lab.sink.take();
  lab.apply({rule_group({alerting_rule("B", "x")})});
  lab.run_to(120);
  const Lines told = lab.sink.take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], "resolved A since 60 over 120");
  EXPECT_EQ(lab.sink.batches.back().alerts[0].resolve_reason, ResolveReason::kRuleRemoved);
  EXPECT_EQ(lab.ask("ALERTS", 120), Lines{R"(ALERTS{alertname="B", alertstate="firing"} 1)"});
}

TEST(RuleRunner, TheHistorySaysWhyAnAlertEnded) {
  RuleLab lab(RuleLab::Setup{.has_journal = true});
  lab.feed("x", 0, 60, steps(10, 1));
  lab.feed("y", 0, 60, {1, 1, 0, 0, 0, 0});
  lab.apply({rule_group({alerting_rule("A", "x", minutes(1)), alerting_rule("B", "y > 0")})});
  lab.run_to(180);
  lab.restart();
  lab.apply({rule_group({alerting_rule("B", "y > 0")})});
  lab.run_to(300);
  EXPECT_EQ(lab.history(),
            (Lines{"60 A pending", "60 B firing", "120 A firing", "120 B resolved: condition over",
                   "240 A resolved: rule removed"}));
}

TEST(RuleRunner, QueriesSayWhichGroupAsks) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(2, 1));
  const RuleGroupDefinition group = rule_group({recording("r", "x")});
  lab.apply({group});
  lab.run_to(60);
  const std::vector<query::QueryRecord> queries = lab.monitor().recent();
  ASSERT_EQ(queries.size(), 1u);
  ASSERT_NE(queries[0].origin, nullptr);
  EXPECT_EQ(queries[0].origin->rule_group, "g");
  EXPECT_EQ(queries[0].origin->rule_file, group.file);
  EXPECT_NE(queries[0].origin->cancel, nullptr);
}

TEST(RuleRunner, ARemovedGroupEndsAfterTwoIntervals) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(40, 1));
  lab.apply({rule_group({alerting_rule("A", "x"), recording("r", "x")})});
  lab.run_to(60);
  lab.sink.take();
  lab.apply({});
  lab.run_to(179);
  EXPECT_TRUE(lab.sink.take().empty());
  EXPECT_EQ(lab.ask("r", 179).size(), 1u);
  lab.run_to(180);
  EXPECT_EQ(lab.sink.take(), Lines{"resolved A since 60 over 180"});
  EXPECT_TRUE(lab.ask("r", 180).empty());
}

TEST(RuleRunner, ARenamedGroupTakesOverWithoutAHole) {
  RuleLab lab;
  lab.feed("x", 0, 60, steps(40, 1));
  lab.apply({rule_group({alerting_rule("A", "x"), recording("r", "x")}, "old")});
  lab.run_to(60);
  lab.sink.take();
  lab.apply({rule_group({alerting_rule("A", "x"), recording("r", "x")}, "new")});
  lab.run_to(300);
  for (const std::string& line : lab.sink.take()) EXPECT_TRUE(line.starts_with("firing")) << line;
  EXPECT_EQ(lab.ask("count_over_time(r[4m])", 300), Lines{"{} 4"});
}

TEST(RuleRunner, NewsThatNobodyTookAreToldAgain) {
  RuleLab lab;
  lab.feed("x", 0, 60, {1, 1, 1, tsdb::stale_marker()});
  lab.apply({rule_group({alerting_rule("A", "x")})});
  lab.sink.refuses = true;
  lab.run_to(7200);
  lab.sink.refuses = false;
  lab.run_to(7260);
  EXPECT_EQ(lab.sink.take(), Lines{"resolved A since 60 over 180"});
}

TEST(RuleRunner, RestoresForFromStoredSeriesWithoutAJournal) {
  RuleLab lab(RuleLab::Setup{.options = {.restores = true}});
  lab.feed("x", 0, 30, steps(2000, 1));
  lab.apply(
      {rule_group({alerting_rule("A", "x", hours(1)), alerting_rule("Short", "x", minutes(5))})});
  lab.run_to(1800);
  lab.restart_without_journal(600);
  lab.run_to(2460);
  EXPECT_EQ(lab.ask("count(ALERTS)", 2460), Lines{});  // Not before it is restored.
  lab.run_to(2520);
  // Restored after the second evaluation, at 2520: 1740 s were served, 720 s of it nobody looked.
  EXPECT_EQ(lab.alerts(), (Lines{"pending A since 780", "pending Short since 2460"}));
}

TEST(RuleRunner, GroupsAreSpreadOverTheirInterval) {
  std::set<std::int64_t> offsets;
  for (int i = 0; i < 100; ++i) {
    offsets.insert(slot_offset_of("a.yml", fmt::format("g{}", i), minutes(1)).ms / 6000);
  }
  EXPECT_EQ(offsets.size(), 10u);
}

TEST(RuleRunner, ThirtyDaysPassInSeconds) {
  RuleLab lab;
  constexpr std::size_t kHours = 30 * 24;
  std::vector<double> hourly;
  for (std::size_t h = 0; h < kHours; ++h) hourly.push_back(h % 24 == 5 ? 1 : 0);
  lab.feed("burning", 0, 3600, hourly);
  lab.apply({rule_group(
      {recording("r", "last_over_time(burning[1h5m])"), alerting_rule("A", "r > 0", minutes(30))},
      "g", minutes(5))});
  lab.run_to(static_cast<std::int64_t>(kHours) * 3600);
  std::size_t fired = 0;
  std::set<std::int64_t> starts;
  for (const AlertBatch& batch : lab.sink.batches) {
    for (const Alert& alert : batch.alerts) {
      if (alert.state == AlertState::kFiring) starts.insert(alert.starts_at.ms);
    }
  }
  fired = starts.size();
  EXPECT_EQ(fired, 30u);
}

TEST(RuleRunner, ReloadsMeetRunningEvaluations) {
  RuleLab lab({.options = {.restores = false, .concurrent_rules = true},
               .has_journal = true,
               .thread_count = 3});
  lab.feed(R"(x{i="1"})", 0, 60, steps(300, 1));
  lab.feed(R"(x{i="2"})", 0, 60, steps(300, 2));
  const auto groups = [](int variant) {
    std::vector<RuleGroupDefinition> out;
    for (int g = 0; g < 4 - variant % 2; ++g) {
      out.push_back(rule_group({recording("r", "x"), recording("s", "x * 2"),
                                alerting_rule(fmt::format("A{}", g), "r > 0", minutes(variant % 3)),
                                alerting_rule(fmt::format("B{}{}", g, variant % 2), "x > 1")},
                               fmt::format("g{}", g)));
    }
    return out;
  };
  lab.apply(groups(0));
  for (int round = 1; round <= 60; ++round) {
    lab.kick(round * 60);
    if (round % 5 == 0) lab.apply(groups(round / 5));
  }
  // However the reloads fell between the evaluations, the rules go on.
  lab.run_all_at(61 * 60);
  for (std::size_t i = 0; i < 4; ++i) {
    for (const RuleStatus& rule : lab.group(i).rules) {
      EXPECT_EQ(rule.health, RuleHealth::kGood) << rule.rule->name() << ": " << rule.last_error;
    }
  }
  lab.stop();
  EXPECT_FALSE(lab.sink.batches.empty());
  for (const AlertBatch& batch : lab.sink.batches) {
    for (const Alert& alert : batch.alerts) EXPECT_LE(alert.starts_at, batch.at);
  }
}

// What a process that never stopped tells is what one tells that restarts, wherever it restarts.
std::set<std::string> tell(std::int64_t restart_at_s, RuleLab::Setup setup) {
  RuleLab lab(std::move(setup));
  std::vector<double> values = {0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0};
  lab.feed("x", 0, 60, values);
  auto rule = alerting_rule("A", "x > 0", minutes(2));
  rule.keep_firing_for = minutes(2);
  lab.apply({rule_group({rule, alerting_rule("Now", "x > 0")})});
  if (restart_at_s > 0) {
    lab.run_to(restart_at_s);
    lab.restart();
  }
  lab.run_to(1080);
  std::set<std::string> out;
  for (const AlertBatch& batch : lab.sink.batches) {
    for (const Alert& alert : batch.alerts) {
      const bool is_over = alert.state == AlertState::kInactive;
      out.insert(fmt::format("{} {} {} {}", alert.labels.to_string(), is_over,
                             alert.starts_at.ms / 1000, is_over ? alert.ends_at.ms / 1000 : 0));
    }
  }
  return out;
}

TEST(RuleRunner, ARestartAtAnyStepLosesNothingWithTheJournal) {
  const RuleLab::Setup setup{.has_journal = true};
  const std::set<std::string> expected = tell(0, setup);
  EXPECT_EQ(expected.size(), 10u);
  for (std::int64_t at = 30; at < 1080; at += 30) {
    SCOPED_TRACE(fmt::format("restart at {} s", at));
    EXPECT_EQ(tell(at, setup), expected);
  }
}

TEST(RuleRunner, ARestartAtAnyStepWithoutTheJournalGoesOnAsPrometheusWould) {
  // The condition holds from 60 s on; the rule waits 12 minutes, the grace period is 10.
  for (std::int64_t k = 1; k <= 20; ++k) {
    SCOPED_TRACE(fmt::format("restart behind the evaluation at {} s", k * 60));
    RuleLab lab(RuleLab::Setup{.options = {.restores = true}});
    lab.feed("x", 0, 60, steps(60, 1));
    lab.apply({rule_group({alerting_rule("A", "x", minutes(12))})});
    lab.run_to(k * 60 + 30);
    lab.sink.take();
    lab.restart_without_journal();
    lab.run_to(3000);
    std::int64_t fired_at = 0;
    for (const AlertBatch& batch : lab.sink.batches) {
      if (batch.at.ms < k * 60'000 + 30'000) continue;
      ASSERT_EQ(batch.alerts.size(), 1u);
      EXPECT_EQ(batch.alerts[0].state, AlertState::kFiring);
      if (fired_at == 0) fired_at = batch.alerts[0].starts_at.ms / 1000;
    }
    const std::int64_t restored_at = (k + 2) * 60;  // The second evaluation of the new process.
    if (k < 3) {
      // The series are written from the third evaluation on: it begins anew.
      EXPECT_EQ(fired_at, (k + 1) * 60 + 720);
    } else if (k == 3) {
      EXPECT_EQ(fired_at, 780 + restored_at - k * 60);  // The time it was down does not count.
    } else if (k < 13) {
      EXPECT_EQ(fired_at, restored_at + 600);  // Not sooner than the grace period.
    } else {
      EXPECT_EQ(fired_at, restored_at + 60);  // It was firing.
    }
  }
}

TEST(RuleRunner, AlertsOfRulesRemovedWhileItWasDownResolve) {
  RuleLab lab(RuleLab::Setup{.has_journal = true});
  lab.feed("x", 0, 60, steps(40, 1));
  lab.apply({rule_group({alerting_rule("A", "x")})});
  lab.run_to(60);
  lab.sink.take();
  lab.restart(60);
  lab.apply({});
  lab.run_to(600);
  const Lines told = lab.sink.take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].starts_with("resolved A since 60 over")) << told[0];
}

}  // namespace
}  // namespace tarsier::alerting
