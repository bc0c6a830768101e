// What a sealed block takes of what an interchange block takes, and how fast it is made and read:
// the fleet, some hours of it, with everything a block has (index included).
//
//   sealed_figures [--series N] [--hours H] [--directory DIR] [--block DIR/ULID]
//
// With --block the given block of a Prometheus is sealed instead. Everything is verified to the
// byte by sealing itself, and counted again by reading both.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/posix_file.h"
#include "tests/support/fleet.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/compaction/seal.h"

namespace tarsier {
namespace {

using namespace tsdb;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Series {
  Labels labels;
  std::vector<XorEncoder> encoders;
  std::vector<EncodedChunk> chunks;
};

std::string write_fleet(FileSystem& files, const std::string& directory, std::size_t series_count,
                        double hours) {
  testing::Fleet fleet({.series_count = series_count});
  const auto scrapes = static_cast<std::size_t>(hours * 240);
  std::vector<Series> series(fleet.size());
  for (std::size_t i = 0; i < fleet.size(); ++i) series[i].labels = fleet.labels(i);
  Timestamp first = kMaxTimestamp;
  Timestamp last = kMinTimestamp;
  for (std::size_t scrape = 0; scrape < scrapes; ++scrape) {
    fleet.step();
    for (std::size_t i = 0; i < fleet.size(); ++i) {
      Series& one = series[i];
      const Sample sample = fleet.samples()[i];
      if (scrape % 120 == 0) {
        one.encoders.emplace_back();
        one.chunks.push_back({.min_time = sample.t});
      }
      one.encoders.back().append(sample);
      one.chunks.back().max_time = sample.t;
      first = std::min(first, sample.t);
      last = std::max(last, sample.t);
    }
  }
  std::sort(series.begin(), series.end(),
            [](const Series& a, const Series& b) { return a.labels < b.labels; });
  BlockMeta meta;
  meta.ulid = testing::test_ulid(1);
  meta.sources = {meta.ulid};
  meta.min_time = first;
  meta.max_time = last + milliseconds(1);
  SymbolSet symbols;
  for (const Series& one : series) symbols.add(one.labels);
  auto writer =
      BlockWriter::create(files, directory, meta, std::move(symbols), std::uint64_t{512} << 20)
          .value();
  for (Series& one : series) {
    for (std::size_t c = 0; c < one.chunks.size(); ++c) {
      one.chunks[c].chunk = {ChunkEncoding::kXor, one.encoders[c].bytes()};
    }
    CHECK(writer->add_series(one.labels, one.chunks).ok());
  }
  CHECK(writer->finish().ok());
  return join_path(directory, meta.ulid.to_string());
}

struct Scan {
  std::uint64_t samples = 0;
  double sum = 0;
  double seconds = 0;
};

Scan scan(const Querier& querier) {
  Scan best{.seconds = 1e9};
  for (int round = 0; round < 3; ++round) {
    const auto set = querier.select({}, {}, nullptr).value();
    SampleColumns columns;
    Scan now;
    const double start = seconds();
    for (std::size_t i = 0; i < set->size(); ++i) {
      columns.clear();
      CHECK(set->read(i, TimeRange{}, columns).ok());
      now.samples += columns.size();
      if (columns.size() > 0) now.sum += columns.values.back();
    }
    now.seconds = seconds() - start;
    if (now.seconds < best.seconds) best = now;
  }
  return best;
}

std::uint64_t file_bytes(FileSystem& files, const std::string& path) {
  const auto file = files.open_readable(path, Access::kRead);
  return file.ok() ? (*file)->size() : 0;
}

void measure(FileSystem& files, const std::string& directory, const std::string& block_directory) {
  const auto block = Block::open(files, block_directory).value();
  const auto samples = static_cast<double>(block->meta().sample_count);
  fmt::print("{} series, {} samples, {} chunks\n", block->meta().series_count,
             block->meta().sample_count, block->meta().chunk_count);
  const Scan plain = scan(*make_block_querier(block, {}));
  fmt::print("block            {:.4f} bytes/sample ({:.4f} index)   read {:.2f} ns/sample\n",
             static_cast<double>(block->size_bytes()) / samples,
             static_cast<double>(block->index().size_bytes()) / samples,
             plain.seconds * 1e9 / samples);
  int number = 10;
  for (const ColumnProfile profile : {ColumnProfile::kPacked, ColumnProfile::kSmallest}) {
    std::vector<std::unique_ptr<ChunkSource>> sources;
    sources.push_back(make_block_chunk_source(files, block_directory, block).value());
    SealRequest request;
    request.sealed_directory = join_path(directory, "sealed");
    request.ulid = testing::test_ulid(++number);
    request.profile = profile;
    const double start = seconds();
    const auto sealed = seal_blocks(files, request, sources, nullptr);
    if (!sealed.ok()) {
      fmt::print("cannot be sealed: {}\n", sealed.status().message());
      return;
    }
    const double took = seconds() - start;
    const Scan fast = scan(*make_sealed_querier(*sealed, {}));
    CHECK(fast.samples == plain.samples);
    const std::string path = join_path(request.sealed_directory, request.ulid.to_string());
    const auto each = [&](const char* file) {
      return static_cast<double>(file_bytes(files, join_path(path, file))) / samples;
    };
    fmt::print(
        "sealed {:<9} {:.4f} bytes/sample ({:.4f} columns, {:.4f} index, {:.4f} origin)   "
        "read {:.2f} ns/sample, sealed and verified {:.0f} ns/sample\n",
        profile == ColumnProfile::kPacked ? "packed" : "smallest",
        static_cast<double>((*sealed)->size_bytes()) / samples, each("columns"), each("index"),
        each("origin"), fast.seconds * 1e9 / samples, took * 1e9 / samples);
  }
}

int run(int argc, char** argv) {
  std::size_t series = 26'000;
  double hours = 7;
  std::string directory = "sealed_figures.data";
  std::string block;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--series") series = static_cast<std::size_t>(std::atoll(argv[i + 1]));
    if (name == "--hours") hours = std::atof(argv[i + 1]);
    if (name == "--directory") directory = argv[i + 1];
    if (name == "--block") block = argv[i + 1];
  }
  const auto files = make_posix_file_system();
  CHECK(files->remove_all(directory).ok());
  CHECK(files->create_directories(directory).ok());
  if (block.empty()) block = write_fleet(*files, directory, series, hours);
  measure(*files, directory, block);
  CHECK(files->remove_all(directory).ok());
  return 0;
}

}  // namespace
}  // namespace tarsier

int main(int argc, char** argv) { return tarsier::run(argc, argv); }
