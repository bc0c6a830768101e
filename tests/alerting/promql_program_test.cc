#include "alerting/promql_program.h"

#include <bit>
#include <cmath>
#include <iostream>
#include <random>

#include <gtest/gtest.h>

#include "alerting/sli_terms.h"
#include "query/engine.h"
#include "tests/support/table_storage.h"

namespace tarsier::alerting {
namespace {

// Random counters with resets, gaps, jitter, churn and stale markers: every window at every step is
// what the engine answers, to the bit.
TEST(PromqlProgram, IsWhatTheEngineAnswersToTheBit) {
  const std::vector<Duration> windows = {minutes(2), minutes(5), minutes(30), hours(1)};
  const query::Engine engine({}, nullptr);
  const char* const queries[] = {
      "sum(rate(bad[$window])) / sum(rate(all[$window]))",
      "(sum by (zone) (increase(bad[$window])) or 0 * sum by (zone) (increase(all[$window]))) / "
      "sum "
      "by (zone) (increase(all[$window]))",
      "1 - (sum by (zone) (rate(good[$window])) / (sum by (zone) (rate(all[$window])) > 0))",
      "(sum(rate(bad[$window])) or vector(0)) / sum(rate(all[$window]))",
      "sum(rate(all[$window])) - sum(rate(good[$window]))",
  };
  std::uint64_t comparisons = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::string query = queries[seed - 1];
    std::mt19937_64 random(seed);
    testing::TableStorage storage;
    struct Counter {
      tsdb::Labels labels;
      double value = 0;
      std::int64_t next_ms = 0;
      std::int64_t gone_until_ms = 0;
    };
    const std::int64_t begin = 1'700'000'000'000;
    std::vector<Counter> counters;
    for (const char* name : {"all", "bad", "good"}) {
      for (int i = 0; i < 4; ++i) {
        counters.push_back({.labels = tsdb::Labels({{"__name__", name},
                                                    {"instance", std::to_string(i)},
                                                    {"zone", i < 2 ? "a" : "b"}}),
                            .value = static_cast<double>(random() % 1000),
                            .next_ms = begin + static_cast<std::int64_t>(random() % 15'000)});
      }
    }
    const auto program = PromqlProgram::compile({query}, windows);
    ASSERT_NE(program, nullptr) << query;
    for (std::int64_t step = 1; step <= 700; ++step) {
      const std::int64_t now = begin + step * 15'000;
      for (Counter& counter : counters) {
        while (counter.next_ms <= now) {
          if (counter.next_ms >= counter.gone_until_ms) {
            if (random() % 60 == 0) counter.value = 0;
            counter.value += static_cast<double>(random() % 40);
            const bool is_stale = random() % 80 == 0;
            storage.add(counter.labels, {counter.next_ms},
                        is_stale ? tsdb::stale_marker() : counter.value);
            if (is_stale || random() % 100 == 0) {
              counter.gone_until_ms =
                  counter.next_ms + static_cast<std::int64_t>(random() % 600'000);
            }
          }
          counter.next_ms += 15'000 + static_cast<std::int64_t>(random() % 7) - 3;
        }
      }
      if (step % 3 == 0) continue;  // Not every step is evaluated.
      ASSERT_TRUE(program->advance(storage, {now}, nullptr).ok());
      if (step % 5 != 0) continue;
      for (std::size_t w = 0; w < windows.size(); ++w) {
        SCOPED_TRACE(::testing::Message() << query << " seed " << seed << " step " << step
                                          << " window " << windows[w].ms / 60'000 << "m");
        const auto prepared =
            engine.prepare({.text = with_window(query, windows[w]), .start = {now}, .end = {now}});
        ASSERT_TRUE(prepared.ok());
        const auto answer = engine.run(storage, *prepared, nullptr);
        ASSERT_TRUE(answer.ok());
        std::map<tsdb::Labels, double> expected;
        for (const query::VectorElement& e : answer->vector) expected[e.labels] = e.value;
        const std::map<tsdb::Labels, double> actual = program->value(w);
        ASSERT_EQ(actual.size(), expected.size());
        for (const auto& [labels, v] : expected) {
          ASSERT_TRUE(actual.contains(labels));
          const double ours = actual.at(labels);
          ASSERT_TRUE((std::isnan(ours) && std::isnan(v)) ||
                      std::bit_cast<std::uint64_t>(ours) == std::bit_cast<std::uint64_t>(v))
              << labels.to_string() << " " << ours << " " << v;
          ++comparisons;
        }
      }
    }
  }
  std::cout << comparisons << " values compared\n";
  EXPECT_GT(comparisons, 2'000u);
}

TEST(PromqlProgram, LeavesOtherShapesToTheEngine) {
  for (const char* query :
       {"max(rate(x[$window]))", "sum(rate(x[$window] offset 1m))", "sum(rate(x[5m]))",
        "sum(irate(x[$window]))", "1 + 1", "sum(rate(x[$window])) / on(a) sum(rate(y[$window]))",
        "sum without (a) (rate(x[$window]))"}) {
    EXPECT_EQ(PromqlProgram::compile({query}, {minutes(5)}), nullptr) << query;
  }
}

}  // namespace
}  // namespace tarsier::alerting
