// XOR chunks and log records over the values of the fleet. Unit: ns per sample, bytes per sample.

#include <vector>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "base/compression.h"
#include "tests/support/fleet.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/wal/log_writer.h"
#include "tsdb/wal/record.h"

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

constexpr std::size_t kSamplesPerRecord = 2'000;  // A remote-write request.

std::vector<RefSample> fleet_request() {
  testing::Fleet fleet({.series_count = 2'600});
  for (int scrape = 0; scrape < 10; ++scrape) fleet.step();
  std::vector<RefSample> request;
  for (std::size_t i = 0; i < kSamplesPerRecord; ++i) {
    request.push_back({SeriesRef{i + 1}, fleet.samples()[i].t, fleet.samples()[i].v});
  }
  return request;
}

void report_records(benchmark::State& state) {
  const auto samples = static_cast<double>(state.iterations()) * kSamplesPerRecord;
  state.counters["per_sample"] =
      benchmark::Counter(samples, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// All that a commit does for the log before the sync thread takes over. The argument is the
/// compression.
void write_log_record(benchmark::State& state) {
  const std::vector<RefSample> request = fleet_request();
  const auto compression = static_cast<WalCompression>(state.range(0));
  LogWriter writer(0, std::size_t{128} << 20);
  LogOutput output;
  EncodedRecord encoded;
  std::string record;
  std::size_t bytes = 0;
  for (auto _ : state) {
    record.clear();
    encode_samples(request, record);
    encoded.encode(as_bytes(record), compression);
    writer.append(encoded, output);
    bytes += output.bytes.size();
    output.clear();
  }
  report_records(state);
  state.counters["bytes/sample"] =
      static_cast<double>(bytes) / static_cast<double>(state.iterations()) / kSamplesPerRecord;
}
BENCHMARK(write_log_record)->DenseRange(0, 2);

void read_log_record(benchmark::State& state) {
  std::string record;
  encode_samples(fleet_request(), record);
  std::string stored;
  snappy_compress(as_bytes(record), stored);
  std::string plain;
  std::vector<RefSample> samples;
  for (auto _ : state) {
    CHECK(snappy_decompress(as_bytes(stored), kLogRecordBytesMax, plain).ok());
    CHECK(decode_samples(as_bytes(plain), samples).ok());
    benchmark::DoNotOptimize(samples.data());
  }
  report_records(state);
}
BENCHMARK(read_log_record);

}  // namespace
}  // namespace tarsier::tsdb
