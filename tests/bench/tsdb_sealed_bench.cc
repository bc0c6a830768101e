// The codec of sealed blocks over the values of the fleet. Unit: ns per sample, bytes per sample.

#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "tests/support/fleet.h"
#include "tsdb/chunk/packed_column.h"

namespace tarsier::tsdb {
namespace {

/// One vector for each series of one unit of the fleet.
const std::vector<std::vector<double>>& fleet_values() {
  static const std::vector<std::vector<double>> kColumns = [] {
    testing::Fleet fleet({.series_count = 2'600});
    std::vector<std::vector<double>> columns(fleet.size());
    for (std::size_t scrape = 0; scrape < kVectorSamplesMax; ++scrape) {
      fleet.step();
      for (std::size_t i = 0; i < fleet.size(); ++i) columns[i].push_back(fleet.samples()[i].v);
    }
    return columns;
  }();
  return kColumns;
}

void report(benchmark::State& state, std::size_t bytes) {
  const auto samples = static_cast<double>(state.iterations()) * kVectorSamplesMax;
  state.counters["per_sample"] =
      benchmark::Counter(samples, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes/sample"] = static_cast<double>(bytes) / samples;
}

/// The argument is the profile.
void encode_column(benchmark::State& state) {
  const auto& columns = fleet_values();
  const auto profile = static_cast<ColumnProfile>(state.range(0));
  std::size_t i = 0;
  std::size_t bytes = 0;
  std::string out;
  for (auto _ : state) {
    out.clear();
    encode_values(columns[i++ % columns.size()], profile, out);
    bytes += out.size();
  }
  report(state, bytes);
}
BENCHMARK(encode_column)->DenseRange(0, 1)->Iterations(5200);

void decode_column(benchmark::State& state) {
  const auto profile = static_cast<ColumnProfile>(state.range(0));
  std::vector<std::string> encoded;
  for (const std::vector<double>& column : fleet_values()) {
    encode_values(column, profile, encoded.emplace_back());
    encoded.back().append(16, '\0');  // In a file something follows.
  }
  std::vector<double> out(kVectorSamplesMax);
  std::size_t i = 0;
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::string& column = encoded[i++ % encoded.size()];
    ByteReader in(as_bytes(column));
    CHECK(decode_values(in, out));
    benchmark::DoNotOptimize(out.data());
    bytes += column.size() - 16;
  }
  report(state, bytes);
}
BENCHMARK(decode_column)->DenseRange(0, 1)->Iterations(26000);

}  // namespace
}  // namespace tarsier::tsdb
