// What is kept must answer as what is computed does, whatever happened to the data meanwhile.

#include "query/result_cache.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "query/engine.h"
#include "tests/query/random_expression.h"
#include "tests/support/sanitizer.h"
#include "tests/support/seed.h"
#include "tests/support/table_storage.h"
#include "tsdb/change_log.h"

namespace tarsier::testing {
namespace {

using query::Engine;
using query::QueryRequest;
using query::QueryResult;
using query::ResultCache;

/// A table that says what changes.
class ChangingStorage final : public tsdb::Queryable {
 public:
  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override {
    ++querier_count;
    return table.querier(range);
  }
  const tsdb::ChangeLog* changes() const override { return &log; }
  void add(const tsdb::Labels& labels, Timestamp t, const TableStorage::Value& value) {
    if (const auto* number = std::get_if<double>(&value)) {
      table.add(labels, t, *number);
    } else {
      table.add_histogram(labels, t, std::get<tsdb::FloatHistogram>(value));
    }
    log.note(t);
  }

  TableStorage table;
  tsdb::ChangeLog log;
  int querier_count = 0;
};

QueryRequest range_request(std::string text, std::int64_t start_s, std::int64_t end_s,
                           std::int64_t step_s) {
  QueryRequest request;
  request.text = std::move(text);
  request.start = Timestamp{start_s * 1000};
  request.end = Timestamp{end_s * 1000};
  request.step = milliseconds(step_s * 1000);
  return request;
}

std::string text_of(const Result<QueryResult>& result) {
  if (!result.ok()) return "error: " + result.status().message();
  std::string text;
  for (const query::MatrixSeries& series : result->matrix) {
    text += series.labels.to_string();
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      std::uint64_t bits = 0;
      const double value = series.points.values[i];
      if (!std::isnan(value)) std::memcpy(&bits, &value, sizeof bits);
      text += fmt::format(" {}@{}{:x}", value, series.points.times_ms[i], bits);
    }
    if (series.histograms != nullptr) text += fmt::format(" {}h", series.histograms->size());
    text += '\n';
  }
  for (const std::string& warning : result->annotations.warnings) text += warning + "\n";
  return text;
}

class ResultCacheTest : public ::testing::Test {
 protected:
  Result<QueryResult> cached(const QueryRequest& request) {
    const auto prepared = engine_.prepare(request);
    if (!prepared.ok()) return prepared.status();
    return cache_.run(request, *prepared, nullptr);
  }
  Result<QueryResult> computed(const QueryRequest& request) {
    const auto prepared = engine_.prepare(request);
    if (!prepared.ok()) return prepared.status();
    return engine_.run(storage_, *prepared, nullptr);
  }
  std::string metric(std::string_view name) {
    MetricWriter out;
    cache_.collect(out);
    const std::string text = "\n" + out.take();
    const std::size_t at = text.find(fmt::format("\n{} ", name)) + name.size() + 2;
    return text.substr(at, text.find('\n', at) - at);
  }

  ChangingStorage storage_;
  Engine engine_{query::EngineOptions{}, nullptr};
  ResultCache cache_{engine_, storage_, 1 << 20};
};

TEST_F(ResultCacheTest, ComputesNewStepsOnly) {
  for (int t = 0; t <= 600; t += 15)
    storage_.add({{"__name__", "x"}}, Timestamp{t * 1000}, 1.0 * t);
  ASSERT_TRUE(cached(range_request("sum(x)", 0, 600, 60)).ok());
  storage_.add({{"__name__", "x"}}, Timestamp{661'000}, 7.0);
  const QueryRequest later = range_request("sum(x)", 60, 660, 60);
  EXPECT_EQ(text_of(cached(later)), text_of(computed(later)));
  EXPECT_EQ(metric("tarsier_query_result_cache_steps_reused_total"), "10");
  EXPECT_EQ(metric("tarsier_query_result_cache_steps_computed_total"), "12");
  const int queriers = storage_.querier_count;
  EXPECT_EQ(text_of(cached(later)), text_of(cached(later)));
  EXPECT_EQ(storage_.querier_count, queriers) << "the second time everything is known";
}

TEST_F(ResultCacheTest, SeesLateSamplesAndDeletions) {
  for (int t = 0; t <= 600; t += 15) storage_.add({{"__name__", "x"}}, Timestamp{t * 1000}, 1.0);
  const QueryRequest request = range_request("sum(count_over_time(x[2m]))", 120, 600, 60);
  ASSERT_TRUE(cached(request).ok());
  storage_.add({{"__name__", "x"}, {"late", "yes"}}, Timestamp{300'000}, 1.0);
  EXPECT_EQ(text_of(cached(request)), text_of(computed(request)));
  storage_.table.remove({{"__name__", "x"}}, Timestamp{480'000});
  storage_.log.note(Timestamp{480'000});
  EXPECT_EQ(text_of(cached(request)), text_of(computed(request)));
  EXPECT_EQ(metric("tarsier_query_result_cache_hits_total"), "2");
}

TEST_F(ResultCacheTest, DoesNotKeepWhatLooksElsewhere) {
  for (int t = 0; t <= 600; t += 15)
    storage_.add({{"__name__", "x"}}, Timestamp{t * 1000}, 1.0 * t);
  for (const char* text : {"x @ 300", "x @ end()", "x offset -1m", "limitk(1, x)",
                           "sum_over_time(x[1m:15s] offset -30s)"}) {
    ASSERT_TRUE(computed(range_request("x", 0, 600, 60)).ok());
    static_cast<void>(cached(range_request(text, 0, 600, 60)));
    EXPECT_EQ(metric("tarsier_query_result_cache_answers"), "0") << text;
  }
}

TEST_F(ResultCacheTest, WarningsGoWithTheStepsTheyAreOf) {
  for (int t = 0; t <= 600; t += 15) {
    storage_.add({{"__name__", "x_bucket"}, {"le", t < 120 ? "odd" : "+Inf"}}, Timestamp{t * 1000},
                 1.0);
  }
  const auto told = [&](int start) {
    const QueryRequest request =
        range_request("histogram_quantile(0.5, last_over_time(x_bucket[30s]))", start, 600, 60);
    const Result<QueryResult> want = computed(request);
    const Result<QueryResult> got = cached(request);
    EXPECT_EQ(got->annotations.warnings, want->annotations.warnings);
    return want->annotations.warnings.size();
  };
  EXPECT_GT(told(0), 0U);
  EXPECT_EQ(told(300), 0U);
}

TEST_F(ResultCacheTest, StaysWithinItsBytes) {
  for (int t = 0; t <= 600; t += 15)
    storage_.add({{"__name__", "x"}}, Timestamp{t * 1000}, 1.0 * t);
  ResultCache small(engine_, storage_, 20'000);
  for (int i = 0; i < 500; ++i) {
    const QueryRequest request = range_request(fmt::format("x + {}", i), 0, 600, 15);
    const auto prepared = engine_.prepare(request);
    ASSERT_TRUE(small.run(request, *prepared, nullptr).ok());
  }
  MetricWriter out;
  small.collect(out);
  const std::string text = out.take();
  const std::size_t at = text.find("\ntarsier_query_result_cache_bytes ") + 34;
  const double bytes = std::stod(text.substr(at));
  EXPECT_LE(bytes, 20'000);
  EXPECT_GE(bytes, 10'000);
}

/// Dashboards that move with time, over data that arrives in order, late and not at all.
TEST_F(ResultCacheTest, AnswersAsTheEngineDoesWhateverHappens) {
  const std::uint32_t seed = seed_or(1);
  SCOPED_TRACE(fmt::format("TARSIER_SEED={}", seed));
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const TableStorage everything = make_nasty_histogram_storage();
  int compared = 0;
  int hidden = 0;
  for (int round = 0; round < (kIsSanitized ? 2 : 20); ++round) {
    storage_.table.clear();
    storage_.log.note(kMinTimestamp);
    RandomExpression expressions(seed + static_cast<std::uint32_t>(round),
                                 RandomExpression::Data::kHistograms);
    std::vector<std::string> texts;
    for (int i = 0; i < 25; ++i) texts.push_back(expressions.vector(1 + below(3)));
    struct Late {
      tsdb::Labels labels;
      Timestamp t;
      TableStorage::Value value;
    };
    std::vector<Late> late;
    for (int minute = 1; minute <= 20; ++minute) {
      for (const auto& [labels, samples] : everything.series()) {
        for (const auto& [t, value] : samples) {
          if (t < (minute - 1) * 60'000 || t >= minute * 60'000) continue;
          if (below(10) == 0) {
            late.push_back({labels, Timestamp{t}, value});
          } else {
            storage_.add(labels, Timestamp{t}, value);
          }
        }
      }
      while (!late.empty() && below(3) == 0) {
        const auto one = late.begin() + below(static_cast<int>(late.size()));
        storage_.add(one->labels, one->t, one->value);
        late.erase(one);
      }
      for (int i = 0; i < 12; ++i) {
        const std::string& text = texts[static_cast<std::size_t>(below(25))];
        const int start = std::max(0, minute - 1 - below(8)) * 60;
        const int step = below(4) == 0 ? 20 : 60;
        const QueryRequest request = range_request(text, start, (minute - below(2)) * 60, step);
        const Result<QueryResult> want = computed(request);
        const Result<QueryResult> got = cached(request);
        ++compared;
        if (!want.ok() && got.ok()) {
          // Two series that lose what tells them apart are an error of the steps computed together;
          // of steps computed apart it is none.
          ++hidden;
          continue;
        }
        ASSERT_EQ(text_of(got), text_of(want)) << text << " from " << start << " step " << step
                                               << " in minute " << minute << " of round " << round;
      }
    }
  }
  std::cout << fmt::format("{} answers compared, {} errors of steps apart, {} steps known\n",
                           compared, hidden,
                           metric("tarsier_query_result_cache_steps_reused_total"));
}

}  // namespace
}  // namespace tarsier::testing
