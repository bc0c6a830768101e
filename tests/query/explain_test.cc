#include "query/explain.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "query/engine.h"
#include "query/functions.h"
#include "tests/support/table_storage.h"

namespace tarsier::query {
namespace {

class ExplainTest : public ::testing::Test {
 protected:
  ExplainTest() {
    for (int i = 0; i < 4; ++i) {
      const tsdb::Labels labels{{"__name__", "x_total"}, {"i", std::to_string(i)}};
      for (int t = 0; t <= 20; ++t) storage_.add(labels, Timestamp{t * 15'000}, t);
    }
  }
  PreparedQuery prepared(const std::string& text) {
    auto query = engine_.prepare({.text = text,
                                  .start = Timestamp{60'000},
                                  .end = Timestamp{300'000},
                                  .step = Duration{60'000}});
    CHECK(query.ok(), query.status().message());
    return std::move(*query);
  }

  testing::TableStorage storage_;
  Engine engine_{EngineOptions{}, nullptr};
};

TEST_F(ExplainTest, ShowsThePlanWithoutRunningIt) {
  const Explanation plan =
      engine_.explain(storage_, prepared("sum(rate(x_total[1m])) + x_total @ 0"), false, nullptr)
          .value();
  std::string text;
  for (const ExplainedOperator& op : plan.operators) {
    text += std::string(2 * op.depth, ' ') + op.kind + " " + std::to_string(op.steps) + "\n";
  }
  EXPECT_EQ(text,
            "binary + 5\n  aggregate sum 5\n    call rate 5\n      range 5\n"
            "  step invariant 5\n    selector 1\n");
  ASSERT_EQ(plan.selections.size(), 2u) << "counters and newest samples are read differently";
  const auto shared = prepared("sum(rate(x_total[1m])) + sum(increase(x_total[2m]))");
  EXPECT_EQ(engine_.explain(storage_, shared, false, nullptr)->selections.size(), 1u)
      << "equal selectors share one selection";
  EXPECT_EQ(plan.selections[0].matchers, "{__name__=\"x_total\"}");
}

TEST_F(ExplainTest, AnalysisTellsWhatEachOperatorDid) {
  const Explanation analysis =
      engine_.explain(storage_, prepared("sum(rate(x_total[1m]))"), true, nullptr).value();
  ASSERT_EQ(analysis.operators.size(), 3u);
  EXPECT_EQ(analysis.operators[0].series, 1u);
  EXPECT_EQ(analysis.operators[1].series, 4u);
  EXPECT_EQ(analysis.operators[1].rows, 4u);
  EXPECT_EQ(analysis.operators[1].samples, 20u);
  EXPECT_EQ(analysis.operators[2].samples, 4u * 20u);
  std::string text;
  JsonWriter json(text);
  write_explanation(json, analysis);
  EXPECT_EQ(
      text.substr(0, text.find(",\"seconds\"")),
      R"x({"analyzed":true,"plan":{"operator":"aggregate sum","expr":"sum(rate(x_total[1m]))",)x"
      R"("steps":5,"series":1,"rows":1,"samples":5)");
}

TEST_F(ExplainTest, EstimatesWhatAQueryWouldRead) {
  const QueryCost cost =
      engine_.estimate(storage_, prepared("sum(rate(x_total[1m])) / x_total"), nullptr).value();
  EXPECT_EQ(cost.steps, 5u);
  EXPECT_EQ(cost.series, 2u * 4u);
  EXPECT_EQ(cost.samples, 4u * 20u + 4u * 21u);
  EXPECT_GT(cost.memory_bytes, 0u);
}

TEST_F(ExplainTest, CountsSamplesStepByStepWhenAsked) {
  const QueryRequest request{.text = "sum(count_over_time(x_total[2m])) + sum(x_total)",
                             .start = Timestamp{120'000},
                             .end = Timestamp{240'000},
                             .step = Duration{60'000},
                             .counts_steps = true};
  const QueryResult result =
      engine_.run(storage_, engine_.prepare(request).value(), nullptr).value();
  const QueryStatistics& s = result.statistics;
  EXPECT_EQ(s.queryable_per_step.counts, (std::vector<std::uint64_t>{36, 36, 36}));
  EXPECT_EQ(s.read_per_step.counts, (std::vector<std::uint64_t>{36, 20, 20}));
  EXPECT_EQ(s.samples_queryable, 108u);
  EXPECT_EQ(s.samples_read, 76u);
  EXPECT_GT(s.samples_peak, 0u);
}

TEST_F(ExplainTest, HugeWindowsGiveTheSameInParts) {
  const tsdb::Labels labels{{"__name__", "long"}};
  for (int t = 0; t < 4000; ++t) storage_.add(labels, Timestamp{t * 1000}, t * 7 % 100);
  for (const char* function : {"sum", "avg", "quantile", "max", "changes", "deriv"}) {
    SCOPED_TRACE(function);
    const std::string range = "(long[3000s])";
    const std::string text =
        std::string(function) == "quantile" ? "quantile_over_time(0.3, long[3000s])"
        : std::string(function) == "changes" || std::string(function) == "deriv"
            ? function + range
            : function + std::string("_over_time") + range;
    // 1000 steps of 3000 samples are too much for one go; each step alone is not.
    const QueryRequest all{.text = text,
                           .start = Timestamp{3'000'000},
                           .end = Timestamp{3'999'000},
                           .step = Duration{1000}};
    const QueryResult whole = engine_.run(storage_, engine_.prepare(all).value(), nullptr).value();
    ASSERT_EQ(whole.matrix.size(), 1u);
    ASSERT_EQ(whole.matrix[0].points.size(), 1000u);
    for (const std::size_t k : {0u, 166u, 167u, 500u, 999u}) {
      const Timestamp t{3'000'000 + static_cast<std::int64_t>(k) * 1000};
      const QueryRequest one{.text = text, .start = t, .end = t};
      const QueryResult alone =
          engine_.run(storage_, engine_.prepare(one).value(), nullptr).value();
      EXPECT_EQ(whole.matrix[0].points.values[k], alone.vector[0].value) << k;
    }
  }
}

TEST(FunctionNames, AreSortedAndSayWhatIsExperimental) {
  const std::vector<FunctionName> names = function_names();
  EXPECT_GT(names.size(), 80u);
  for (std::size_t i = 1; i < names.size(); ++i) EXPECT_LT(names[i - 1].name, names[i].name);
  const auto is_experimental = [&](std::string_view name) {
    return std::ranges::find(names, name, &FunctionName::name)->is_experimental;
  };
  EXPECT_TRUE(is_experimental("info"));
  EXPECT_FALSE(is_experimental("rate"));
}

}  // namespace
}  // namespace tarsier::query
