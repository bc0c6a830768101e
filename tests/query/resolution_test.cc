// Rows of downsampled storage answer as the samples they stand for: to rounding where a window is
// made of theirs, within stated bounds elsewhere, and without a gap or a double count where raw
// samples, 5-minute rows and 1-hour rows meet.

#include "query/resolution.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "query/engine.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"
#include "tsdb/histogram.h"

namespace tarsier::testing {
namespace {

using query::Engine;
using query::MatrixSeries;
using query::QueryRequest;
using query::QueryResult;
using query::ResolutionWish;

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kInterval = 30 * kSecond;
constexpr std::int64_t kBegin = 1'700'006'400'000;  // A midnight.

ResolutionWish up_to(Duration max) { return {ResolutionWish::Mode::kUpTo, max}; }
const ResolutionWish kRaw = up_to(Duration{});
const ResolutionWish kAuto{ResolutionWish::Mode::kAuto, {}};

/// Series that go on for `length`: gauges, counters with resets, one that comes and goes, one with
/// NaNs, a histogram of buckets. What happens is a function of the seed alone.
std::map<tsdb::Labels, std::vector<tsdb::Sample>> make_series(std::uint64_t seed,
                                                              std::int64_t length) {
  std::mt19937_64 random(seed);
  std::map<tsdb::Labels, std::vector<tsdb::Sample>> all;
  for (int target = 0; target < 2; ++target) {
    const std::string instance = std::to_string(target);
    const std::int64_t offset = 1 + static_cast<std::int64_t>(random() % (kInterval - 1));
    double gauge = 50;
    double counter = 1000;
    double steady = 0;
    std::array<double, 4> buckets{};
    bool is_up = true;
    for (std::int64_t t = kBegin + offset; t < kBegin + length; t += kInterval) {
      const auto add = [&](tsdb::Labels labels, double v) {
        all[std::move(labels)].push_back({Timestamp{t}, v});
      };
      gauge += static_cast<double>(static_cast<int>(random() % 201) - 100) / 100;
      gauge = std::round((gauge + (50 - gauge) / 50) * 100) / 100;  // It stays near 50.
      counter = random() % 500 == 0 ? 3 : counter + static_cast<double>(random() % 20);
      steady += 7;
      add({{"__name__", "gauge"}, {"instance", instance}}, gauge);
      add({{"__name__", "counter_total"}, {"instance", instance}}, counter);
      add({{"__name__", "steady_total"}, {"instance", instance}}, steady);
      if (random() % 97 == 0) {
        if (is_up) add({{"__name__", "visitor"}, {"instance", instance}}, tsdb::stale_marker());
        is_up = !is_up;
      } else if (is_up) {
        add({{"__name__", "visitor"}, {"instance", instance}}, gauge / 2);
      }
      add({{"__name__", "spotty"}, {"instance", instance}},
          random() % 50 == 0 ? std::nan("") : std::floor(gauge));
      for (std::size_t b = 0; b < buckets.size(); ++b) {
        buckets[b] += static_cast<double>((b + 1) * 3 + (b == 3 ? 1 : 0));
        const char* const bounds[] = {"0.1", "0.5", "2", "+Inf"};
        add({{"__name__", "latency_bucket"}, {"instance", instance}, {"le", bounds[b]}},
            buckets[b]);
      }
    }
  }
  return all;
}

/// A database with those samples, everything sealed and downsampled.
class SealedStorage final {
 public:
  SealedStorage(const tsdb::Options& options, std::int64_t length, std::uint64_t seed = 1) {
    db_ = tsdb::Db::open(files_, "data", options, log_, nullptr).value();
    const auto series = make_series(seed, length);
    std::map<std::int64_t, std::vector<std::pair<const tsdb::Labels*, double>>> by_time;
    for (const auto& [labels, samples] : series) {
      for (const tsdb::Sample& sample : samples) {
        by_time[sample.t.ms].push_back({&labels, sample.v});
      }
    }
    std::int64_t maintained = kBegin;
    auto appender = db_->appender();
    for (const auto& [t, values] : by_time) {
      for (const auto& [labels, v] : values) {
        appender->append(appender->resolve(*labels).value(), {Timestamp{t}, v});
      }
      if (t < maintained + 2 * kHour) continue;
      maintained = t;
      EXPECT_TRUE(appender->commit().ok());
      appender = db_->appender();
      maintain(t);
    }
    EXPECT_TRUE(appender->commit().ok());
    maintain(kBegin + length);
  }

  void maintain(std::int64_t now) {
    for (int round = 0; round < 40; ++round) {
      db_->interrupt_sync();
      db_->sync_due();
      if (db_->run_due(Timestamp{now}) > Timestamp{now}) break;
    }
  }
  void seal_everything(std::int64_t now) {
    const auto position = db_->begin_compacting_everything(Timestamp{now});
    db_->interrupt_sync();
    db_->sync_due();
    EXPECT_NE(position, tsdb::LogPosition{});
    const auto report = db_->compact_everything(Timestamp{now});
    ASSERT_TRUE(report.ok()) << report.status().message();
    EXPECT_EQ(report->failures, 0u);
  }

  QueryResult ask(const std::string& text, Timestamp start, Timestamp end, Duration step,
                  const ResolutionWish& wish) {
    QueryRequest request;
    request.text = text;
    request.start = start;
    request.end = end;
    request.step = step;
    request.resolution = wish;
    const auto prepared = engine_.prepare(request);
    EXPECT_TRUE(prepared.ok()) << text << prepared.status().message();
    auto result = engine_.run(*db_, *prepared, nullptr);
    EXPECT_TRUE(result.ok()) << text << result.status().message();
    return std::move(*result);
  }
  tsdb::Db& db() { return *db_; }

 private:
  FaultyFileSystem files_;
  NullLogger log_;
  std::unique_ptr<tsdb::Db> db_;
  Engine engine_{{}, nullptr};
};

tsdb::Options tiered_options() {
  tsdb::Options options;
  options.retention = Duration{0};
  options.seal_after = hours(24);
  options.tiers = {{minutes(5), Duration{0}}, {hours(1), Duration{0}}};
  return options;
}

/// Compares point by point: the same series at the same steps, values within `relative` of each
/// other, or within `absolute`.
void expect_near(const QueryResult& got, const QueryResult& want, double relative,
                 double absolute = 0) {
  ASSERT_EQ(got.matrix.size(), want.matrix.size());
  for (std::size_t s = 0; s < got.matrix.size(); ++s) {
    const MatrixSeries& a = got.matrix[s];
    const MatrixSeries& b = want.matrix[s];
    SCOPED_TRACE(b.labels.to_string());
    ASSERT_EQ(a.labels, b.labels);
    ASSERT_EQ(a.points.times_ms, b.points.times_ms);
    for (std::size_t i = 0; i < a.points.size(); ++i) {
      const double x = a.points.values[i];
      const double y = b.points.values[i];
      if (std::isnan(x) && std::isnan(y)) continue;
      ASSERT_LE(std::abs(x - y), std::abs(y) * relative + absolute)
          << x << " for " << y << " at " << a.points.times_ms[i];
    }
  }
}

class ResolutionTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kLength = 3 * kDay;

  static SealedStorage& storage() {
    static SealedStorage* const shared = [] {
      auto* made = new SealedStorage(tiered_options(), kLength);
      made->seal_everything(kBegin + kLength);
      return made;
    }();
    return *shared;
  }
  static QueryResult ask(const std::string& text, std::int64_t from, std::int64_t step,
                         const ResolutionWish& wish) {
    return storage().ask(text, Timestamp{from}, Timestamp{kBegin + kLength - kHour},
                         milliseconds(step), wish);
  }
};

TEST_F(ResolutionTest, AnswersAreThoseOfTheSamplesWhereWindowsAreWholeOnes) {
  const std::vector<std::string> expressions = {
      "gauge",
      "visitor",
      "spotty",
      "counter_total",
      "sum by (instance) (gauge)",
      "gauge - gauge offset 1h",
      "max(visitor)",
      "timestamp(gauge)",
      "absent(visitor)",
      "min_over_time({}[W])",
      "max_over_time({}[W])",
      "sum_over_time({}[W])",
      "count_over_time({}[W])",
      "avg_over_time({}[W])",
      "last_over_time({}[W])",
      "present_over_time({}[W])",
      "sum_over_time({}[W] offset 1h) / count_over_time({}[W] offset 1h)"};
  for (const std::int64_t step : {5 * kMinute, kHour, 4 * kHour}) {
    const Duration resolution{step < kHour ? 5 * kMinute : kHour};
    for (std::string text : expressions) {
      const bool has_window = text.find("[W]") != std::string::npos;
      for (const char* window : {"1h", "6h", "1d"}) {
        if (!has_window && window != std::string("1h")) continue;
        for (const char* metric : {"gauge", "visitor", "spotty"}) {
          if (!has_window && metric != std::string("gauge")) continue;
          std::string query = text;
          for (std::size_t at; (at = query.find("{}")) != std::string::npos;) {
            query.replace(at, 2, metric);
          }
          for (std::size_t at; (at = query.find("[W]")) != std::string::npos;) {
            query.replace(at, 3, fmt::format("[{}]", window));
          }
          SCOPED_TRACE(fmt::format("{} step {}", query, step));
          const QueryResult got = ask(query, kBegin + kDay, step, {});
          EXPECT_EQ(got.statistics.resolutions, std::vector<Duration>{resolution});
          const QueryResult want = ask(query, kBegin + kDay, step, kRaw);
          EXPECT_EQ(want.statistics.resolutions, std::vector<Duration>{Duration{}});
          expect_near(got, want, 1e-12, 1e-9);
        }
      }
    }
  }
}

TEST_F(ResolutionTest, SamplesServeWhereRowsWouldNotDo) {
  for (const char* text :
       {"quantile_over_time(0.9, gauge[6h])", "stddev_over_time(gauge[6h])", "deriv(gauge[6h])",
        "changes(gauge[6h])", "resets(counter_total[6h])", "irate(counter_total[6h])",
        "delta(gauge[6h])", "idelta(gauge[6h])", "rate(counter_total[6h])"}) {
    SCOPED_TRACE(text);
    const QueryResult got = ask(text, kBegin + kDay, kHour, {});
    EXPECT_EQ(got.statistics.resolutions, std::vector<Duration>{Duration{}});
  }
  // Neither does a grid that is not the rows', unless they are asked for.
  const QueryResult got = ask("gauge", kBegin + kDay + kMinute, kHour, {});
  EXPECT_EQ(got.statistics.resolutions, std::vector<Duration>{Duration{}});
  const QueryResult asked = ask("gauge", kBegin + kDay + kMinute, kHour, up_to(minutes(5)));
  EXPECT_EQ(asked.statistics.resolutions, std::vector<Duration>{minutes(5)});
}

TEST_F(ResolutionTest, TheCoarsestThatIsAllowedServes) {
  const auto served = [](const char* text, std::int64_t step, const ResolutionWish& wish) {
    return ask(text, kBegin + kDay + kMinute, step, wish).statistics.resolutions;
  };
  const std::vector<Duration> raw{Duration{}};
  const std::vector<Duration> five{minutes(5)};
  const std::vector<Duration> hour{hours(1)};
  EXPECT_EQ(served("gauge", kHour, kAuto), five);
  EXPECT_EQ(served("gauge", 5 * kHour, kAuto), hour);
  EXPECT_EQ(served("gauge", kMinute, kAuto), raw);
  EXPECT_EQ(served("rate(counter_total[1h])", kHour, kAuto), five);
  EXPECT_EQ(served("rate(counter_total[5m])", kHour, kAuto), raw);
  EXPECT_EQ(served("gauge", kMinute, up_to(hours(1))), hour);
  EXPECT_EQ(served("gauge", kMinute, up_to(minutes(59))), five);
  EXPECT_EQ(served("rate(counter_total[1h])", kMinute, up_to(hours(1))), five)
      << "two rows in a window";
  EXPECT_EQ(served("gauge", kHour, kRaw), raw);
}

TEST_F(ResolutionTest, RatesOverWholeWindowsDifferByLessThanASample) {
  for (const char* window : {"2h", "6h", "1d"}) {
    const double seconds_in = window == std::string("2h") ? 7200 : window[0] == '6' ? 21600 : 86400;
    for (const Duration resolution : {minutes(5), hours(1)}) {
      SCOPED_TRACE(fmt::format("{} {}", window, resolution.ms));
      const auto compare = [&](const std::string& function, const char* metric, double bound) {
        const std::string text = fmt::format("{}({}[{}])", function, metric, window);
        SCOPED_TRACE(text);
        const QueryResult got = ask(text, kBegin + kDay, kHour, up_to(resolution));
        EXPECT_EQ(got.statistics.resolutions, std::vector<Duration>{resolution});
        expect_near(got, ask(text, kBegin + kDay, kHour, kRaw), 1e-9, bound);
      };
      // A steady counter's is what it is, within a sample's at a block's begin. Of the other a
      // sample adds 19 at most, at each end; and a reset next to an end may be seen by one and not
      // by the other, of which there is never more than one.
      compare("rate", "steady_total", 7 / seconds_in);
      compare("increase", "steady_total", 7);
      compare("increase", "counter_total", 2 * 19 + 1000);
      compare("rate", "counter_total", (2 * 19 + 1000) / seconds_in);
    }
  }
}

TEST_F(ResolutionTest, QuantilesOfBucketsAreThoseOfTheSamples) {
  for (const char* text : {"histogram_quantile(0.9, sum by (le) (rate(latency_bucket[6h])))",
                           "histogram_quantile(0.5, rate(latency_bucket[2h]))"}) {
    SCOPED_TRACE(text);
    for (const Duration resolution : {minutes(5), hours(1)}) {
      const QueryResult got = ask(text, kBegin + kDay, kHour, up_to(resolution));
      EXPECT_EQ(got.statistics.resolutions, std::vector<Duration>{resolution});
      expect_near(got, ask(text, kBegin + kDay, kHour, kRaw), 1e-6);
    }
  }
}

/// What the answer lies between: those over windows one resolution shorter and longer at each end.
TEST_F(ResolutionTest, WindowsThatCutRowsAreOffByARowAtEachEnd) {
  constexpr std::int64_t kWindow = 8 * kHour;
  for (const Duration resolution : {minutes(5), hours(1)}) {
    for (const std::string function :
         {"min_over_time", "max_over_time", "count_over_time", "sum_over_time"}) {
      SCOPED_TRACE(fmt::format("{} {}", function, resolution.ms));
      const std::int64_t start = kBegin + kDay + 17 * kMinute + 13 * kSecond;
      const auto over = [&](std::int64_t longer, std::int64_t later, const ResolutionWish& wish) {
        return ask(fmt::format("{}(gauge[{}ms])", function, kWindow + longer), start + later,
                   37 * kMinute, wish);
      };
      const QueryResult got = over(0, 0, up_to(resolution));
      EXPECT_EQ(got.statistics.resolutions, std::vector<Duration>{resolution});
      const QueryResult inner = over(-2 * resolution.ms, -resolution.ms, kRaw);
      const QueryResult outer = over(2 * resolution.ms, resolution.ms, kRaw);
      ASSERT_EQ(got.matrix.size(), 2u);
      for (std::size_t s = 0; s < got.matrix.size(); ++s) {
        const std::size_t n = std::min({got.matrix[s].points.size(), inner.matrix[s].points.size(),
                                        outer.matrix[s].points.size()});
        ASSERT_GT(n, 50u);
        for (std::size_t i = 0; i < n; ++i) {
          const double a = inner.matrix[s].points.values[i];
          const double b = outer.matrix[s].points.values[i];
          ASSERT_GE(got.matrix[s].points.values[i], std::min(a, b) - 1e-9);
          ASSERT_LE(got.matrix[s].points.values[i], std::max(a, b) + 1e-9);
        }
      }
    }
  }
}

TEST(ResolutionBorders, HaveNeitherGapNorDoubleCount) {
  constexpr std::int64_t kLength = 8 * kDay;
  tsdb::Options whole;
  whole.retention = Duration{0};
  SealedStorage samples(whole, kLength, 3);
  tsdb::Options options = tiered_options();
  options.retention = days(2);
  options.block_range_max = hours(18);
  options.tiers = {{minutes(5), days(4)}, {hours(1), Duration{0}}};
  SealedStorage rows(options, kLength, 3);
  const auto ask = [&](SealedStorage& storage, const std::string& text, std::int64_t start,
                       std::int64_t step, const ResolutionWish& wish) {
    return storage.ask(text, Timestamp{kBegin + start}, Timestamp{kBegin + kLength},
                       milliseconds(step), wish);
  };
  const std::vector<Duration> all{Duration{}, minutes(5), hours(1)};
  for (const ResolutionWish& wish : {ResolutionWish{}, kRaw, kAuto, up_to(hours(1))}) {
    for (const char* text :
         {"count_over_time(gauge[1h])", "sum_over_time(gauge[3h])", "min_over_time(visitor[2h])",
          "max_over_time(gauge[1d])", "avg_over_time(spotty[1h])", "last_over_time(gauge[1h])",
          "gauge", "visitor"}) {
      SCOPED_TRACE(fmt::format("{} {}", text, static_cast<int>(wish.mode)));
      const QueryResult got = ask(rows, text, kDay, kHour, wish);
      expect_near(got, ask(samples, text, kDay, kHour, kRaw), 1e-12, 1e-9);
      if (wish.mode == ResolutionWish::Mode::kUpTo && wish.max == Duration{}) {
        EXPECT_EQ(got.statistics.resolutions, all);
      }
    }
    // A steady counter goes on as it did, whatever serves it and however short the window.
    for (const char* text :
         {"rate(steady_total[5m])", "rate(steady_total[1h])", "rate(steady_total[6h])"}) {
      SCOPED_TRACE(text);
      const QueryResult got = ask(rows, text, kDay + 7 * kMinute, 11 * kMinute, wish);
      expect_near(got, ask(samples, text, kDay + 7 * kMinute, 11 * kMinute, kRaw), 0.1);
    }
  }
  // Where they do not fit the windows the finest there are serve.
  const QueryResult odd = ask(rows, "count_over_time(gauge[1h])", kDay + kMinute, kHour, {});
  EXPECT_EQ(odd.statistics.resolutions, all);
}

TEST(ResolutionWishes, AreReadAsThanosDoes) {
  EXPECT_EQ(query::parse_resolution_wish("")->mode, ResolutionWish::Mode::kExact);
  EXPECT_EQ(query::parse_resolution_wish("auto")->mode, ResolutionWish::Mode::kAuto);
  EXPECT_EQ(query::parse_resolution_wish("raw")->max, Duration{});
  EXPECT_EQ(query::parse_resolution_wish("0s")->mode, ResolutionWish::Mode::kUpTo);
  EXPECT_EQ(query::parse_resolution_wish("1h")->max, hours(1));
  EXPECT_EQ(query::parse_resolution_wish("300")->max, minutes(5));
  EXPECT_FALSE(query::parse_resolution_wish("-5m").ok());
  EXPECT_FALSE(query::parse_resolution_wish("often").ok());
  EXPECT_EQ(query::resolution_list({Duration{}, minutes(5), hours(1)}), "raw,5m,1h");
}

}  // namespace
}  // namespace tarsier::testing
