// A year of a fleet's 1-hour rows: what they take on disk, and how long graphs over the year take.
//
//   year_figures --directory DIR [--series N] [--days D]
//
// Rows are written as the downsampler writes them, a block a month, of gauges and counters with two
// decimals, 240 samples a row. Then a database is opened on them and asked as the server would be,
// on two threads; each figure is the median of five.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "base/posix_file.h"
#include "base/thread_pool.h"
#include "query/engine.h"
#include "tests/support/test_block.h"
#include "tsdb/block/tier_writer.h"
#include "tsdb/db.h"

namespace tarsier {
namespace {

using namespace tsdb;

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kBegin = 1'699'999'200'000;  // An hour's.
constexpr std::int64_t kHoursPerBlock = 30 * 24;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

Labels labels_of(std::size_t i) {
  const bool is_counter = i % 2 == 1;
  std::vector<std::string> texts = {is_counter ? "requests_total" : "queue_length",
                                    fmt::format("host-{:05}:9100", i / 2),
                                    fmt::format("job-{:02}", i / 2 % 20)};
  return Labels{{"__name__", texts[0]}, {"instance", texts[1]}, {"job", texts[2]}};
}

/// The rows of one series for the hours of a block.
void fill(std::size_t series, std::int64_t begin, std::int64_t hours, AggregateRows& rows) {
  std::mt19937_64 random(series * 1000 + static_cast<std::uint64_t>(begin / kHour) % 1000);
  const auto cents = [&](std::uint64_t below) {
    return static_cast<double>(random() % below) / 100;
  };
  rows.clear();
  double level = static_cast<double>(series % 300) + 100;
  double total = static_cast<double>((begin - kBegin) / kHour) * 360;
  for (std::int64_t h = 0; h < hours; ++h) {
    const double spread = cents(2000);
    level = std::round((level + cents(1000) - 5) * 100) / 100;
    total += std::floor(cents(72'000));
    const double last = series % 2 == 1 ? total : level;
    const double values[] = {240, 240 * last, last - spread, last + spread, last, 0};
    // Scraped every 15 s, at a moment of its own.
    rows.times_ms.push_back(begin + (h + 1) * kHour - 1 -
                            static_cast<std::int64_t>(series / 200 * 97 % 15'000));
    for (std::size_t c = 0; c < rows.columns.size(); ++c) rows.columns[c].push_back(values[c]);
  }
}

void write_year(FileSystem& files, const std::string& directory, std::size_t series_count,
                std::int64_t days) {
  const std::string shelf = join_path(directory, kTiersDirectory);
  CHECK(files.create_directories(shelf).ok());
  std::vector<std::pair<Labels, std::size_t>> series;
  SymbolSet symbols;
  for (std::size_t i = 0; i < series_count; ++i) series.push_back({labels_of(i), i});
  std::sort(series.begin(), series.end());
  for (const auto& [labels, i] : series) {
    for (const auto& label : labels) {
      symbols.add(label.name);
      symbols.add(label.value);
    }
  }
  int number = 1;
  for (std::int64_t h = 0; h < days * 24; h += kHoursPerBlock) {
    const std::int64_t hours = std::min(kHoursPerBlock, days * 24 - h);
    TierMeta meta;
    meta.ulid = testing::test_ulid(number++);
    meta.sealed = testing::test_ulid(100'000 + number);
    meta.resolution = Duration{kHour};
    meta.min_time = Timestamp{kBegin + h * kHour};
    meta.max_time = Timestamp{kBegin + (h + hours) * kHour};
    SymbolSet own = symbols;
    auto writer = TierWriter::create(files, shelf, meta, std::move(own));
    CHECK(writer.ok());
    AggregateRows rows;
    for (const auto& [labels, i] : series) {
      fill(i, meta.min_time.ms, hours, rows);
      CHECK((*writer)->add_series(labels, rows, {}).ok());
    }
    CHECK((*writer)->publish().ok());
  }
}

void ask(Db& db, const query::Engine& engine, const char* text, std::int64_t days) {
  query::QueryRequest request;
  request.text = text;
  request.start = Timestamp{kBegin + 24 * kHour};
  request.end = Timestamp{kBegin + days * 24 * kHour};
  request.step = Duration{kHour};
  const auto prepared = engine.prepare(request);
  CHECK(prepared.ok());
  std::vector<double> wall;
  std::vector<double> cpu;
  std::size_t points = 0;
  for (int round = 0; round < 5; ++round) {
    const double begin = seconds();
    const double cpu_begin = cpu_seconds();
    const auto result = engine.run(db, *prepared, nullptr);
    CHECK(result.ok());
    wall.push_back(seconds() - begin);
    cpu.push_back(cpu_seconds() - cpu_begin);
    points = 0;
    for (const auto& one : result->matrix) points += one.points.size();
  }
  std::sort(wall.begin(), wall.end());
  std::sort(cpu.begin(), cpu.end());
  fmt::print("{:<50} {:.2f} s, {:.2f} s of CPU, {} points\n", text, wall[2], cpu[2], points);
}

int run(int argc, char** argv) {
  std::string directory;
  std::size_t series_count = 10'000;
  std::int64_t days = 365;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--directory") directory = argv[i + 1];
    if (name == "--series") series_count = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--days") days = std::strtoll(argv[i + 1], nullptr, 10);
  }
  if (directory.empty()) {
    std::fputs("want --directory\n", stderr);
    return 1;
  }
  const auto files = make_posix_file_system();
  if (!files->exists(join_path(directory, kTiersDirectory))) {
    const double begin = seconds();
    write_year(*files, directory, series_count, days);
    fmt::print("written in {:.0f} s\n", seconds() - begin);
  }
  NullLogger log;
  Options options;
  options.retention = Duration{0};
  options.tiers = {{hours(1), Duration{0}}};
  ThreadPool pool({.thread_count = 1});
  auto db = Db::open(*files, directory, options, log, &pool).value();
  std::uint64_t bytes = 0;
  const std::string shelf = join_path(directory, kTiersDirectory);
  const auto blocks = files->list(shelf).value();
  for (const DirectoryEntry& block : blocks) {
    const std::string path = join_path(shelf, block.name);
    const auto parts = files->list(path).value();
    for (const DirectoryEntry& file : parts) {
      bytes += files->open_readable(join_path(path, file.name), Access::kRead).value()->size();
    }
  }
  const double rows = static_cast<double>(series_count) * static_cast<double>(days) * 24;
  fmt::print("{:.1f} M rows, {:.0f} MB, {:.2f} bytes a row\n", rows / 1e6,
             static_cast<double>(bytes) / 1e6, static_cast<double>(bytes) / rows);
  const query::Engine engine({}, &pool);
  for (const char* text : {"sum by (job) (queue_length)", "sum by (job) ({__name__=~\".+\"})",
                           "max by (job) (max_over_time(queue_length[1d]))",
                           "sum by (job) (rate(requests_total[1d]))"}) {
    ask(*db, engine, text, days);
  }
  return 0;
}

}  // namespace
}  // namespace tarsier

int main(int argc, char** argv) { return tarsier::run(argc, argv); }
