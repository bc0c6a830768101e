#include "query/engine.h"

#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/thread_pool.h"
#include "tests/support/table_storage.h"

namespace tarsier::query {
namespace {

using tsdb::Labels;
using Pairs = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Loads series and asks queries; answers are text, one line per element:
/// `{a="b"} 1 2 _` for the values at the steps, `_` where there is none.
class EngineTest : public ::testing::Test {
 protected:
  static constexpr Duration kInterval = seconds(15);
  static constexpr double kNone = -987654321;

  /// Samples at 0, 15 s, 30 s ...; kNone leaves one out.
  void load(Pairs labels, const std::vector<double>& values) {
    const Labels series(labels);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] == kNone) continue;
      storage_.add(series, Timestamp{static_cast<std::int64_t>(i) * kInterval.ms}, values[i]);
    }
  }
  void load_line(Pairs labels, double first, double increment, std::size_t count) {
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(first + increment * static_cast<double>(i));
    }
    load(labels, values);
  }

  Result<QueryResult> ask(const QueryRequest& request) {
    const Engine engine(options_, pool_);
    Result<PreparedQuery> query = engine.prepare(request);
    if (!query.ok()) return std::move(query).status();
    return engine.run(storage_, *query, &cancel_);
  }

  std::string instant(const std::string& text, Timestamp t) {
    return rendered(ask(QueryRequest{text, t, t, {}, {}}), Timestamp{}, seconds(1), 0);
  }
  std::string range(const std::string& text, Timestamp start, Timestamp end, Duration step) {
    const auto count = static_cast<std::size_t>((end - start).ms / step.ms) + 1;
    return rendered(ask(QueryRequest{text, start, end, step, {}}), start, step, count);
  }

  static std::string number(double v) { return std::isnan(v) ? "NaN" : fmt::format("{}", v); }

  std::string rendered(const Result<QueryResult>& result, Timestamp start, Duration step,
                       std::size_t count) {
    if (!result.ok()) return "error: " + result.status().message();
    annotations_ = result->annotations;
    switch (result->type) {
      case ResultType::kScalar: return number(result->scalar);
      case ResultType::kString: return result->text;
      case ResultType::kVector: break;
      case ResultType::kMatrix: break;
    }
    std::string out;
    for (const VectorElement& element : result->vector) {
      out += element.labels.to_string() + " " + number(element.value) + "\n";
    }
    for (const MatrixSeries& series : result->matrix) {
      out += series.labels.to_string();
      if (count == 0) {
        for (std::size_t i = 0; i < series.points.size(); ++i) {
          out += fmt::format(" {}@{}", number(series.points.values[i]), series.points.times_ms[i]);
        }
      }
      std::size_t next = 0;
      for (std::size_t k = 0; k < count; ++k) {
        const std::int64_t t = start.ms + static_cast<std::int64_t>(k) * step.ms;
        if (next < series.points.size() && series.points.times_ms[next] == t) {
          out += " " + number(series.points.values[next++]);
        } else {
          out += " _";
        }
      }
      out += "\n";
    }
    return out;
  }

  EngineOptions options_;
  ThreadPool* pool_ = nullptr;
  CancelToken cancel_;
  testing::TableStorage storage_;
  Annotations annotations_;
};

constexpr Timestamp at(std::int64_t s) { return Timestamp{s * 1000}; }

TEST_F(EngineTest, SelectsTheNewestSampleWithinTheLookback) {
  load({{"__name__", "up"}, {"job", "a"}}, {1, 2, 3});
  EXPECT_EQ(instant("up", at(31)), "up{job=\"a\"} 3\n");
  EXPECT_EQ(instant("up", at(30 + 299)), "up{job=\"a\"} 3\n");
  EXPECT_EQ(instant("up", at(30 + 300)), "") << "a sample exactly lookback old does not count";
  EXPECT_EQ(range("up", at(0), at(60), seconds(15)), "up{job=\"a\"} 1 2 3 3 3\n");
  EXPECT_EQ(instant("up offset 15s", at(30)), "up{job=\"a\"} 2\n");
  EXPECT_EQ(instant("up @ 0", at(30)), "up{job=\"a\"} 1\n");
}

TEST_F(EngineTest, AStaleMarkerEndsASeries) {
  load({{"__name__", "up"}}, {1, tsdb::stale_marker(), 3});
  EXPECT_EQ(instant("up", at(20)), "");
  EXPECT_EQ(range("up", at(0), at(30), seconds(15)), "up 1 _ 3\n");
  EXPECT_EQ(instant("count_over_time(up[1m])", at(30)), "{} 2\n");
}

TEST_F(EngineTest, RangesAreOpenOnTheLeft) {
  load_line({{"__name__", "x"}}, 0, 1, 10);
  EXPECT_EQ(instant("x[30s]", at(60)), "x 3@45000 4@60000\n");
  EXPECT_EQ(instant("count_over_time(x[30s])", at(60)), "{} 2\n");
  EXPECT_EQ(instant("sum_over_time(x[45s:15s])", at(60)), "{} 9\n");
}

TEST_F(EngineTest, RateExtrapolatesAsTheReferenceComputesByHand) {
  storage_.add(Labels{{"__name__", "x_total"}}, at(60), 10);
  storage_.add(Labels{{"__name__", "x_total"}}, at(120), 20);
  storage_.add(Labels{{"__name__", "x_total"}}, at(180), 5);
  storage_.add(Labels{{"__name__", "x_total"}}, at(240), 15);
  EXPECT_EQ(instant("round(increase(x_total[300s]), 0.001)", at(300)), "{} 41.667\n");
  EXPECT_EQ(instant("increase(x_total[600s])", at(300)), "{} 37.5\n");
  EXPECT_TRUE(annotations_.infos.empty());
}

TEST_F(EngineTest, TellsOfRatesOverWhatIsNoCounter) {
  load_line({{"__name__", "load"}}, 0, 1, 10);
  EXPECT_EQ(instant("rate(load[1m])", at(60)), "{} 0.06666666666666665\n");
  ASSERT_EQ(annotations_.infos.size(), 1u);
  EXPECT_EQ(annotations_.infos[0],
            "PromQL info: metric might not be a counter, name does not end in "
            "_total/_sum/_count/_bucket: \"load\" (1:6)");
}

TEST_F(EngineTest, TypesSayWhatIsACounterWhereSeriesHaveThem) {
  options_.type_and_unit_labels = true;
  load_line({{"__name__", "x_total"}, {"__type__", "gauge"}}, 0, 1, 10);
  load_line({{"__name__", "y"}, {"__type__", "counter"}}, 0, 1, 10);
  EXPECT_EQ(instant("rate(y[1m])", at(60)), "{} 0.06666666666666665\n");
  EXPECT_TRUE(annotations_.infos.empty());
  EXPECT_EQ(instant("rate(x_total[1m])", at(60)), "{} 0.06666666666666665\n");
  ASSERT_EQ(annotations_.infos.size(), 1u);
  EXPECT_EQ(annotations_.infos[0],
            "PromQL info: metric might not be a counter, __type__ label is not set to "
            "\"counter\" or \"histogram\", got \"gauge\": \"x_total\" (1:6)");
}

TEST_F(EngineTest, ExtendedSelectorsLookBeyondTheirEdges) {
  options_.extended_range_selectors = true;
  load_line({{"__name__", "x_total"}}, 0, 3, 20);
  EXPECT_EQ(instant("increase(x_total[50s] anchored)", at(110)), "{} 9\n");
  EXPECT_EQ(instant("increase(x_total[50s] smoothed)", at(110)), "{} 10\n");
  EXPECT_EQ(instant("x_total smoothed", at(110)), "x_total 22\n");
  EXPECT_EQ(
      instant("deriv(x_total[50s] smoothed)", at(110)),
      "error: smoothed modifier can only be used with: delta, increase, rate - not with deriv");
}

TEST_F(EngineTest, AggregatesByAndWithout) {
  load({{"__name__", "m"}, {"job", "a"}, {"n", "1"}}, {1});
  load({{"__name__", "m"}, {"job", "a"}, {"n", "2"}}, {2});
  load({{"__name__", "m"}, {"job", "b"}, {"n", "1"}}, {4});
  EXPECT_EQ(instant("sum(m)", at(0)), "{} 7\n");
  EXPECT_EQ(instant("sum by (job) (m)", at(0)), "{job=\"a\"} 3\n{job=\"b\"} 4\n");
  EXPECT_EQ(instant("sum without (n) (m)", at(0)), "{job=\"a\"} 3\n{job=\"b\"} 4\n");
  EXPECT_EQ(instant("avg by (n, job) (m)", at(0)),
            "{job=\"a\", n=\"1\"} 1\n{job=\"a\", n=\"2\"} 2\n{job=\"b\", n=\"1\"} 4\n");
  EXPECT_EQ(instant("count(m) + min(m) + max(m) + group(m)", at(0)), "{} 9\n");
  EXPECT_EQ(instant("stdvar(m)", at(0)), "{} 1.5555555555555554\n");
  EXPECT_EQ(instant("quantile(0.5, m)", at(0)), "{} 2\n");
  EXPECT_EQ(instant("topk(2, m)", at(0)), "m{job=\"b\", n=\"1\"} 4\nm{job=\"a\", n=\"2\"} 2\n");
  EXPECT_EQ(instant("bottomk(1, m)", at(0)), "m{job=\"a\", n=\"1\"} 1\n");
  EXPECT_EQ(instant("count_values(\"v\", m)", at(0)), "{v=\"1\"} 1\n{v=\"2\"} 1\n{v=\"4\"} 1\n");
  EXPECT_EQ(instant("topk(scalar(vector(NaN)), m)", at(0)), "error: Parameter value is NaN");
}

TEST_F(EngineTest, SumsWithCompensation) {
  load({{"__name__", "m"}, {"n", "1"}}, {1e100});
  load({{"__name__", "m"}, {"n", "2"}}, {1});
  load({{"__name__", "m"}, {"n", "3"}}, {-1e100});
  EXPECT_EQ(instant("sum(m)", at(0)), "{} 1\n");
}

TEST_F(EngineTest, JoinsVectorsByTheirLabels) {
  load({{"__name__", "a"}, {"i", "1"}}, {6, 8});
  load({{"__name__", "a"}, {"i", "2"}}, {9, 9});
  load({{"__name__", "b"}, {"i", "1"}}, {2, 4});
  load({{"__name__", "info"}, {"i", "1"}, {"v", "x"}}, {1, 1});
  EXPECT_EQ(instant("a / b", at(0)), "{i=\"1\"} 3\n");
  EXPECT_EQ(range("a / b", at(0), at(15), seconds(15)), "{i=\"1\"} 3 2\n");
  EXPECT_EQ(instant("a > b", at(0)), "a{i=\"1\"} 6\n");
  EXPECT_EQ(instant("a > bool b", at(0)), "{i=\"1\"} 1\n");
  EXPECT_EQ(instant("a * on (i) group_left (v) info", at(0)), "{i=\"1\", v=\"x\"} 6\n");
  EXPECT_EQ(instant("info * on (i) group_right a", at(0)), "{i=\"1\"} 6\n");
  EXPECT_EQ(instant("a and b", at(0)), "a{i=\"1\"} 6\n");
  EXPECT_EQ(instant("a unless b", at(0)), "a{i=\"2\"} 9\n");
  EXPECT_EQ(instant("b or a", at(0)), "b{i=\"1\"} 2\na{i=\"2\"} 9\n");
  EXPECT_EQ(instant("a * on () b", at(0)),
            "error: multiple matches for labels: many-to-one matching must be explicit "
            "(group_left/group_right)");
  EXPECT_EQ(
      instant("b * on () a", at(0)),
      "error: found duplicate series for the match group {} on the right hand-side of the "
      "operation: [{__name__=\"a\", i=\"1\"}, {__name__=\"a\", i=\"2\"}];many-to-many matching "
      "not allowed: matching labels must be unique on one side");
}

TEST_F(EngineTest, MatchesEachStepAnewWhenLabelsChange) {
  load({{"__name__", "a"}, {"i", "1"}}, {1, 2});
  load({{"__name__", "b"}, {"i", "1"}, {"pod", "x"}}, {10, tsdb::stale_marker()});
  load({{"__name__", "b"}, {"i", "1"}, {"pod", "y"}}, {kNone, 20});
  EXPECT_EQ(range("a + on (i) b", at(0), at(15), seconds(15)), "{i=\"1\"} 11 22\n");
}

TEST_F(EngineTest, RefusesEqualLabelSets) {
  load({{"__name__", "a"}, {"i", "1"}}, {1});
  load({{"__name__", "b"}, {"i", "1"}}, {1});
  const std::string error = "error: vector cannot contain metrics with the same labelset";
  EXPECT_EQ(instant("abs({i=\"1\"})", at(0)), error);
  EXPECT_EQ(instant("-{i=\"1\"}", at(0)), error);
  EXPECT_EQ(range("rate({i=\"1\"}[1m])", at(0), at(15), seconds(15)), "") << "no series has a rate";
  EXPECT_EQ(instant("count_over_time({i=\"1\"}[1m])", at(0)), error);
}

TEST_F(EngineTest, ComputesClassicHistogramQuantiles) {
  load({{"__name__", "h_bucket"}, {"le", "0.1"}}, {10});
  load({{"__name__", "h_bucket"}, {"le", "0.5"}}, {30});
  load({{"__name__", "h_bucket"}, {"le", "+Inf"}}, {40});
  EXPECT_EQ(instant("histogram_quantile(0.5, h_bucket)", at(0)), "{} 0.30000000000000004\n");
  EXPECT_EQ(instant("histogram_fraction(0, 0.5, h_bucket)", at(0)), "{} 0.75\n");
  EXPECT_EQ(instant("histogram_quantile(2, h_bucket)", at(0)), "{} inf\n");
  EXPECT_EQ(annotations_.warnings,
            std::vector<std::string>{
                "PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)"});
}

TEST_F(EngineTest, RewritesLabels) {
  load({{"__name__", "m"}, {"src", "a-7"}}, {1});
  EXPECT_EQ(instant("label_replace(m, \"dst\", \"$1\", \"src\", \".*-(.*)\")", at(0)),
            "m{dst=\"7\", src=\"a-7\"} 1\n");
  EXPECT_EQ(instant("label_join(m, \"dst\", \"/\", \"src\", \"src\")", at(0)),
            "m{dst=\"a-7/a-7\", src=\"a-7\"} 1\n");
}

TEST_F(EngineTest, ScalarsVaryPerStep) {
  load({{"__name__", "m"}}, {1, 2});
  EXPECT_EQ(range("time()", at(0), at(30), seconds(15)), "{} 0 15 30\n");
  EXPECT_EQ(range("scalar(m) * 2", at(0), at(15), seconds(15)), "{} 2 4\n");
  EXPECT_EQ(instant("scalar(absent(m))", at(0)), "NaN");
  EXPECT_EQ(instant("1 + 2 * 3", at(0)), "7");
  EXPECT_EQ(instant("\"text\"", at(0)), "text");
  EXPECT_EQ(instant("absent(nothing{job=\"a\"})", at(0)), "{job=\"a\"} 1\n");
  EXPECT_EQ(range("m @ 15 + time()", at(0), at(15), seconds(15)), "{} 2 17\n");
  EXPECT_EQ(instant("timestamp(m)", at(20)), "{} 15\n");
  EXPECT_EQ(instant("hour(vector(3600 * 25))", at(0)), "{} 1\n");
}

TEST_F(EngineTest, SortsInstantVectorsOnly) {
  load({{"__name__", "m"}, {"i", "1"}}, {2});
  load({{"__name__", "m"}, {"i", "2"}}, {3});
  load({{"__name__", "m"}, {"i", "3"}}, {1});
  EXPECT_EQ(instant("sort(m)", at(0)), "m{i=\"3\"} 1\nm{i=\"1\"} 2\nm{i=\"2\"} 3\n");
  EXPECT_EQ(instant("sort_desc(m)", at(0)), "m{i=\"2\"} 3\nm{i=\"1\"} 2\nm{i=\"3\"} 1\n");
  range("sort(m)", at(0), at(15), seconds(15));
  EXPECT_EQ(annotations_.warnings.size(), 1u);
}

TEST_F(EngineTest, SaysWhoseFaultAnErrorIs) {
  load_line({{"__name__", "m"}}, 0, 1, 100);
  const Engine engine(options_, nullptr);
  EXPECT_EQ(engine.prepare(QueryRequest{"sum(", at(0), at(0), {}, {}}).status().code(),
            Code::kInvalid);
  EXPECT_EQ(engine.prepare(QueryRequest{"m[1m]", at(0), at(10), seconds(1), {}}).status().message(),
            "invalid expression type \"range vector\" for range query, must be Scalar or instant "
            "Vector");
  cancel_.expire();
  EXPECT_EQ(ask(QueryRequest{"m", at(0), at(0), {}, {}}).status().code(), Code::kTimeout);
}

TEST_F(EngineTest, OrHoldsNoRowsOfSidesThatShareNoSignature) {
  for (int i = 0; i < 50; ++i) {
    load_line({{"__name__", "x"}, {"i", std::to_string(i)}, {"side", "left"}}, 0, 1, 40);
    load_line({{"__name__", "y"}, {"i", std::to_string(i)}, {"side", "right"}}, 0, 1, 40);
  }
  const Result<QueryResult> apart =
      ask(QueryRequest{"count(x or y)", at(0), at(585), seconds(15), {}});
  ASSERT_TRUE(apart.ok());
  ASSERT_EQ(apart->matrix.size(), 1u);
  EXPECT_EQ(apart->matrix[0].points.values.front(), 100);
  EXPECT_LT(apart->statistics.samples_peak, 400u);
  const Result<QueryResult> shared =
      ask(QueryRequest{"count(x or on (i) y)", at(0), at(585), seconds(15), {}});
  ASSERT_TRUE(shared.ok());
  EXPECT_EQ(shared->matrix[0].points.values.front(), 50);
}

TEST_F(EngineTest, OrReadsManyRowsTwiceRatherThanHoldThem) {
  for (int i = 0; i < 250; ++i) {
    load_line({{"__name__", "x"}, {"i", std::to_string(i)}}, 0, 1, 3);
    load_line({{"__name__", "y"}, {"i", std::to_string(i)}}, 0, 1, 30);
  }
  // 10,001 steps: 20 MB of rows. The left side ends after its lookback, then the right one counts.
  const Result<QueryResult> result =
      ask(QueryRequest{"sum(x or on (i) y)", at(0), at(1000), milliseconds(100), {}});
  ASSERT_TRUE(result.ok());
  const auto& points = result->matrix[0].points;
  EXPECT_EQ(points.values[300], 250 * 2);    // 30 s: both, the left one counts.
  EXPECT_EQ(points.values[4000], 250 * 26);  // 400 s: the right one alone.
  EXPECT_LT(result->statistics.samples_peak, 100'000u);
  EXPECT_LE(result->statistics.samples_read, 250u * 33);
}

TEST_F(EngineTest, StopsAtTheSampleLimit) {
  options_.samples_max = 50;
  load_line({{"__name__", "m"}}, 0, 1, 100);
  // What is made of nothing counts too.
  for (const char* query : {"m", "vector(1)", "absent(nothing)", "hour()"}) {
    SCOPED_TRACE(query);
    const Result<QueryResult> result = ask(QueryRequest{query, at(0), at(1500), seconds(15), {}});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), Code::kLimit);
    EXPECT_EQ(result.status().message(),
              "query processing would load too many samples into memory in query execution");
  }
}

TEST_F(EngineTest, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (int i = 0; i < 3000; ++i) {
    const std::string instance = fmt::format("{}", i);
    for (int k = 0; k < 4; ++k) {
      storage_.add(Labels{{"__name__", "m"}, {"i", instance}, {"g", i % 2 == 0 ? "a" : "b"}},
                   at(15 * k), 0.1 * i * k);
    }
  }
  const std::vector<std::string> queries = {"sum by (g) (m)",    "avg(m)",
                                            "stddev by (g) (m)", "topk(3, m)",
                                            "quantile(0.9, m)",  "sum(rate(m[1m]))"};
  for (const std::string& query : queries) {
    SCOPED_TRACE(query);
    pool_ = nullptr;
    const std::string alone = range(query, at(15), at(45), seconds(15));
    ThreadPool pool(ThreadPool::Options{4, 64});
    pool_ = &pool;
    EXPECT_EQ(range(query, at(15), at(45), seconds(15)), alone);
    pool_ = nullptr;
  }
}

}  // namespace
}  // namespace tarsier::query
