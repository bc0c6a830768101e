#include "alerting/slo_runner.h"

#include <cstdlib>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alerting/backtest.h"
#include "tests/alerting/slo_lab.h"

namespace tarsier::testing {
namespace {

using alerting::AlertState;
using alerting::SloState;

constexpr std::int64_t kBegin = SloLab::kBegin;
constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = 3600;

/// `page firing 8m30s`, by the moment a receiver first heard of it, since `from_s`.
std::vector<std::string> told(const CapturingSink& sink, std::int64_t from_s) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const alerting::AlertBatch& batch : sink.batches) {
    for (const alerting::Alert& alert : batch.alerts) {
      const bool is_over = alert.state == AlertState::kInactive;
      const std::int64_t at_s = (is_over ? alert.ends_at : alert.starts_at).ms / 1000 - from_s;
      std::string text = fmt::format(
          "{} {} {} at {}", alert.labels.get("alertname"), alert.labels.get("severity"),
          is_over ? alerting::resolve_reason_text(alert.resolve_reason) : "firing", at_s);
      if (seen.insert(text).second) out.push_back(std::move(text));
    }
  }
  return out;
}

/// Errors of a share from one moment to another.
auto faulty(double share, std::int64_t from_s, std::int64_t to_s) {
  return [=](std::int64_t t_s) {
    return SloLab::Traffic{.total = 1000, .bad = t_s > from_s && t_s <= to_s ? 1000 * share : 0};
  };
}

TEST(SloRunner, PagesWithinTheDetectionTimeAndIsOverSoonAfter) {
  SloLab lab;
  const std::int64_t fault = kBegin + 2 * kHour;
  lab.traffic = faulty(0.1, fault, fault + 20 * kMinute);
  lab.apply({availability_slo()});
  lab.run_to(fault + kHour);
  const std::vector<std::string> heard = told(lab.sink, fault);
  // 8m38s by the table, and the reset 4m17s after the end of the fault; to the next step.
  ASSERT_EQ(heard.size(), 2u) << ::testing::PrintToString(heard);
  EXPECT_EQ(heard[0], "SLOErrorBudgetBurn page firing at 525");
  EXPECT_EQ(heard[1],
            fmt::format("SLOErrorBudgetBurn page condition over at {}", 20 * kMinute + 270));
  const alerting::Alert& page = lab.sink.batches.at(0).alerts.at(0);
  std::map<std::string, std::string> notes(page.annotations.begin(), page.annotations.end());
  EXPECT_EQ(notes["tier"], "1h/5m");
  EXPECT_NE(
      notes["cause"].find("page: errors are 1.46 % over 1h and 10 % over 5m, both above 1.44 % "
                          "(14.4 times the budget of 0.1 %)"),
      std::string::npos)
      << notes["cause"];
  EXPECT_EQ(notes["total_events"], "2.4e+05");
}

TEST(SloRunner, ATierThatIsNotCoveredIsUnknownNotSilent) {
  SloLab lab;
  lab.traffic = faulty(1, kBegin, kBegin + 10 * kHour);
  lab.apply({availability_slo()});
  lab.run_to(kBegin + 30 * kMinute);
  EXPECT_TRUE(lab.sink.batches.empty());
  const auto status = lab.runner().find("availability");
  ASSERT_EQ(status->groups.size(), 1u);
  EXPECT_EQ(status->groups[0].tiers[0].status, alerting::TierStatus::kUnknown);
  EXPECT_EQ(status->groups[0].verdicts.state, SloState::kUnknown);
  EXPECT_NEAR(status->groups[0].reading.windows[2].coverage, 0.5, 0.01);
  lab.run_to(kBegin + 61 * kMinute);
  EXPECT_FALSE(lab.sink.batches.empty());
}

TEST(SloRunner, HistoryThatIsThereCounts) {
  SloLab lab;
  lab.traffic = faulty(0.1, kBegin + 40 * kMinute, kBegin + 200 * kMinute);
  lab.scrape_to(kBegin + 100 * kMinute);  // Nobody has heard of an objective yet.
  lab.apply({availability_slo()});
  lab.run_to(lab.now_s + 15);
  const std::vector<std::string> heard = told(lab.sink, kBegin);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0], fmt::format("SLOErrorBudgetBurn page firing at {}", 100 * kMinute + 15));
}

TEST(SloRunner, APageKeepsItsTicketQuiet) {
  SloLab lab;
  const std::int64_t fault = kBegin + 26 * kHour;
  lab.traffic = faulty(0.5, fault, fault + kHour);
  lab.scrape_to(fault - 15);
  lab.apply({availability_slo()});
  lab.run_to(fault + 3 * kHour);
  const std::vector<std::string> heard = told(lab.sink, fault);
  ASSERT_GE(heard.size(), 3u) << ::testing::PrintToString(heard);
  EXPECT_NE(heard[0].find("page firing"), std::string::npos);
  // The page is over while the ticket's windows still burn: now somebody hears of it.
  EXPECT_NE(heard[1].find("page condition over"), std::string::npos);
  EXPECT_NE(heard[2].find("ticket firing"), std::string::npos);
  std::set<std::int64_t> tickets;
  for (const alerting::AlertBatch& batch : lab.sink.batches) {
    for (const alerting::Alert& alert : batch.alerts) {
      if (alert.labels.get("severity") == "ticket") tickets.insert(batch.at.ms / 1000 - fault);
    }
  }
  EXPECT_GT(*tickets.begin(), kHour);
}

TEST(SloRunner, DataThatStopsIsNotARecovery) {
  SloLab lab;
  const std::int64_t fault = kBegin + 2 * kHour;
  const std::int64_t lost = fault + 20 * kMinute;
  lab.traffic = [&](std::int64_t t_s) {
    SloLab::Traffic out = faulty(0.5, fault, lost + 10 * kHour)(t_s);
    out.is_scraped = t_s <= lost;
    return out;
  };
  lab.apply({availability_slo()});
  lab.run_to(lost + 30 * kMinute);
  const auto status = lab.runner().find("availability");
  EXPECT_EQ(status->groups[0].verdicts.state, SloState::kNoData);
  EXPECT_TRUE(status->groups[0].verdicts.of(alerting::Severity::kPage).is_held);
  std::vector<std::string> heard = told(lab.sink, lost);
  ASSERT_EQ(heard.size(), 2u) << ::testing::PrintToString(heard);
  EXPECT_EQ(heard[1], "SLONoData ticket firing at 315");
  lab.run_to(lost + 2 * kHour);
  heard = told(lab.sink, lost);
  ASSERT_EQ(heard.size(), 3u) << ::testing::PrintToString(heard);
  EXPECT_EQ(heard[2], "SLOErrorBudgetBurn page data stopped at 3600");
}

TEST(SloRunner, AMetricThatIsNotThereIsToldOf) {
  SloLab lab;
  alerting::SloDefinition slo = availability_slo();
  slo.sli.errors = "request{code=\"500\"}";  // A typing error.
  slo.sli.total = "request";
  slo.group_by = {"zone"};
  lab.apply({slo});
  lab.run_to(kBegin + kMinute);
  auto status = lab.runner().find("availability");
  ASSERT_EQ(status->groups.size(), 1u);
  EXPECT_EQ(status->groups[0].verdicts.state, SloState::kNoData);
  EXPECT_EQ(alerting::gravest_state(*status), SloState::kNoData);
  // Nothing is written yet: history may be about to come, and must not be too old.
  EXPECT_TRUE(lab.ask("tarsier_slo_state", lab.now_s).empty());
  EXPECT_TRUE(lab.sink.batches.empty());
  lab.run_to(kBegin + 10 * kMinute);
  EXPECT_EQ(lab.ask("tarsier_slo_state", lab.now_s),
            std::vector<std::string>{"tarsier_slo_state{slo=\"availability\"} 3"});
  std::vector<std::string> heard = told(lab.sink, kBegin);
  ASSERT_EQ(heard.size(), 1u) << ::testing::PrintToString(heard);
  EXPECT_EQ(heard[0], "SLONoData ticket firing at 330");
  EXPECT_NE(lab.sink.batches[0].alerts[0].annotations[0].second.find("request has no sample"),
            std::string::npos);
  // A restart goes on with it.
  lab.restart();
  lab.run_to(lab.now_s + 5 * kMinute);
  heard = told(lab.sink, kBegin);
  EXPECT_EQ(heard.size(), 1u) << ::testing::PrintToString(heard);
  // Once there are samples, it is over, and the series without a group ends.
  slo.sli.errors = "requests{code=\"500\"}";
  slo.sli.total = "requests";
  lab.apply({slo});
  lab.run_to(lab.now_s + 5 * kMinute);
  heard = told(lab.sink, kBegin);
  ASSERT_EQ(heard.size(), 2u) << ::testing::PrintToString(heard);
  EXPECT_NE(heard[1].find("condition over"), std::string::npos);
  status = lab.runner().find("availability");
  ASSERT_EQ(status->groups.size(), 1u);
  EXPECT_NE(status->groups[0].verdicts.state, SloState::kNoData);
}

TEST(SloRunner, QueriesThatGiveNothingAreNoData) {
  SloLab lab;
  alerting::SloDefinition slo = availability_slo();
  slo.counting = alerting::SloCounting::kPromql;
  slo.sli.total = "request";
  slo.sli.errors = "request{code=\"500\"}";
  lab.apply({slo});
  lab.run_to(kBegin + 10 * kMinute);
  EXPECT_EQ(lab.runner().find("availability")->groups.at(0).verdicts.state, SloState::kNoData);
  EXPECT_EQ(told(lab.sink, kBegin).size(), 1u);
}

TEST(SloRunner, SamplesWithoutEventsAreNoTraffic) {
  for (const auto counting : {alerting::SloCounting::kEvents, alerting::SloCounting::kPromql}) {
    SloLab lab;
    lab.traffic = [](std::int64_t) { return SloLab::Traffic{.total = 0}; };
    alerting::SloDefinition slo = availability_slo();
    slo.counting = counting;
    lab.apply({slo});
    lab.run_to(kBegin + 20 * kMinute);
    EXPECT_EQ(lab.runner().find("availability")->groups.at(0).verdicts.state, SloState::kNoTraffic);
    EXPECT_TRUE(told(lab.sink, kBegin).empty());
  }
}

TEST(SloRunner, AlertsAreSeriesLikeThoseOfRules) {
  SloLab lab;
  const std::int64_t fault = kBegin + 2 * kHour;
  lab.traffic = faulty(0.1, fault, fault + 20 * kMinute);
  alerting::SloDefinition slo = availability_slo();
  slo.service = "shop";
  lab.apply({slo});
  lab.run_to(fault + 10 * kMinute);
  const std::string labels =
      "alertname=\"SLOErrorBudgetBurn\", {}service=\"shop\", severity=\"page\", "
      "slo=\"shop-availability\"";
  const auto with = [&](std::string_view state) {
    return fmt::format(fmt::runtime(labels), state);
  };
  EXPECT_EQ(lab.ask("ALERTS", lab.now_s), std::vector<std::string>{fmt::format(
                                              "ALERTS{{{}}} 1", with("alertstate=\"firing\", "))});
  EXPECT_EQ(
      lab.ask("ALERTS_FOR_STATE", lab.now_s),
      std::vector<std::string>{fmt::format("ALERTS_FOR_STATE{{{}}} {}", with(""), fault + 525)});
  EXPECT_EQ(lab.runner().burning_services(),
            (std::vector<std::pair<std::string, alerting::Severity>>{
                {"shop", alerting::Severity::kPage}}));
  lab.restart();
  lab.run_to(fault + 40 * kMinute);  // Over by now.
  EXPECT_TRUE(lab.ask("ALERTS", lab.now_s).empty());
  EXPECT_TRUE(lab.ask("ALERTS_FOR_STATE", lab.now_s).empty());
  EXPECT_TRUE(lab.runner().burning_services().empty());
}

TEST(SloRunner, AnObjectiveThatIsRemovedResolvesItsAlerts) {
  SloLab lab;
  const std::int64_t fault = kBegin + 2 * kHour;
  lab.traffic = faulty(0.5, fault, fault + 10 * kHour);
  lab.apply({availability_slo()});
  lab.run_to(fault + 10 * kMinute);
  lab.apply({availability_slo("another")});
  const std::vector<std::string> heard = told(lab.sink, fault);
  EXPECT_EQ(heard.back(), "SLOErrorBudgetBurn page rule removed at 600");
}

TEST(SloRunner, WritesWhatItKnowsAsSeries) {
  SloLab lab;
  alerting::SloDefinition sloth = availability_slo("sloth");
  sloth.service = "shop";
  sloth.format = alerting::SloFormat::kSloth;
  sloth.labels = {{"team", "a"}};
  lab.traffic = faulty(0.01, kBegin + kHour, kBegin + 3 * kHour);
  lab.apply({availability_slo(), sloth});
  lab.run_to(kBegin + 2 * kHour + 30);  // A whole minute.
  const auto ask = [&](const std::string& query) { return lab.ask(query, lab.now_s); };
  EXPECT_EQ(ask("tarsier_slo_error_ratio{slo=\"availability\",window=\"5m\"}"),
            std::vector<std::string>{
                "tarsier_slo_error_ratio{slo=\"availability\", window=\"5m\"} 0.01"});
  EXPECT_EQ(ask("slo:sli_error:ratio_rate1h"),
            std::vector<std::string>{
                "slo:sli_error:ratio_rate1h{sloth_id=\"shop-sloth\", sloth_service=\"shop\", "
                "sloth_slo=\"sloth\", sloth_window=\"1h\", team=\"a\"} 0.01"});
  EXPECT_EQ(ask("tarsier_slo_bad_events_total{slo=\"availability\"}"),
            std::vector<std::string>{"tarsier_slo_bad_events_total{slo=\"availability\"} 2420"});
  EXPECT_EQ(ask("count({__name__=~\"tarsier_slo_.*\",slo=\"availability\"})").size(), 1u);
}

// The queries of an objective and its counts differ at the edges of windows alone.
TEST(SloRunner, PromqlObjectivesAreWhatTheEngineSays) {
  SloLab lab;
  alerting::SloDefinition slo = availability_slo();
  slo.counting = alerting::SloCounting::kPromql;
  lab.traffic = faulty(0.1, kBegin + 70 * kMinute, kBegin + 3 * kHour);
  lab.apply({slo});
  lab.run_to(kBegin + 80 * kMinute);
  const auto status = lab.runner().find("availability");
  ASSERT_EQ(status->groups.size(), 1u);
  auto compiled = alerting::Slo::compile(slo);
  const std::vector<std::string> direct = lab.ask((*compiled)->ratio_query(hours(1)), lab.now_s);
  EXPECT_EQ(direct, std::vector<std::string>{
                        fmt::format("{{}} {}", status->groups[0].reading.windows[2].ratio)});
  EXPECT_EQ(told(lab.sink, kBegin + 70 * kMinute).size(), 1u);
}

// A process that ends at any moment: receivers hear the same.
TEST(SloRunner, KilledAtAnyStepTellsTheSame) {
  const std::int64_t fault = kBegin + 70 * kMinute;
  const auto traffic = [&](std::int64_t t_s) {
    // Two faults and a loss of data.
    SloLab::Traffic out = faulty(0.2, fault, fault + 10 * kMinute)(t_s);
    if (t_s > fault + 30 * kMinute && t_s <= fault + 40 * kMinute) out.bad = 300;
    return out;
  };
  const auto run = [&](std::int64_t kill_every_s, std::int64_t phase_s) {
    SloLab lab;
    lab.traffic = traffic;
    lab.apply({availability_slo()});
    lab.run_to(fault);
    for (std::int64_t t = fault; t < fault + kHour; t += 15) {
      lab.run_to(t + 15);
      if (kill_every_s > 0 && (t - fault) % kill_every_s == phase_s) lab.restart();
    }
    return told(lab.sink, fault);
  };
  const std::vector<std::string> expected = run(0, 0);
  ASSERT_EQ(expected.size(), 4u) << ::testing::PrintToString(expected);
  EXPECT_EQ(run(15, 0), expected);  // At every step.
  EXPECT_EQ(run(195, 60), expected);
}

// The power goes in the middle of any write, torn ones among them: receivers hear the same, each
// thing once.
TEST(SloRunner, APowerCutAtAnyWriteTellsTheSame) {
  const std::int64_t fault = kBegin + 70 * kMinute;
  const auto traffic = [&](std::int64_t t_s) {
    SloLab::Traffic out = faulty(0.2, fault, fault + 6 * kMinute)(t_s);
    if (t_s > fault + 20 * kMinute && t_s <= fault + 24 * kMinute) out.bad = 400;
    return out;
  };
  std::uint64_t writes = 0;
  const auto run = [&](std::uint64_t cut, std::uint64_t seed) {
    SloLab lab;
    lab.traffic = traffic;
    lab.scrape_to(fault - kMinute);
    lab.apply({availability_slo()});
    const std::uint64_t before = lab.write_count();
    lab.cut_power_in(cut);
    while (lab.now_s < fault + 40 * kMinute) {
      lab.run_to(lab.now_s + 15);
      if (!lab.power_is_cut()) continue;
      lab.restart(seed);
      lab.evaluate();  // The machine is back before the step is over.
    }
    if (cut == 0) writes = lab.write_count() - before;
    std::vector<std::string> out = told(lab.sink, fault);
    std::sort(out.begin(), out.end());
    return out;
  };
  const std::vector<std::string> expected = run(0, 0);
  ASSERT_EQ(expected.size(), 4u) << ::testing::PrintToString(expected);
  const char* const wanted = std::getenv("TARSIER_POWER_CUTS");
  const std::uint64_t count = wanted == nullptr ? 12 : std::strtoull(wanted, nullptr, 10);
  std::mt19937_64 random(3);
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    const std::uint64_t cut = count >= writes ? 1 + seed % writes : 1 + random() % writes;
    SCOPED_TRACE(::testing::Message() << "power cut at write " << cut << ", seed " << seed);
    ASSERT_EQ(run(cut, seed), expected);
  }
  fmt::print("{} power cuts in {} writes\n", count, writes);
}

/// What a receiver heard, and what a backtest of the same time says.
struct BothTellings {
  std::vector<std::string> live;
  std::vector<std::string> replayed;
  alerting::BacktestResult result;
};
BothTellings tell_both(SloLab& lab, const alerting::SloDefinition& definition, std::int64_t from_s,
                       std::int64_t begin_s = kBegin) {
  BothTellings out{.live = told(lab.sink, from_s), .replayed = {}, .result = {}};
  auto slo = alerting::Slo::compile(definition);
  auto result = alerting::backtest_slo(lab.db(), lab.engine(), **slo, {}, {begin_s * 1000},
                                       {lab.now_s * 1000}, nullptr);
  EXPECT_TRUE(result.ok()) << result.status().message();
  out.result = std::move(*result);
  for (const alerting::BacktestAlert& alert : out.result.alerts) {
    const auto text = [&](std::string_view what, Timestamp at) {
      return fmt::format("{} {} {} at {}", alert.labels.get("alertname"),
                         alert.labels.get("severity"), what, at.ms / 1000 - from_s);
    };
    out.replayed.push_back(text("firing", alert.fired_at));
    if (alert.ended_at) {
      out.replayed.push_back(text(alerting::resolve_reason_text(alert.reason), *alert.ended_at));
    }
  }
  std::sort(out.live.begin(), out.live.end());
  std::sort(out.replayed.begin(), out.replayed.end());
  return out;
}

// What a backtest says is what happened.
TEST(SloRunner, BacktestsFindTheSamePagesAtTheSameTimes) {
  SloLab lab;
  const std::int64_t fault = kBegin + 2 * kHour;
  lab.traffic = [&](std::int64_t t_s) {
    SloLab::Traffic out = faulty(0.05, fault, fault + 40 * kMinute)(t_s);
    if (t_s > fault + 90 * kMinute && t_s <= fault + 95 * kMinute) out.bad = 900;
    if (t_s > fault + 150 * kMinute) out.is_scraped = false;
    return out;
  };
  lab.apply({availability_slo()});
  lab.run_to(fault + 4 * kHour);
  const BothTellings both = tell_both(lab, availability_slo(), fault);
  EXPECT_EQ(both.replayed, both.live);
  EXPECT_GE(both.live.size(), 5u);
  ASSERT_EQ(both.result.budgets.size(), 1u);
  EXPECT_GT(both.result.budgets[0].consumed, 1);
}

TEST(SloRunner, BacktestsOfPromqlObjectivesKnowCoverageAndGuards) {
  for (const std::uint64_t min_bad_events : {0u, 20'000u}) {
    SloLab lab;
    const std::int64_t fault = kBegin + 40 * kMinute;
    lab.traffic = faulty(0.2, fault, fault + 70 * kMinute);
    alerting::SloDefinition slo = availability_slo();
    slo.counting = alerting::SloCounting::kPromql;
    slo.alerts.page.guards.min_bad_events = min_bad_events;
    lab.apply({slo});
    lab.run_to(fault + 100 * kMinute);
    const BothTellings both = tell_both(lab, slo, fault);
    EXPECT_EQ(both.replayed, both.live);
    ASSERT_GE(both.live.size(), 1u);
  }
}

// Queries that only the engine can compute are asked at the same moments, live and afterwards.
TEST(SloRunner, BacktestsOfQueriesAreWhatHappened) {
  for (const alerting::CalendarUnit unit :
       {alerting::CalendarUnit::kNone, alerting::CalendarUnit::kMonth}) {
    SCOPED_TRACE(static_cast<int>(unit));
    SloLab lab;
    const std::int64_t fault = kBegin + 100 * kMinute;
    lab.traffic = [&](std::int64_t t_s) {
      SloLab::Traffic out = faulty(0.03, fault, fault + 50 * kMinute)(t_s);
      if (t_s > fault + 80 * kMinute && t_s <= fault + 84 * kMinute) out.bad = 700;
      if (t_s > fault + 130 * kMinute && t_s <= fault + 150 * kMinute) out.is_scraped = false;
      return out;
    };
    alerting::SloDefinition slo = availability_slo();
    slo.period.unit = unit;
    slo.counting = alerting::SloCounting::kPromql;
    slo.alerts.fires_uncovered = true;
    slo.sli = {.kind = alerting::SliDefinition::Kind::kRatio,
               .ratio = R"(1 - sum(rate(requests{code!="500"}[$window])) / )"
                        "sum(rate({__name__=\"requests\"}[$window]) > 0)"};
    ASSERT_EQ(alerting::program_of(**alerting::Slo::compile(slo)), nullptr);
    lab.run_to(kBegin + 30 * kMinute + 45);  // Stored before anybody evaluates.
    lab.apply({slo});
    const std::int64_t from = lab.now_s;
    lab.run_to(fault + 200 * kMinute);
    const BothTellings both = tell_both(lab, slo, from, from);
    EXPECT_EQ(both.replayed, both.live);
    EXPECT_GE(both.live.size(), 6u);
    const auto status = lab.runner().find("availability");
    ASSERT_EQ(both.result.budgets.size(), 1u);
    EXPECT_DOUBLE_EQ(
        both.result.budgets[0].consumed,
        1 - alerting::budget_remaining(*status->slo, status->groups[0].reading.period));
  }
}

TEST(SloRunner, BacktestsOfWhatIsNotThereSaySo) {
  SloLab lab;
  alerting::SloDefinition slo = availability_slo();
  slo.sli.errors = "request{code=\"500\"}";
  slo.sli.total = "request";
  lab.apply({slo});
  lab.run_to(kBegin + 20 * kMinute);
  const BothTellings both = tell_both(lab, slo, kBegin);
  EXPECT_EQ(both.replayed.size(), 1u);
  EXPECT_EQ(both.live.size(), 1u);
  EXPECT_NE(both.result.warnings.at(0).find("request has no sample"), std::string::npos);
}

}  // namespace
}  // namespace tarsier::testing
