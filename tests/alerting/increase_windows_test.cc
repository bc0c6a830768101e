#include "alerting/increase_windows.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/duration.h"
#include "query/engine.h"
#include "tests/support/table_storage.h"

namespace tarsier::alerting {
namespace {

constexpr std::int64_t kBeginMs = 1'700'000'000'000;
constexpr std::int64_t kStepMs = 15'000;
constexpr std::int64_t kSteps = 1'000;
constexpr int kSeries = 8;

std::int64_t ulps_between(double a, double b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  return std::abs(std::bit_cast<std::int64_t>(a) - std::bit_cast<std::int64_t>(b));
}

/// Counters with resets, gaps, jitter, churn and stale markers.
void fill(testing::TableStorage& storage, std::mt19937_64& random, bool is_whole) {
  for (int i = 0; i < kSeries; ++i) {
    const tsdb::Labels labels({{"__name__", "x"}, {"instance", std::to_string(i)}});
    const std::int64_t scrape_ms = i % 4 == 3 ? 60'000 : 15'000;
    double value = static_cast<double>(random() % 1'000);
    for (std::int64_t t = kBeginMs + static_cast<std::int64_t>(random() % 15'000);
         t <= kBeginMs + kSteps * kStepMs; t += scrape_ms) {
      if (random() % 70 == 0) value = 0;
      const double more = static_cast<double>(random() % 400);
      value += is_whole ? more : more / 7;
      const bool is_stale = random() % 120 == 0;
      const std::int64_t jitter = static_cast<std::int64_t>(random() % 9) - 4;
      storage.add(labels, {t + jitter}, is_stale ? tsdb::stale_marker() : value);
      if (is_stale || random() % 90 == 0) t += static_cast<std::int64_t>(random() % 900'000);
    }
  }
}

// Every window of every series at every step is what the engine answers: to the bit for whole
// numbers, to two units in the last place for others. TARSIER_COMPARISONS says how many are made.
TEST(IncreaseWindows, AreWhatTheEngineAnswersAtEveryStep) {
  const char* const wanted = std::getenv("TARSIER_COMPARISONS");
  const std::uint64_t count = wanted == nullptr ? 150'000 : std::strtoull(wanted, nullptr, 10);
  const std::vector<Duration> windows = {minutes(1), minutes(5), minutes(30),
                                         hours(1),   hours(2),   minutes(7)};
  const query::Engine engine({}, nullptr);
  std::uint64_t comparisons = 0;
  std::int64_t worst = 0;
  for (std::uint64_t seed = 1; comparisons < count; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const bool is_whole = seed % 3 != 0;
    const bool is_rate = seed % 2 == 0;
    testing::TableStorage storage;
    fill(storage, random, is_whole);
    // What the engine says: by window, series and step; absent is a NaN of its own.
    const double absent = std::nan("7");
    std::vector<std::map<tsdb::Labels, std::vector<double>>> expected(windows.size());
    for (std::size_t w = 0; w < windows.size(); ++w) {
      const auto prepared = engine.prepare(
          {.text = fmt::format("sum by (instance) ({}(x[{}]))", is_rate ? "rate" : "increase",
                               format_duration(windows[w])),
           .start = {kBeginMs + kStepMs},
           .end = {kBeginMs + kSteps * kStepMs},
           .step = {kStepMs}});
      ASSERT_TRUE(prepared.ok()) << prepared.status().message();
      const auto answer = engine.run(storage, *prepared, nullptr);
      ASSERT_TRUE(answer.ok()) << answer.status().message();
      for (const query::MatrixSeries& series : answer->matrix) {
        std::vector<double>& column = expected[w][series.labels];
        column.resize(kSteps + 1, absent);
        for (std::size_t n = 0; n < series.points.size(); ++n) {
          const auto step =
              static_cast<std::size_t>((series.points.times_ms[n] - kBeginMs) / kStepMs);
          column[step] = series.points.values[n];
        }
      }
    }
    IncreaseWindows ours(
        {tsdb::Matcher::equal("__name__", "x")},
        is_rate ? IncreaseWindows::Function::kRate : IncreaseWindows::Function::kIncrease,
        {"instance"}, windows);
    std::int64_t step = 0;
    while (true) {
      step += 1 + (random() % 20 == 0 ? static_cast<std::int64_t>(random() % 9) : 0);
      if (step > kSteps) break;
      ASSERT_TRUE(ours.advance(storage, {kBeginMs + step * kStepMs}, nullptr).ok());
      for (std::size_t w = 0; w < windows.size(); ++w) {
        const std::map<tsdb::Labels, double> sums = ours.sums(w);
        for (const auto& [labels, column] : expected[w]) {
          const double theirs = column[static_cast<std::size_t>(step)];
          const auto found = sums.find(labels);
          const double own = found == sums.end() ? absent : found->second;
          const std::int64_t ulps = ulps_between(own, theirs);
          worst = std::max(worst, ulps);
          ++comparisons;
          ASSERT_LE(ulps, is_whole ? 0 : 2)
              << labels.to_string() << " window " << windows[w].ms / 60'000 << "m step " << step
              << ": " << own << ", the engine says " << theirs;
        }
      }
    }
  }
  std::cout << comparisons << " values compared, at worst " << worst
            << " units in the last place apart\n";
}

}  // namespace
}  // namespace tarsier::alerting
