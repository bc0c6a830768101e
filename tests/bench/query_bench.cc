// What evaluation costs by itself: storage here is arrays in memory that answer at once.

#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "query/engine.h"
#include "tsdb/querier.h"

namespace tarsier::query {
namespace {

constexpr std::int64_t kIntervalMs = 15'000;
constexpr std::size_t kSamples = 260;  // An hour and a window of five minutes.

/// Counters: every series has the same times and its own values; with `histograms` these instead.
struct Table {
  std::vector<tsdb::Labels> labels;
  std::vector<std::int64_t> times_ms;
  std::vector<double> values;
  tsdb::HistogramColumns histograms;
};

class ArraySet final : public tsdb::SeriesSet {
 public:
  explicit ArraySet(const Table& table) : table_(table) {}
  std::size_t size() const override { return table_.labels.size(); }
  tsdb::Labels labels(std::size_t i) const override { return table_.labels[i]; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return table_.labels[i].get(name);
  }
  bool may_have_histograms(std::size_t) const override { return !table_.histograms.empty(); }
  bool has_histogram_series() const override { return !table_.histograms.empty(); }
  Status read_mixed(std::size_t, TimeRange range, tsdb::SampleColumns&,
                    tsdb::HistogramColumns& out) const override {
    const tsdb::HistogramColumns& from = table_.histograms;
    for (std::size_t k = 0; k < from.size(); ++k) {
      if (!range.contains(Timestamp{from.times_ms[k]})) continue;
      if (out.layouts.empty()) out.layouts.push_back(from.layouts.front());
      out.times_ms.push_back(from.times_ms[k]);
      out.counts.push_back(from.counts[k]);
      out.zero_counts.push_back(from.zero_counts[k]);
      out.sums.push_back(from.sums[k]);
      out.hints.push_back(from.hints[k]);
      out.layout.push_back(0);
      out.first_bucket.push_back(out.buckets.size());
      const auto buckets = from.positive_counts(k);
      out.buckets.insert(out.buckets.end(), buckets.begin(), buckets.end());
    }
    return {};
  }
  Status read(std::size_t, TimeRange range, tsdb::SampleColumns& out) const override {
    if (!table_.histograms.empty()) return {};
    for (std::size_t k = 0; k < table_.times_ms.size(); ++k) {
      if (range.contains(Timestamp{table_.times_ms[k]})) {
        out.push_back(Timestamp{table_.times_ms[k]}, table_.values[k]);
      }
    }
    return {};
  }
  Result<std::optional<tsdb::Sample>> last_sample(std::size_t, TimeRange) const override {
    return std::optional(tsdb::Sample{Timestamp{table_.times_ms.back()}, table_.values.back()});
  }

 private:
  const Table& table_;
};

class ArrayQuerier final : public tsdb::Querier {
 public:
  explicit ArrayQuerier(const Table& table) : table_(table) {}
  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>&,
                                                  const tsdb::SelectHints&,
                                                  const CancelToken*) const override {
    return std::unique_ptr<tsdb::SeriesSet>(std::make_unique<ArraySet>(table_));
  }
  Result<std::vector<std::string>> label_names(const std::vector<tsdb::Matcher>&) const override {
    return std::vector<std::string>();
  }
  Result<std::vector<std::string>> label_values(std::string_view,
                                                const std::vector<tsdb::Matcher>&) const override {
    return std::vector<std::string>();
  }

 private:
  const Table& table_;
};

class ArrayStorage final : public tsdb::Queryable {
 public:
  enum class Kind : unsigned char { kFloats, kHistograms };
  explicit ArrayStorage(std::size_t series_count, Kind kind = Kind::kFloats) {
    for (std::size_t i = 0; i < series_count; ++i) {
      table_.labels.push_back({{"__name__", "requests_total"},
                               {"code", i % 3 == 0 ? "500" : "200"},
                               {"instance", "host-" + std::to_string(i)},
                               {"job", "job-" + std::to_string(i % 20)}});
    }
    for (std::size_t k = 0; k < kSamples; ++k) {
      table_.times_ms.push_back(static_cast<std::int64_t>(k + 1) * kIntervalMs);
      table_.values.push_back(static_cast<double>(k * k));
      if (kind == Kind::kHistograms) add_histogram(k);
    }
  }
  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange) override {
    return std::unique_ptr<tsdb::Querier>(std::make_unique<ArrayQuerier>(table_));
  }
  Timestamp end() const { return Timestamp{table_.times_ms.back()}; }

 private:
  /// A latency histogram as instrumented services have them: 60 buckets, all of them growing.
  void add_histogram(std::size_t k) {
    constexpr std::uint32_t kBuckets = 60;
    tsdb::FloatHistogram h;
    h.layout.schema = 3;
    h.layout.zero_threshold = 1e-128;
    h.layout.positive_spans = {{-30, kBuckets}};
    h.hint = k == 0 ? tsdb::CounterResetHint::kUnknown : tsdb::CounterResetHint::kNotReset;
    for (std::uint32_t b = 0; b < kBuckets; ++b) {
      h.positive_counts.push_back(static_cast<double>(k * (b + 1)));
      h.count += h.positive_counts.back();
    }
    h.sum = h.count / 3;
    table_.histograms.push_back(Timestamp{table_.times_ms[k]}, h);
  }

  Table table_;
};

void run(benchmark::State& state, const char* text, Duration step,
         ArrayStorage::Kind kind = ArrayStorage::Kind::kFloats) {
  const auto series_count = static_cast<std::size_t>(state.range(0));
  ArrayStorage storage(series_count, kind);
  const Engine engine(EngineOptions{}, nullptr);
  QueryRequest request{.text = text, .start = storage.end(), .end = storage.end(), .step = step};
  if (step > Duration{0}) request.start = storage.end() - hours(1);
  const auto query = engine.prepare(request);
  for (auto _ : state) {
    auto result = engine.run(storage, *query, nullptr);
    if (!result.ok()) state.SkipWithError(result.status().message().c_str());
    benchmark::DoNotOptimize(result);
  }
  const double samples = step > Duration{0} ? static_cast<double>(kSamples) : 1;
  state.counters["series/s"] = benchmark::Counter(static_cast<double>(series_count),
                                                  benchmark::Counter::kIsIterationInvariantRate);
  state.counters["samples/s"] = benchmark::Counter(static_cast<double>(series_count) * samples,
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

void count_instant(benchmark::State& state) { run(state, "count(requests_total)", Duration{0}); }
void count_by_instant(benchmark::State& state) {
  run(state, "count by (job) (requests_total)", Duration{0});
}
void rate_range(benchmark::State& state) {
  run(state, "sum(rate(requests_total[5m]))", seconds(60));
}
void max_over_time_range(benchmark::State& state) {
  run(state, "sum by (job) (max_over_time(requests_total[10m]))", seconds(60));
}
void ratio_range(benchmark::State& state) {
  run(state, "sum by (job) (rate(requests_total[5m])) / sum by (job) (requests_total)",
      seconds(60));
}

void histogram_rate_range(benchmark::State& state) {
  run(state, "sum(rate(requests_total[5m]))", seconds(60), ArrayStorage::Kind::kHistograms);
}
void histogram_quantile_range(benchmark::State& state) {
  run(state, "histogram_quantile(0.9, sum by (job) (rate(requests_total[5m])))", seconds(60),
      ArrayStorage::Kind::kHistograms);
}
void histogram_count_range(benchmark::State& state) {
  run(state, "sum(histogram_count(rate(requests_total[5m])))", seconds(60),
      ArrayStorage::Kind::kHistograms);
}
void histogram_quantile_instant(benchmark::State& state) {
  run(state, "max(histogram_quantile(0.9, requests_total))", Duration{0},
      ArrayStorage::Kind::kHistograms);
}

BENCHMARK(count_instant)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(count_by_instant)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(rate_range)->Arg(1'000)->Arg(44'000);
BENCHMARK(max_over_time_range)->Arg(1'000)->Arg(44'000);
BENCHMARK(ratio_range)->Arg(1'000)->Arg(44'000);
BENCHMARK(histogram_rate_range)->Arg(1'000);
BENCHMARK(histogram_quantile_range)->Arg(1'000);
BENCHMARK(histogram_count_range)->Arg(1'000);
BENCHMARK(histogram_quantile_instant)->Arg(1'000);

}  // namespace
}  // namespace tarsier::query
