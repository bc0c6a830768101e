// Faults of many shapes, replayed: each that must page does so in time, and nothing else pages.

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <random>

#include <gtest/gtest.h>

#include "alerting/backtest.h"
#include "alerting/slo_duplicates.h"
#include "alerting/slo_generate.h"
#include "query/engine.h"
#include "tests/support/table_storage.h"

namespace tarsier::alerting {
namespace {

constexpr StepClock kClock;
constexpr std::int64_t kStepS = 15;
/// Clean traffic before the fault: more than the longest window of a page.
constexpr std::int64_t kHistorySteps = 26 * 240;

std::shared_ptr<const Slo> paging_slo(double objective) {
  SloDefinition definition;
  definition.name = "a";
  definition.objective_percent = objective;
  definition.sli = {.kind = SliDefinition::Kind::kErrors, .errors = "bad", .total = "all"};
  definition.alerts.ticket.is_on = false;
  definition.alerts.alerts_on_no_data = false;
  return *Slo::compile(std::move(definition));
}

enum class Shape { kClean, kStep, kRamp, kBurst, kFlapping, kTrafficDrop, kTargetLoss };

struct Replay {
  Shape shape = Shape::kClean;
  double error_ratio = 0;
  std::int64_t fault_steps = 0;
  std::vector<EventCounts> events;
  std::vector<Timestamp> sample_times;
};

Replay make_replay(std::mt19937_64& random, double objective) {
  std::uniform_real_distribution<double> uniform(0, 1);
  Replay out;
  out.shape = static_cast<Shape>(random() % 7);
  const double budget = 1 - objective / 100;
  // From just below what any page tier sees to a full outage.
  out.error_ratio = std::min(1.0, budget * std::exp(std::log(3.0) + uniform(random) * 6));
  out.fault_steps = out.shape == Shape::kBurst ? 1 + static_cast<std::int64_t>(random() % 12)
                                               : 20 + static_cast<std::int64_t>(random() % 1500);
  const std::int64_t steps = kHistorySteps + out.fault_steps + 300;
  const double traffic = 20'000 + static_cast<double>(random() % 80'000);
  for (std::int64_t step = 1; step <= steps; ++step) {
    const std::int64_t n = step - kHistorySteps;  // 1 is the fault's first step.
    const bool is_fault = out.shape != Shape::kClean && n >= 1 && n <= out.fault_steps;
    double total = traffic;
    double share = 0;
    if (is_fault) {
      const double part = static_cast<double>(n) / static_cast<double>(out.fault_steps);
      switch (out.shape) {
        case Shape::kClean: break;
        case Shape::kStep:
        case Shape::kBurst: share = out.error_ratio; break;
        case Shape::kRamp: share = out.error_ratio * part; break;
        case Shape::kFlapping: share = n / 8 % 2 == 0 ? out.error_ratio : 0; break;
        case Shape::kTrafficDrop:
          total = std::floor(traffic * 0.05);
          share = out.error_ratio;
          break;
        case Shape::kTargetLoss:
          total = n > out.fault_steps / 2 ? 0 : traffic;
          share = out.error_ratio;
          break;
      }
    }
    out.events.push_back({.bad = std::round(total * share), .total = total});
    if (total > 0) out.sample_times.push_back(kClock.end_of(step));
  }
  return out;
}

/// The condition by its definition, summed anew for every window.
class Oracle {
 public:
  Oracle(const Slo& slo, const std::vector<EventCounts>& events) : slo_(slo), sums_(1) {
    for (const EventCounts& one : events) {
      EventCounts next = sums_.back();
      next += one;
      sums_.push_back(next);
    }
  }
  double ratio(std::int64_t step, Duration window) const {
    const auto end = static_cast<std::size_t>(step);
    const auto begin =
        static_cast<std::size_t>(std::max<std::int64_t>(step - window.ms / 1000 / kStepS, 0));
    const EventCounts all = sums_[end] - sums_[begin];
    return all.bad / all.total;
  }
  bool burns(std::int64_t step) const {
    for (const BurnTier& tier : slo_.tiers()) {
      const double threshold = tier.factor * slo_.budget();
      if (ratio(step, tier.long_window) > threshold && ratio(step, tier.short_window) > threshold) {
        return true;
      }
    }
    return false;
  }

 private:
  const Slo& slo_;
  std::vector<EventCounts> sums_;
};

TEST(SloReplay, NoFaultIsMissedAndNoPageIsFalse) {
  const char* const wanted = std::getenv("TARSIER_FAULT_REPLAYS");
  const std::int64_t count = wanted == nullptr ? 400 : std::atoll(wanted);
  std::int64_t missed = 0;
  std::int64_t late = 0;
  std::int64_t untrue = 0;
  std::int64_t pages = 0;
  for (std::int64_t seed = 1; seed <= count; ++seed) {
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    const double objectives[] = {99, 99.5, 99.9, 99.95};
    const double objective = objectives[random() % 4];
    const auto slo = paging_slo(objective);
    const Replay replay = make_replay(random, objective);
    BacktestBudget budget;
    const std::vector<BacktestAlert> alerts = replay_counts(
        *slo, kClock, {}, replay.events, 1, kHistorySteps - 40, 1, replay.sample_times, budget);
    pages += static_cast<std::int64_t>(alerts.size());
    const Oracle oracle(*slo, replay.events);
    std::optional<std::int64_t> first;
    const auto steps = static_cast<std::int64_t>(replay.events.size());
    for (std::int64_t step = kHistorySteps - 40; step <= steps && !first; ++step) {
      if (oracle.burns(step)) first = step;
    }
    if (replay.shape == Shape::kClean && first) ++untrue;
    if (first && (alerts.empty() || alerts[0].fired_at != kClock.end_of(*first))) ++missed;
    for (const BacktestAlert& alert : alerts) {
      if (!oracle.burns(kClock.step_of(alert.fired_at))) ++untrue;
    }
    // What the formulas promise of a steady fault.
    if (replay.shape != Shape::kStep) continue;
    // Events are whole: their share is not quite the one that was drawn.
    const EventCounts each = replay.events[static_cast<std::size_t>(kHistorySteps)];
    std::optional<Duration> promised;
    for (const BurnTier& tier : slo->tiers()) {
      const std::optional<Duration> time =
          detection_time(tier, slo->budget(), each.bad / each.total);
      if (time && (!promised || *time < *promised)) promised = time;
    }
    if (!promised || promised->ms / 1000 + 2 * kStepS > replay.fault_steps * kStepS) continue;
    const std::int64_t latest = kHistorySteps * kStepS + promised->ms / 1000 + kStepS + 2 * kStepS;
    if (alerts.empty()) {
      ++missed;
    } else if (alerts[0].fired_at.ms / 1000 > latest) {
      ++late;
    }
    if (missed + late + untrue > 0) {
      ADD_FAILURE() << "seed " << seed;
      break;
    }
  }
  std::cout << count << " replays, " << pages << " pages, missed " << missed << ", late " << late
            << ", false " << untrue << "\n";
  EXPECT_EQ(missed, 0);
  EXPECT_EQ(late, 0);
  EXPECT_EQ(untrue, 0);
  EXPECT_GT(pages, count / 4);
}

// Guards: one error among few events is no page; the same share of many is.
TEST(SloReplay, GuardsKeepQuietServicesQuiet) {
  const auto alerts_with = [](const BurnGuards& guards, double per_step, double bad) {
    SloDefinition definition = paging_slo(99.9)->definition();
    definition.alerts.page.guards = guards;
    const auto slo = *Slo::compile(definition);
    std::vector<EventCounts> events(kHistorySteps + 20, {.bad = 0, .total = per_step});
    std::vector<Timestamp> times;
    for (std::int64_t step = 1; step <= kHistorySteps + 20; ++step) {
      times.push_back(kClock.end_of(step));
    }
    for (int i = 0; i < 10; ++i) {
      events[static_cast<std::size_t>(kHistorySteps + i)].bad = i == 0 || per_step > 1 ? bad : 0;
    }
    BacktestBudget budget;
    return replay_counts(*slo, kClock, {}, events, 1, kHistorySteps - 40, 1, times, budget).size();
  };
  // One error in an hour with 60 events: above 1.44 %.
  EXPECT_EQ(alerts_with({}, 0.25, 1), 1u);
  EXPECT_EQ(alerts_with({.min_bad_events = 2}, 0.25, 1), 0u);
  EXPECT_EQ(alerts_with({.min_events = 100}, 0.25, 1), 0u);
  EXPECT_EQ(alerts_with({.needs_confidence = true}, 0.25, 1), 0u);
  // Many events: every guard lets it through.
  EXPECT_EQ(alerts_with({}, 1000, 800), 1u);
  EXPECT_EQ(
      alerts_with({.min_bad_events = 10, .min_events = 1000, .needs_confidence = true}, 1000, 800),
      1u);
}

TEST(SloReplay, ForecastsWarnOfWhatCannotHappen) {
  const std::vector<TierForecast> forecast = forecast_tiers(*paging_slo(90));
  ASSERT_EQ(forecast.size(), 2u);
  EXPECT_FALSE(forecast[0].is_reachable);
  EXPECT_FALSE(forecast[0].cases[0].detection.has_value());
  EXPECT_TRUE(forecast[1].is_reachable);
  EXPECT_NEAR(forecast[1].budget_share, 0.05, 1e-12);
}

// The rules `slo generate` writes, run by the engine, and our own queries: the same numbers.
TEST(SloGenerate, RulesOfTheEngineAreWhatTheObjectiveSays) {
  testing::TableStorage storage;
  std::mt19937_64 random(5);
  double all = 0;
  double bad = 0;
  const Timestamp begin{1'700'000'000'000};
  for (int i = 0; i < 600; ++i) {
    const Timestamp t = begin + seconds(15 * i);
    all += static_cast<double>(random() % 100);
    bad += static_cast<double>(random() % 3);
    storage.add(tsdb::Labels({{"__name__", "all"}}), t, all);
    storage.add(tsdb::Labels({{"__name__", "bad"}}), t, bad);
  }
  SloDefinition definition;
  definition.name = "a";
  definition.service = "s";
  definition.format = SloFormat::kSloth;
  definition.objective_percent = 99.9;
  definition.sli = {.kind = SliDefinition::Kind::kQueries,
                    .errors = "sum(rate(bad[$window]))",
                    .total = "sum(rate(all[$window]))"};
  const auto slo = *Slo::compile(definition);
  const std::vector<RuleGroupDefinition> groups = generate_rules(*slo);
  ASSERT_EQ(groups.size(), 3u);
  std::size_t rule_count = 0;
  for (const RuleGroupDefinition& group : groups) {
    rule_count += group.rules.size();
    auto compiled = compile_group(group, {});
    EXPECT_TRUE(compiled.ok()) << compiled.status().message();
  }
  EXPECT_EQ(rule_count, 17u);
  const query::Engine engine({}, nullptr);
  const Timestamp t = begin + seconds(15 * 590);
  const auto ask = [&](const std::string& text) {
    const auto prepared = engine.prepare({.text = text, .start = t, .end = t});
    EXPECT_TRUE(prepared.ok()) << prepared.status().message();
    const auto answer = engine.run(storage, *prepared, nullptr);
    EXPECT_EQ(answer->vector.size(), 1u);
    return answer->vector.at(0).value;
  };
  for (std::size_t i = 0; i < slo->windows().size(); ++i) {
    const RuleDefinition& rule = groups[0].rules[i];
    EXPECT_EQ(ask(rule.expression), ask(slo->ratio_query(slo->windows()[i]))) << rule.record;
  }
  const std::string& page = groups[2].rules[0].expression;
  EXPECT_NE(page.find("(14.4 * 0.0009999999999999432)"), std::string::npos) << page;
  EXPECT_NE(rule_file_text(groups).find("- alert: \"SLOErrorBudgetBurn\""), std::string::npos);
}

TEST(SloGenerate, RulesBesideTheirObjectiveAreTold) {
  for (const SloFormat format : {SloFormat::kSloth, SloFormat::kPyrra}) {
    SloDefinition definition;
    definition.name = "a";
    definition.service = format == SloFormat::kSloth ? "s" : "";
    definition.format = format;
    definition.objective_percent = 99.9;
    definition.sli = {.kind = SliDefinition::Kind::kErrors,
                      .errors = "x_total{code=\"500\"}",
                      .total = "x_total"};
    const auto slo = *Slo::compile(definition);
    std::vector<RuleGroupStatus> groups;
    for (const RuleGroupDefinition& group : generate_rules(*slo)) {
      RuleGroupStatus shown{.file = "generated.yml", .name = group.name};
      for (const RuleDefinition& rule : group.rules) {
        auto compiled = Rule::compile(rule, {}, {});
        ASSERT_TRUE(compiled.ok()) << rule.expression << compiled.status().message();
        shown.rules.push_back({.rule = *compiled});
      }
      groups.push_back(std::move(shown));
    }
    const std::vector<SloDuplicate> found = duplicates_of({slo}, groups);
    EXPECT_EQ(found.size(), 3u);
    EXPECT_EQ(found.at(0).id, slo->id());
    EXPECT_NE(found.at(0).warning.find("records its series, too"), std::string::npos);
    definition.name = "b";
    EXPECT_TRUE(duplicates_of({*Slo::compile(definition)}, groups).empty());
    definition.format = SloFormat::kOwn;
    EXPECT_TRUE(duplicates_of({*Slo::compile(definition)}, groups).empty());
  }
}

TEST(Backtest, RulesFireAsTheyWouldHave) {
  testing::TableStorage storage;
  const Timestamp begin{1'700'000'040'000};
  for (int i = 0; i < 120; ++i) {
    storage.add(tsdb::Labels({{"__name__", "up"}, {"job", "a"}}), begin + minutes(i),
                i >= 30 && i < 60 ? 0 : 1);
  }
  const auto rule =
      Rule::compile({.alert = "Down", .expression = "up == 0", .hold = minutes(5)}, {}, {});
  ASSERT_TRUE(rule.ok());
  const query::Engine engine({}, nullptr);
  const auto result =
      backtest_rule(storage, engine, **rule, minutes(1), begin, begin + minutes(119), nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_EQ(result->alerts.size(), 1u);
  EXPECT_EQ(result->alerts[0].fired_at, begin + minutes(35));
  EXPECT_EQ(result->alerts[0].ended_at, begin + minutes(60));
  EXPECT_EQ(result->alerts[0].labels.get("alertname"), "Down");
}

}  // namespace
}  // namespace tarsier::alerting
