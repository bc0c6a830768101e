// What objectives say against what others would say of the same samples: rules in the form of Sloth
// and Pyrra that an ordinary engine runs, and the same traffic told in other words.

#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alerting/backtest.h"
#include "alerting/slo_alerts.h"
#include "alerting/slo_generate.h"
#include "query/engine.h"
#include "tests/alerting/slo_lab.h"
#include "tests/support/table_storage.h"

namespace tarsier::testing {
namespace {

using alerting::Severity;
using alerting::Slo;
using alerting::SloDefinition;
using Kind = alerting::SliDefinition::Kind;
using Values = std::map<tsdb::Labels, double>;

constexpr std::int64_t kBegin = SloLab::kBegin;

std::int64_t ulps_between(double a, double b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  std::int64_t x = 0;
  std::int64_t y = 0;
  std::memcpy(&x, &a, sizeof(a));
  std::memcpy(&y, &b, sizeof(b));
  return std::abs(x - y);
}

/// Rules of an objective, run once a minute as an ordinary engine would, beside the objective.
class RulesBeside {
 public:
  explicit RulesBeside(SloDefinition definition) : slo(*Slo::compile(definition)) {
    lab.apply({std::move(definition)});
    groups = alerting::generate_rules(*slo);
  }

  Values ask(tsdb::Queryable& storage, const std::string& text) {
    const Timestamp at{lab.now_s * 1000};
    const auto prepared = lab.engine().prepare({.text = text, .start = at, .end = at});
    EXPECT_TRUE(prepared.ok()) << text << ": " << prepared.status().message();
    const auto answer = lab.engine().run(storage, *prepared, nullptr);
    EXPECT_TRUE(answer.ok()) << text << ": " << answer.status().message();
    Values out;
    if (answer->type == query::ResultType::kScalar) out[{}] = answer->scalar;
    for (const query::VectorElement& e : answer->vector) out[e.labels] = e.value;
    return out;
  }

  /// Evaluates every rule now; `check` sees each with its answer.
  template <typename Check>
  void evaluate(Check&& check) {
    for (const alerting::RuleGroupDefinition& group : groups) {
      for (const alerting::RuleDefinition& rule : group.rules) {
        // Rules about what other rules recorded see that alone; the rest see the samples.
        const bool is_of_recorded = rule.expression.find("requests") == std::string::npos ||
                                    rule.expression.find(":burnrate") != std::string::npos;
        const Values answer =
            is_of_recorded ? ask(recorded, rule.expression) : ask(lab.db(), rule.expression);
        check(rule, answer);
        if (rule.is_alerting()) continue;
        for (const auto& [labels, value] : answer) {
          tsdb::LabelsBuilder builder(labels);
          builder.set(tsdb::kMetricName, rule.record);
          for (const auto& [name, text] : rule.labels) builder.set(name, text);
          recorded.add(builder.build(), {lab.now_s * 1000}, value);
        }
      }
    }
  }

  SloLab lab;
  std::shared_ptr<const Slo> slo;
  std::vector<alerting::RuleGroupDefinition> groups;
  TableStorage recorded;
};

SloLab::Traffic random_traffic(std::mt19937_64& random, std::int64_t t_s) {
  const std::int64_t minute = (t_s - kBegin) / 60;
  const double total = static_cast<double>(200 + random() % 800);
  const bool is_fault = (minute > 70 && minute < 85) || (minute > 120 && minute < 123);
  return {.total = total,
          .bad = is_fault ? std::floor(total * 0.1) : static_cast<double>(random() % 2),
          .is_scraped = random() % 30 != 0};
}

SloDefinition with_rules(alerting::SloFormat format) {
  SloDefinition out = availability_slo("shop");
  out.format = format;
  out.counting = alerting::SloCounting::kPromql;
  out.alerts.fires_uncovered = true;  // Rules know nothing of coverage.
  return out;
}

TEST(SloEquivalence, SlothsRulesRunByAnEngineSayWhatItsSeriesSay) {
  SloDefinition definition = with_rules(alerting::SloFormat::kSloth);
  definition.service = "web";
  definition.labels = {{"team", "a"}};
  definition.sli = {.kind = Kind::kQueries,
                    .errors = R"(sum(rate(requests{code="500"}[$window])))",
                    .total = "sum(rate(requests[$window]))"};
  RulesBeside beside(definition);
  std::mt19937_64 random(11);
  beside.lab.traffic = [&](std::int64_t t_s) { return random_traffic(random, t_s); };
  std::uint64_t ratios = 0;
  std::uint64_t verdicts = 0;
  std::uint64_t pages = 0;
  std::uint64_t others = 0;
  for (std::int64_t minute = 2; minute <= 130; ++minute) {
    beside.lab.run_to((kBegin / 60 + 1 + minute) * 60);
    ASSERT_EQ(beside.lab.now_s % 60, 0);
    const auto status = beside.lab.runner().find("web-shop");
    ASSERT_EQ(status->groups.size(), 1u);
    beside.evaluate([&](const alerting::RuleDefinition& rule, const Values& answer) {
      SCOPED_TRACE(::testing::Message() << rule.name() << " at minute " << minute);
      if (rule.is_alerting()) {
        const bool is_page = std::find(rule.labels.begin(), rule.labels.end(),
                                       std::pair<std::string, std::string>(
                                           "sloth_severity", "page")) != rule.labels.end();
        const auto& verdict =
            status->groups[0].verdicts.of(is_page ? Severity::kPage : Severity::kTicket);
        EXPECT_EQ(!answer.empty(), verdict.is_active);
        ++verdicts;
        if (verdict.is_active) ++pages;
        return;
      }
      // The ratio over the period is an average of 5-minute ratios in Sloth's rules, on purpose
      // another number than ours, and so is what is computed from it.
      const bool is_of_period = rule.record.find("ratio_rate30d") != std::string::npos ||
                                rule.record.find("period_") != std::string::npos;
      if (is_of_period) {
        ++others;
        return;
      }
      const Values native = beside.ask(beside.lab.db(), rule.record);
      if (rule.expression.find("requests") != std::string::npos && answer.empty()) return;
      ASSERT_EQ(native.size(), answer.empty() ? 0u : 1u);
      if (answer.empty() || std::isnan(answer.begin()->second)) return;
      EXPECT_LE(ulps_between(native.begin()->second, answer.begin()->second), 2);
      for (const auto& [name, value] : rule.labels) {
        EXPECT_EQ(native.begin()->first.get(name), value);
      }
      ++ratios;
    });
  }
  // The documented mean.
  const Values mean = beside.ask(beside.recorded, "slo:sli_error:ratio_rate30d");
  const Values all =
      beside.ask(beside.recorded, "avg_over_time(slo:sli_error:ratio_rate5m[30d] offset 1s)");
  ASSERT_EQ(mean.size(), 1u);
  EXPECT_NEAR(mean.begin()->second, all.begin()->second, 0.01 * all.begin()->second);
  fmt::print("{} values within 2 ulp, {} verdicts equal ({} active), {} of the period left out\n",
             ratios, verdicts, pages, others);
  EXPECT_GT(ratios, 1'500u);
  EXPECT_GT(pages, 20u);
}

TEST(SloEquivalence, PyrrasRulesRunByAnEngineSayWhatItsSeriesSay) {
  SloDefinition definition = with_rules(alerting::SloFormat::kPyrra);
  definition.labels = {{"team", "a"}};
  RulesBeside beside(definition);
  ASSERT_EQ(beside.groups.size(), 3u);
  std::mt19937_64 random(12);
  beside.lab.traffic = [&](std::int64_t t_s) { return random_traffic(random, t_s); };
  std::uint64_t ratios = 0;
  std::uint64_t burning = 0;
  for (std::int64_t minute = 2; minute <= 130; ++minute) {
    beside.lab.run_to((kBegin / 60 + 1 + minute) * 60);
    const auto status = beside.lab.runner().find("shop");
    ASSERT_EQ(status->groups.size(), 1u);
    std::size_t tier = 0;
    beside.evaluate([&](const alerting::RuleDefinition& rule, const Values& answer) {
      SCOPED_TRACE(::testing::Message() << rule.name() << " at minute " << minute);
      if (rule.alert == "SLOMetricAbsent") {
        EXPECT_TRUE(answer.empty());
        return;
      }
      if (rule.is_alerting()) {  // Its condition, without `for`.
        const bool is_burning =
            status->groups[0].tiers[tier++].status == alerting::TierStatus::kBurning;
        EXPECT_EQ(!answer.empty(), is_burning);
        if (is_burning) ++burning;
        return;
      }
      const Values native = beside.ask(beside.lab.db(), rule.record);
      for (const auto& [labels, value] : answer) {
        tsdb::LabelsBuilder builder(labels);
        builder.set(tsdb::kMetricName, rule.record);
        for (const auto& [name, text] : rule.labels) builder.set(name, text);
        auto found = native.find(builder.build());
        const bool is_rest = found == native.end() && rule.record == "requests:increase30d";
        if (is_rest) {  // What is no error is one series here, whatever its code.
          builder.remove("code");
          found = native.find(builder.build());
        }
        ASSERT_NE(found, native.end()) << builder.build().to_string();
        if (is_rest) {
          EXPECT_NEAR(found->second, value, 1e-9 * std::fabs(value));
        } else {
          EXPECT_LE(ulps_between(found->second, value), 2);
        }
        ++ratios;
      }
    });
    EXPECT_EQ(tier, 4u);
  }
  fmt::print("{} values within 2 ulp, {} burning tiers\n", ratios, burning);
  EXPECT_GT(ratios, 1'000u);
  EXPECT_GT(burning, 20u);
  // The alerts of tiers are apart, with the windows they look at.
  const tsdb::Labels page =
      alerting::SloAlertTexts(*beside.slo).labels(*beside.slo, beside.slo->alert_units().at(1), {});
  EXPECT_EQ(page, tsdb::Labels({{"alertname", "ErrorBudgetBurn"},
                                {"exhaustion", "4d6h51m25s"},
                                {"long", "6h26m"},
                                {"severity", "critical"},
                                {"short", "32m"},
                                {"slo", "shop"},
                                {"team", "a"}}));
  // All and errors of the period, apart by what picks errors; together they are all.
  const Values increases = beside.ask(beside.lab.db(), "requests:increase30d");
  ASSERT_EQ(increases.size(), 2u);
  const Values sum = beside.ask(beside.lab.db(), "sum(requests:increase30d)");
  const auto status = beside.lab.runner().find("shop");
  EXPECT_NEAR(sum.begin()->second, status->groups[0].reading.period.events.total, 1e-6);
  const Values bad = beside.ask(beside.lab.db(), "sum(requests:increase30d{code=\"500\"})");
  EXPECT_NEAR(bad.begin()->second, status->groups[0].reading.period.events.bad, 1e-6);
}

/// The same events, told in different words.
struct Telling {
  std::int64_t shift_steps = 0;
  double scale = 1;
  bool splits = false;       ///< One series becomes two with half of its events each.
  bool turns_order = false;  ///< Instances sort the other way round.
};

struct Told {
  std::vector<std::string> alerts;
  double bad = 0;
  double total = 0;
  double consumed = 0;
};

SloDefinition of_zone(std::string name, const std::string& zone) {
  SloDefinition out = availability_slo(std::move(name));
  const std::string selector = zone.empty() ? "" : fmt::format(",zone=\"{}\"", zone);
  out.sli.errors = fmt::format("requests{{code=\"500\"{}}}", selector);
  out.sli.total = fmt::format("requests{{code=~\".+\"{}}}", selector);
  return out;
}

Told tell(std::uint64_t seed, const Telling& telling, const std::string& zone = "") {
  std::mt19937_64 random(seed);
  TableStorage storage;
  const std::int64_t begin = kBegin + 15 * telling.shift_steps;
  constexpr int kSteps = 1'200;
  for (int i = 0; i < 6; ++i) {
    const bool is_bad = i % 3 == 0;
    double value = 0;
    for (int step = 0; step <= kSteps; ++step) {
      const bool is_fault = step > 400 + static_cast<int>(seed) && step < 500;
      // Even numbers, so that halves are whole.
      value +=
          2 * static_cast<double>(is_bad ? (is_fault ? 40 : random() % 2) : 100 + random() % 9);
      if (random() % 300 == 0) value = 0;
      const Timestamp t{(begin + 15 * step) * 1000 - 3 * i};
      const auto labels = [&](std::string_view part) {
        return tsdb::Labels(
            {{"__name__", "requests"},
             {"code", is_bad ? "500" : "200"},
             {"instance", fmt::format("{}{}", telling.turns_order ? 9 - i : i, part)},
             {"zone", i < 3 ? "a" : "b"}});
      };
      if (telling.splits && i == 1) {
        storage.add(labels("x"), t, value / 2);
        storage.add(labels("y"), t, value / 2);
      } else {
        storage.add(labels(""), t, value * telling.scale);
      }
    }
  }
  const auto slo = *Slo::compile(of_zone("a", zone));
  const query::Engine engine({}, nullptr);
  const auto result = alerting::backtest_slo(storage, engine, *slo, {}, {begin * 1000},
                                             {(begin + 15 * kSteps) * 1000}, nullptr);
  EXPECT_TRUE(result.ok()) << result.status().message();
  Told out;
  for (const alerting::BacktestAlert& alert : result->alerts) {
    out.alerts.push_back(
        fmt::format("{} {} {}", alert.severity, alert.fired_at.ms / 1000 - begin,
                    alert.ended_at ? alert.ended_at->ms / 1000 - begin : std::int64_t{-1}));
  }
  EXPECT_EQ(result->budgets.size(), 1u);
  out.bad = result->budgets.at(0).period.bad;
  out.total = result->budgets.at(0).period.total;
  out.consumed = result->budgets.at(0).consumed;
  return out;
}

TEST(SloEquivalence, TheSameEventsInOtherWordsAreTheSameAlerts) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    const Told plain = tell(seed, {});
    EXPECT_FALSE(plain.alerts.empty());
    for (const Telling& other : {Telling{.splits = true}, Telling{.turns_order = true},
                                 Telling{.shift_steps = 7'777}, Telling{.scale = 8}}) {
      const Told told = tell(seed, other);
      EXPECT_EQ(told.alerts, plain.alerts);
      EXPECT_EQ(told.bad, plain.bad * other.scale);
      EXPECT_EQ(told.total, plain.total * other.scale);
      EXPECT_EQ(told.consumed, plain.consumed);
    }
    // Two objectives as one.
    const Told a = tell(seed, {}, "a");
    const Told b = tell(seed, {}, "b");
    EXPECT_EQ(a.bad + b.bad, plain.bad);
    EXPECT_EQ(a.total + b.total, plain.total);
  }
}

}  // namespace
}  // namespace tarsier::testing
