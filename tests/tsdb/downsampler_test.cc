// What is left of samples when they are gone answers what they would have answered.

#include "tsdb/compaction/downsampler.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/aggregate_rows.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

SampleColumns columns_of(const std::vector<Sample>& samples) {
  SampleColumns columns;
  for (const Sample& sample : samples) columns.push_back(sample.t, sample.v);
  return columns;
}

SampleColumns expanded(const SampleColumns& samples, Duration resolution, AggregateUse use,
                       Duration spacing, TimeRange range = {}) {
  AggregateRows rows;
  aggregate_samples(samples, resolution, rows);
  SampleColumns out;
  expand_rows(rows, {.use = use, .resolution = resolution, .spacing = spacing}, range, out);
  return out;
}

/// What increase() adds up between the first and the last sample.
double increase_of(const SampleColumns& samples) {
  double sum = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const double before = samples.values[i - 1];
    const double after = samples.values[i];
    sum += after < before ? after : after - before;
  }
  return sum;
}

TEST(AggregateRows, AreOnePerWindowAtItsLastSample) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const SampleColumns samples = columns_of({{Timestamp{10}, 3},
                                            {Timestamp{20}, 1},
                                            {Timestamp{40}, stale_marker()},
                                            {Timestamp{100}, 5},
                                            {Timestamp{101}, nan},
                                            {Timestamp{150}, 7},
                                            {Timestamp{160}, stale_marker()},
                                            {Timestamp{350}, stale_marker()}});
  AggregateRows rows;
  aggregate_samples(samples, milliseconds(100), rows);
  EXPECT_EQ(rows.times_ms, (std::vector<std::int64_t>{100, 150, 160, 350}));
  EXPECT_EQ(rows.columns[AggregateRows::kCount], (std::vector<double>{3, 2, 0, 0}));
  EXPECT_EQ(rows.columns[AggregateRows::kSum][0], 9);
  EXPECT_TRUE(std::isnan(rows.columns[AggregateRows::kSum][1]));
  EXPECT_EQ(rows.columns[AggregateRows::kMin], (std::vector<double>{1, 7, 0, 0}));
  EXPECT_EQ(rows.columns[AggregateRows::kMax], (std::vector<double>{5, 7, 0, 0}));
  EXPECT_EQ(rows.columns[AggregateRows::kLast][0], 5);
  EXPECT_EQ(rows.columns[AggregateRows::kLast][1], 7);
  EXPECT_TRUE(is_stale_marker(rows.columns[AggregateRows::kLast][2]));
  EXPECT_TRUE(is_stale_marker(rows.columns[AggregateRows::kLast][3]));
}

TEST(AggregateRows, KeepSumsCountsAndExtremes) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    SampleColumns samples;
    double sum = 0;
    double least = 1e9;
    double greatest = -1e9;
    std::int64_t t = 1'000'000;
    for (int i = 0; i < 500; ++i) {
      t += 1 + static_cast<std::int64_t>(random() % (random() % 20 == 0 ? 2'000'000 : 30'000));
      const double v = static_cast<double>(random() % 1000);
      samples.push_back(Timestamp{t}, v);
      sum += v;
      least = std::min(least, v);
      greatest = std::max(greatest, v);
    }
    const auto total = [&](AggregateUse use) {
      const SampleColumns got = expanded(samples, minutes(5), use, seconds(30));
      double s = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        s += got.values[i];
        if (i > 0) {
          EXPECT_LT(got.times_ms[i - 1], got.times_ms[i]);
        }
      }
      return s;
    };
    EXPECT_NEAR(total(AggregateUse::kSum), sum, 1e-6);
    EXPECT_EQ(total(AggregateUse::kCount), 500);
    const SampleColumns low = expanded(samples, minutes(5), AggregateUse::kMin, seconds(30));
    const SampleColumns high = expanded(samples, minutes(5), AggregateUse::kMax, seconds(30));
    EXPECT_EQ(*std::min_element(low.values.begin(), low.values.end()), least);
    EXPECT_EQ(*std::max_element(high.values.begin(), high.values.end()), greatest);
  }
}

TEST(AggregateRows, CountersIncreaseAsTheyDidThroughResetsAndGaps) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    SampleColumns samples;
    double v = static_cast<double>(random() % 1000);
    std::int64_t t = 300'000;
    for (int i = 0; i < 400; ++i) {
      samples.push_back(Timestamp{t}, v);
      t += random() % 50 == 0 ? 3'000'000 : 15'000;
      v = random() % (5 + seed) == 0 ? static_cast<double>(random() % 10)
                                     : v + static_cast<double>(random() % 100);
    }
    // Rows begin at the first window's last sample: what was before is not in their increase.
    AggregateRows rows;
    aggregate_samples(samples, minutes(5), rows);
    SampleColumns from_first_row;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (samples.times_ms[i] < rows.times_ms.front()) continue;
      from_first_row.push_back(Timestamp{samples.times_ms[i]}, samples.values[i]);
    }
    for (const Duration spacing : {minutes(10), seconds(30)}) {
      const SampleColumns got = expanded(samples, minutes(5), AggregateUse::kCounter, spacing,
                                         {Timestamp{rows.times_ms.front()}, kMaxTimestamp});
      EXPECT_NEAR(increase_of(got), increase_of(from_first_row), 1e-6);
    }
  }
}

TEST(VisibleParts, ShowWhereNothingFinerIs) { EXPECT_TRUE(visible_parts({}, {}, {}).empty()); }

/// A database whose samples are kept for two minutes, rows of 5 s and 30 s for longer.
TEST(DownsamplingDb, AnswersFromTiersWhenTheSamplesAreGone) {
  FaultyFileSystem files;
  NullLogger log;
  Options options;
  options.block_range = seconds(10);
  options.block_range_max = seconds(90);
  options.retention = seconds(120);
  options.seal_after = seconds(20);
  options.tiers = {{seconds(5), seconds(300)}, {seconds(30), Duration{0}}};
  auto db = Db::open(files, "data", options, log, nullptr).value();
  const Labels labels{{"__name__", "c"}};
  const auto sync = [&] {
    db->interrupt_sync();
    db->sync_due();
  };
  constexpr int kSeconds = 900;
  for (int s = 0; s < kSeconds; ++s) {
    const auto appender = db->appender();
    appender->append(appender->resolve(labels).value(), {Timestamp{s * 1000}, s * 2.0});
    ASSERT_TRUE(appender->commit().ok());
    if (s % 10 != 0) continue;
    sync();
    for (int i = 0; i < 10; ++i) db->run_due(Timestamp{s * 1000});
  }
  const auto read = [&](const char* function, TimeRange range) {
    SelectHints hints;
    hints.range = range;
    hints.function = function;
    hints.window = seconds(40);
    const auto set = db->querier(range).value()->select({}, hints, nullptr).value();
    SampleColumns columns;
    if (set->size() == 1) {
      EXPECT_TRUE(set->read(0, range, columns).ok());
    }
    return columns;
  };
  EXPECT_EQ(db->oldest_time(), Timestamp{0});
  const TimeRange all{Timestamp{0}, Timestamp{kSeconds * 1000}};
  const SampleColumns counts = read("count_over_time", all);
  EXPECT_EQ(counts.size(), static_cast<std::size_t>(kSeconds)) << "every sample is counted";
  for (std::size_t i = 1; i < counts.size(); ++i) {
    ASSERT_LT(counts.times_ms[i - 1], counts.times_ms[i]);
  }
  const SampleColumns rates = read("rate", all);
  EXPECT_LT(rates.size(), static_cast<std::size_t>(kSeconds)) << "they are rows, not samples";
  for (std::size_t i = 1; i < rates.size(); ++i) {
    const double seconds_between =
        static_cast<double>(rates.times_ms[i] - rates.times_ms[i - 1]) / 1000;
    EXPECT_LE(seconds_between, 30) << "no gap";
    EXPECT_NEAR(rates.values[i] - rates.values[i - 1], 2 * seconds_between, 1e-9);
  }
  const SampleColumns highest = read("max_over_time", all);
  EXPECT_EQ(*std::max_element(highest.values.begin(), highest.values.end()), 2.0 * (kSeconds - 1));
  const auto everything = Matcher::create(MatchOp::kEqual, "__name__", "c").value();
  ASSERT_TRUE(db->delete_series({everything}, {Timestamp{0}, Timestamp{200'000}}).ok());
  EXPECT_GT(read("rate", all).times_ms.front(), 200'000);
}

}  // namespace
}  // namespace tarsier::tsdb
