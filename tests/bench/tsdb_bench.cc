// XOR chunks over the values of the fleet. Unit: ns per sample, bytes per sample.

#include <vector>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "tests/support/fleet.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kSamplesPerChunk = 120;  // Prometheus' usual chunk.

/// One chunk's worth of samples for each series of one unit of the fleet.
std::vector<std::vector<Sample>> fleet_columns() {
  testing::Fleet fleet({.series_count = 2'600});
  std::vector<std::vector<Sample>> columns(fleet.size());
  for (std::size_t scrape = 0; scrape < kSamplesPerChunk; ++scrape) {
    fleet.step();
    for (std::size_t i = 0; i < fleet.size(); ++i) columns[i].push_back(fleet.samples()[i]);
  }
  return columns;
}

void report(benchmark::State& state) {
  const auto samples = static_cast<double>(state.iterations()) * kSamplesPerChunk;
  state.counters["per_sample"] =
      benchmark::Counter(samples, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void encode_xor(benchmark::State& state) {
  const std::vector<std::vector<Sample>> columns = fleet_columns();
  std::size_t i = 0;
  std::size_t bytes = 0;
  for (auto _ : state) {
    XorEncoder encoder;
    for (const Sample& sample : columns[i++ % columns.size()]) encoder.append(sample);
    bytes += encoder.bytes().size();
  }
  report(state);
  state.counters["bytes/sample"] =
      static_cast<double>(bytes) / static_cast<double>(state.iterations()) / kSamplesPerChunk;
}
BENCHMARK(encode_xor);

void decode_xor(benchmark::State& state) {
  std::vector<std::string> chunks;
  for (const std::vector<Sample>& column : fleet_columns()) {
    XorEncoder encoder;
    for (const Sample& sample : column) encoder.append(sample);
    std::string chunk(as_text(encoder.bytes()));
    write_xor_count(std::as_writable_bytes(std::span(chunk)), kSamplesPerChunk);
    chunks.push_back(std::move(chunk));
  }
  SampleColumns out;
  std::size_t i = 0;
  for (auto _ : state) {
    out.clear();
    CHECK(decode_xor_chunk(as_bytes(chunks[i++ % chunks.size()]), TimeRange{}, out).ok());
    DCHECK(out.size() == kSamplesPerChunk);
  }
  report(state);
}
BENCHMARK(decode_xor);

}  // namespace
}  // namespace tarsier::tsdb
