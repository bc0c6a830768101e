#include "alerting/slo.h"

#include <gtest/gtest.h>

#include "alerting/sli_terms.h"
#include "base/duration.h"

namespace tarsier::alerting {
namespace {

SloDefinition availability(double objective = 99.9) {
  SloDefinition slo;
  slo.name = "availability";
  slo.service = "shop";
  slo.objective_percent = objective;
  slo.sli = {.kind = SliDefinition::Kind::kErrors,
             .errors = R"(http_requests_total{code=~"5.."})",
             .total = "http_requests_total"};
  return slo;
}

std::shared_ptr<const Slo> compiled(SloDefinition definition) {
  auto slo = Slo::compile(std::move(definition));
  EXPECT_TRUE(slo.ok()) << slo.status().message();
  return *slo;
}

// The table of the Site Reliability Workbook for 30 days, and of other periods.
TEST(SloMath, FactorsAreTheTableOfTheWorkbook) {
  struct Row {
    Duration period;
    double factors[4];
  };
  for (const Row& row : {Row{days(28), {13.44, 5.6, 2.8, 14.0 / 15}},
                         Row{days(30), {14.4, 6, 3, 1}}, Row{days(90), {43.2, 18, 9, 3}}}) {
    const std::vector<BurnTier> tiers = default_tiers(row.period);
    ASSERT_EQ(tiers.size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(tiers[i].factor, row.factors[i]);
  }
  const std::vector<BurnTier> month = default_tiers(days(30));
  EXPECT_EQ(month[0].factor, 14.4);
  EXPECT_EQ(month[0].long_window, hours(1));
  EXPECT_EQ(month[0].short_window, minutes(5));
  EXPECT_EQ(month[3].severity, Severity::kTicket);
  EXPECT_EQ(month[3].short_window, hours(6));
  EXPECT_DOUBLE_EQ(burn_factor(2, days(7), hours(1)), 3.36);
  EXPECT_DOUBLE_EQ(burn_factor(10, days(7), days(3)), 0.7 / 3);
}

TEST(SloMath, ShortPeriodsSpendLargerShares) {
  const std::vector<BurnTier> week = default_tiers(days(7));
  ASSERT_EQ(week.size(), 4u);
  EXPECT_DOUBLE_EQ(week[0].factor, 13.44);
  EXPECT_DOUBLE_EQ(week[1].factor, 3.5);
  EXPECT_DOUBLE_EQ(week[2].factor, 1.4);
  EXPECT_DOUBLE_EQ(week[3].factor, 0.98);
  EXPECT_EQ(default_tiers(days(2)).size(), 3u);  // Three days are longer than two.
}

TEST(SloMath, ScaledTiersArePyrras) {
  const auto text = [](const BurnTier& t) {
    return format_duration(t.long_window) + "/" + format_duration(t.short_window) + " for " +
           format_duration(t.hold);
  };
  const std::vector<BurnTier> four_weeks = scaled_tiers(days(28));
  EXPECT_EQ(text(four_weeks[0]), "1h/5m for 2m");
  EXPECT_EQ(text(four_weeks[1]), "6h/30m for 15m");
  EXPECT_EQ(text(four_weeks[2]), "1d/2h for 1h");
  EXPECT_EQ(text(four_weeks[3]), "4d/6h for 3h");
  const std::vector<BurnTier> week = scaled_tiers(days(7));
  EXPECT_EQ(text(week[0]).substr(0, 6), "15m/1m");
  EXPECT_EQ(text(week[1]).substr(0, 8), "1h30m/8m");
  EXPECT_EQ(text(week[2]).substr(0, 6), "6h/30m");
  EXPECT_EQ(text(week[3]).substr(0, 8), "1d/1h30m");
}

// Objective 99.9 %, 30 days: how long each tier takes at each share of errors.
TEST(SloMath, DetectionAndResetAreTheTableOfTheReference) {
  const std::vector<BurnTier> tiers = default_tiers(days(30));
  const double budget = 0.001;
  const double errors[] = {1, 0.5, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002};
  // Seconds; 0 is never.
  const std::int64_t expected[4][8] = {{52, 104, 518, 1037, 2592, 0, 0, 0},
                                       {130, 259, 1296, 2592, 6480, 12960, 0, 0},
                                       {259, 518, 2592, 5184, 12960, 25920, 51840, 0},
                                       {259, 518, 2592, 5184, 12960, 25920, 51840, 129600}};
  for (std::size_t tier = 0; tier < 4; ++tier) {
    for (std::size_t e = 0; e < 8; ++e) {
      SCOPED_TRACE(testing::Message() << "tier " << tier << " errors " << errors[e]);
      const std::optional<Duration> time = detection_time(tiers[tier], budget, errors[e]);
      if (expected[tier][e] == 0) {
        EXPECT_FALSE(time.has_value());
      } else {
        ASSERT_TRUE(time.has_value());
        EXPECT_EQ((time->ms + 500) / 1000, expected[tier][e]);
      }
    }
  }
  const std::int64_t resets[] = {296, 1789, 7178, 21578};
  for (std::size_t tier = 0; tier < 4; ++tier) {
    EXPECT_EQ((reset_time(tiers[tier], budget, 1)->ms + 500) / 1000, resets[tier]);
  }
}

TEST(SloMath, FirstPagesOfAFullOutage) {
  const BurnTier page = default_tiers(days(30))[0];
  EXPECT_EQ(detection_time(page, 0.01, 1), seconds(518) + milliseconds(400));
  EXPECT_EQ(detection_time(page, 0.005, 1), seconds(259) + milliseconds(200));
  EXPECT_EQ(detection_time(page, 0.0005, 1), seconds(25) + milliseconds(920));
  EXPECT_EQ(detection_time(page, 0.0001, 1), seconds(5) + milliseconds(184));
}

TEST(SloMath, LowestObjectivesOfTheFactors) {
  EXPECT_NEAR(100 * lowest_objective(14.4), 93.06, 0.005);
  EXPECT_NEAR(100 * lowest_objective(6), 83.33, 0.005);
  EXPECT_NEAR(100 * lowest_objective(3), 66.67, 0.005);
}

TEST(SloMath, SamplesMayBeMissingAsLongAsAFullOutageGoesUnnoticed) {
  // Pyrra's example: 99 % over 28 days, 8.4 and 2 minutes.
  EXPECT_EQ(no_data_wait(scaled_tiers(days(28)), 0.01, minutes(0)), minutes(11));
  EXPECT_EQ(no_data_wait(default_tiers(days(30)), 0.001, minutes(5)), minutes(5));
}

TEST(SloMath, WilsonsBoundNeedsMoreThanOneError) {
  EXPECT_LT(wilson_lower_bound(1, 50), 0.0144);
  EXPECT_GT(wilson_lower_bound(10, 50), 0.0144);
  EXPECT_EQ(wilson_lower_bound(0, 100), 0);
  EXPECT_NEAR(wilson_lower_bound(50, 100), 0.4038, 0.0001);
}

TEST(SloMath, BudgetsLastAsLongAsTheyBurn) {
  EXPECT_EQ(time_to_exhaustion(1, 1, days(30)), days(30));
  EXPECT_EQ(time_to_exhaustion(14.4, 0.5, days(30)), minutes(1500));
  EXPECT_EQ(time_to_exhaustion(5, -0.2, days(30)), Duration{0});
  EXPECT_FALSE(time_to_exhaustion(0, 0.5, days(30)).has_value());
}

TEST(SloMath, CalendarPeriodsBeginAtLocalMidnight) {
  const Timestamp t{1'792'848'600'000};  // 2026-10-24T10:10:00Z, a Saturday.
  const auto start = [&](CalendarUnit unit) { return period_start({.unit = unit}, t).ms / 1000; };
  EXPECT_EQ(start(CalendarUnit::kWeek), 1'792'368'000);     // Monday 2026-10-19.
  EXPECT_EQ(start(CalendarUnit::kMonth), 1'790'812'800);    // 2026-10-01.
  EXPECT_EQ(start(CalendarUnit::kQuarter), 1'790'812'800);  // 2026-10-01.
  EXPECT_EQ(start(CalendarUnit::kYear), 1'767'225'600);     // 2026-01-01.
  EXPECT_EQ(period_start({.length = days(7)}, t), t - days(7));
}

TEST(Slo, KnowsItsWindowsAndTiers) {
  const auto slo = compiled(availability());
  EXPECT_EQ(slo->id(), "shop-availability");
  EXPECT_EQ(slo->windows(), (std::vector<Duration>{minutes(5), minutes(30), hours(1), hours(2),
                                                   hours(6), days(1), days(3)}));
  EXPECT_EQ(slo->tiers().size(), 4u);
  EXPECT_TRUE(slo->warnings().empty());
  EXPECT_EQ(slo->budget(), 0.0009999999999999432);  // Sloth's operation order.
  EXPECT_EQ(slo->terms().size(), 2u);
}

TEST(Slo, WarnsOfTiersThatCannotFire) {
  const auto slo = compiled(availability(90));
  ASSERT_EQ(slo->warnings().size(), 1u);
  EXPECT_NE(slo->warnings()[0].find("page tier 1h/5m can never fire"), std::string::npos);
  EXPECT_NE(slo->warnings()[0].find("93.06 %"), std::string::npos);
}

TEST(Slo, SaysWhatIsWrongAndWhere) {
  SloDefinition slo = availability(0);
  slo.name = "-bad";
  slo.sli.errors = "rate(x[5m])";
  slo.alerts.tiers = {{.long_window = minutes(5), .short_window = hours(1), .factor = 2}};
  const std::vector<SloProblem> problems = Slo::check(slo);
  ASSERT_EQ(problems.size(), 4u);
  EXPECT_EQ(problems[0].field, "name");
  EXPECT_EQ(problems[1].field, "objective");
  EXPECT_EQ(problems[2].field, "sli.errors");
  EXPECT_EQ(problems[3].field, "alerts.tiers");
  slo = availability();
  slo.sli = {.kind = SliDefinition::Kind::kRatio, .ratio = "rate(x[5m])"};
  EXPECT_NE(Slo::check(slo).at(0).text.find("$window"), std::string::npos);
}

TEST(Slo, IdsAreUniqueOverAllFiles) {
  const auto a = compiled(availability());
  SloDefinition other = availability();
  other.file = "b.yml";
  EXPECT_FALSE(check_unique({a, compiled(other)}).ok());
  other.service = "";
  EXPECT_TRUE(check_unique({a, compiled(other)}).ok());
}

TEST(SliTerms, SlothsQueriesAreSumsOfCounters) {
  const auto terms = terms_of_query(
      R"((sum by (cluster) (rate(x_count{job="a"}[$window])) - sum by(cluster)(rate(x_bucket{le="0.3"}[$window]))) or vector(0))");
  ASSERT_TRUE(terms.ok());
  ASSERT_TRUE(terms->has_value());
  EXPECT_EQ((*terms)->grouping, std::vector<std::string>{"cluster"});
  ASSERT_EQ((*terms)->terms.size(), 2u);
  EXPECT_EQ((*terms)->terms[0].total_weight, 1);
  EXPECT_EQ((*terms)->terms[1].total_weight, -1);
  EXPECT_EQ((*terms)->terms[1].measure, SliMeasure::kCounter);
}

TEST(SliTerms, OtherShapesAreForTheEngine) {
  for (const char* query :
       {"sum(rate(x[$window])) / 2", "max(rate(x[$window]))", "rate(x[$window])",
        "sum(rate(x[$window] offset 5m))", "sum(rate(x[5m]) * rate(x[$window]))",
        "sum(rate(x[$window])) + sum(increase(x[$window]))"}) {
    const auto terms = terms_of_query(query);
    ASSERT_TRUE(terms.ok()) << query;
    EXPECT_FALSE(terms->has_value()) << query;
  }
  EXPECT_FALSE(terms_of_query("sum(rate(x[$window]").ok());
}

TEST(SliTerms, BucketsAreFoundHoweverTheirBoundIsWritten) {
  const auto one = bucket_matcher(1);
  ASSERT_TRUE(one.ok());
  EXPECT_TRUE(one->matches("1"));
  EXPECT_TRUE(one->matches("1.0"));
  EXPECT_FALSE(one->matches("10"));
  EXPECT_TRUE(bucket_matcher(0.3)->matches("0.3"));
}

TEST(SliTerms, QueriesAreWhatAnEngineWouldBeAsked) {
  SloDefinition slo = availability();
  slo.group_by = {"cluster"};
  EXPECT_EQ(compiled(slo)->ratio_query(minutes(5)),
            "(sum by (cluster) (increase(http_requests_total{code=~\"5..\"}[5m])) or 0 * sum by "
            "(cluster) (increase(http_requests_total[5m]))) / sum by (cluster) "
            "(increase(http_requests_total[5m]))");
  slo.sli = {.kind = SliDefinition::Kind::kLatency, .histogram = R"(d{job="a"})", .bound = 0.3};
  slo.group_by = {};
  // Classic or native, whichever there is.
  EXPECT_EQ(compiled(slo)->total_query(hours(1)),
            "(sum (increase(d_count{job=\"a\"}[1h])) or "
            "histogram_count(sum (increase(d{job=\"a\"}[1h]))))");
  EXPECT_NE(compiled(slo)->bad_query(hours(1)).find("d_bucket{job=\"a\",le=\"0.3\"}[1h]"),
            std::string::npos);
  slo.sli.is_native = true;
  EXPECT_EQ(compiled(slo)->total_query(hours(1)),
            "histogram_count(sum (increase(d{job=\"a\"}[1h])))");
}

// Exporters write whole bounds as `1` or as `1.0`; the file may say either.
TEST(SliTerms, WholeBoundsOfBucketsAreFoundHoweverTheyAreWritten) {
  SloDefinition slo = availability();
  slo.sli = {.kind = SliDefinition::Kind::kBuckets,
             .good = R"(d_bucket{job="a",le="1"})",
             .total = "d_count"};
  const auto one = compiled(slo);
  const std::vector<tsdb::Matcher>& matchers = one->terms().at(1).matchers;
  const tsdb::Matcher& bound = *std::find_if(
      matchers.begin(), matchers.end(), [](const tsdb::Matcher& m) { return m.name() == "le"; });
  EXPECT_TRUE(bound.matches("1") && bound.matches("1.0") && !bound.matches("10"));
  EXPECT_NE(one->bad_query(minutes(5)).find(R"(le=~"1|1\\.0")"), std::string::npos)
      << one->bad_query(minutes(5));
  slo.sli.good = R"(d_bucket{le="0.5"})";
  EXPECT_NE(compiled(slo)->bad_query(minutes(5)).find(R"(d_bucket{le="0.5"}[5m])"),
            std::string::npos);
}

}  // namespace
}  // namespace tarsier::alerting
