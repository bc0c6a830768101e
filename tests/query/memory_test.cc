// What a query holds while it runs: the budget of memory sees it, and what can be streamed is not
// held at all.

#include <string>

#include <gtest/gtest.h>

#include "query/engine.h"
#include "tests/support/table_storage.h"

namespace tarsier::query {
namespace {

constexpr int kSeries = 2'000;
const std::string kLongValue(100, 'v');  // Label sets of some 250 bytes.

class MemoryTest : public ::testing::Test {
 protected:
  MemoryTest() {
    for (int i = 0; i < kSeries; ++i) {
      for (const char* name : {"x_total", "y_total"}) {
        const tsdb::Labels labels{{"__name__", name},
                                  {"group", std::to_string(i % 4)},
                                  {"i", std::to_string(i)},
                                  {"long", kLongValue}};
        for (int t = 0; t <= 8; ++t) storage_.add(labels, Timestamp{t * 15'000}, t + i);
      }
    }
    for (int g = 0; g < 4; ++g) {
      storage_.add({{"__name__", "team"}, {"group", std::to_string(g)}, {"name", "t"}},
                   Timestamp{60'000}, 1);
    }
  }

  Result<QueryResult> ask(const std::string& text, int steps = 1) {
    const Engine engine(options_, nullptr);
    const QueryRequest request{.text = text,
                               .start = Timestamp{60'000},
                               .end = Timestamp{60'000 + (steps - 1) * 1'000},
                               .step = Duration{steps > 1 ? 1'000 : 0}};
    return engine.run(storage_, engine.prepare(request).value(), nullptr);
  }
  std::uint64_t peak_bytes(const std::string& text, int steps = 1) {
    const auto result = ask(text, steps);
    EXPECT_TRUE(result.ok()) << text << ": " << result.status().message();
    return result.ok() ? result->statistics.memory_peak_bytes : 0;
  }

  EngineOptions options_{.experimental_functions = true};
  testing::TableStorage storage_;
};

TEST_F(MemoryTest, NewLabelsOfWhatIsAddedUpAreNotHeld) {
  const std::uint64_t label_sets = kSeries * 200;
  for (const char* text : {
           R"(sum by (group) (label_replace(x_total, "new", "$1", "i", "(.).*")))",
           R"(sum by (new) (label_replace(x_total, "new", "$1", "i", "(.).*")))",
           R"(sum by (new) (label_join(x_total, "new", "-", "group", "group")))",
           R"(sum by (group) (rate({__name__="x_total"}[1m])))",
           R"(sum by (name) (x_total * on (group) group_left (name) team))",
           R"(sum by (group) (limit_ratio(0.5, x_total)))",
       }) {
    EXPECT_LT(peak_bytes(text), label_sets) << text;
  }
}

TEST_F(MemoryTest, GroupsOfManyLabelsCount) {
  EXPECT_GT(peak_bytes("x_total - ignoring (nothing) y_total"), kSeries * 150u);
  EXPECT_GT(peak_bytes("count(sum without (group) (x_total))"), kSeries * 150u);
  options_.memory_max = 100'000;
  for (const char* text : {"sum(x_total - y_total)", "count(sum without (group) (x_total))",
                           "sum(x_total unless y_total)"}) {
    const auto result = ask(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), Code::kLimit) << text;
  }
}

TEST_F(MemoryTest, WhatIsChosenOrSortedPerStepCountsBeforeItIsThere) {
  options_.memory_max = 10'000'000;
  for (const char* text :
       {"topk(1000, x_total)", "bottomk by (i) (1, x_total)", "quantile(0.5, x_total)",
        "limitk by (i) (1, x_total)", R"(count_values("v", x_total * time()))"}) {
    EXPECT_TRUE(ask(text).ok()) << text;
    const auto result = ask(text, 3'000);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), Code::kLimit) << text;
  }
  EXPECT_TRUE(ask("topk(3, x_total)", 100).ok());
}

TEST_F(MemoryTest, EqualSeriesAreRefusedWithoutHoldingThem) {
  options_.memory_max = 3'000'000;  // All rows would be 32 MB.
  const auto refused = ask(R"(sum(rate({__name__=~"[xy]_total"}[1m])))", 1'000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().message(), "vector cannot contain metrics with the same labelset");
  // Without values there is nothing to refuse: one of the two has samples in the window only.
  for (int i = 0; i < kSeries; ++i) {
    storage_.add({{"__name__", "late"},
                  {"group", std::to_string(i % 4)},
                  {"i", std::to_string(i)},
                  {"long", kLongValue}},
                 Timestamp{9'000'000}, 1);
  }
  const auto summed = ask(R"(sum(count_over_time({__name__=~"x_total|late"}[30s])))", 1'000);
  ASSERT_TRUE(summed.ok()) << summed.status().message();
  EXPECT_EQ(summed->matrix.at(0).points.values.at(0), 2.0 * kSeries);
}

TEST_F(MemoryTest, LabelValuesDoNotGrowWithoutLimit) {
  std::string joined = "team";
  std::string replaced = "team";
  for (int i = 0; i < 40; ++i) {
    joined = "label_join(" + joined + R"x(, "name", "-", "name", "name"))x";
    replaced = "label_replace(" + replaced + R"x(, "name", "$1$1", "name", "(.*)"))x";
  }
  for (const std::string& text : {joined, replaced}) {
    const auto result = ask(text);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), Code::kLimit) << result.status().message();
  }
}

TEST_F(MemoryTest, AskersMaySetCeilings) {
  const Engine engine(options_, nullptr);
  QueryRequest request{.text = "sum(rate(x_total[1m])) + sum(y_total)",
                       .start = Timestamp{60'000},
                       .end = Timestamp{60'000}};
  const auto message = [&] {
    return engine.run(storage_, engine.prepare(request).value(), nullptr).status().message();
  };
  request.series_ceiling = 4'000;
  request.samples_ceiling = 10'000;
  EXPECT_EQ(message(), "");
  request.series_ceiling = 3'999;
  EXPECT_EQ(message(), "query selects 4000 series, more than 3999 (max_series)");
  request.series_ceiling = 0;
  request.samples_ceiling = 9'999;
  EXPECT_EQ(message(), "query reads more than 9999 samples (max_samples_scanned)");
}

}  // namespace
}  // namespace tarsier::query
