// What queries cost over a real head, in time and memory: loads the fleet straight into a database
// and asks an engine of one or several threads.
//
//   cmake --preset bench && cmake --build --preset bench --target query_figures
//   build/bench/tests/bench/query_figures --directory /var/tmp/query --series 1000000 --hours 6
//   --interval 120 --query 'sum by (pod) (rate(http_requests_total[10m]))' --step 300
//
// Without --query it asks the set of the targets, over the last hour and at one moment. `--cancel
// MS` cancels the query after so long and prints how long it then took to end. Memory is what the
// query's budget counted at most, and by how much the process' anonymous memory (RssAnon) grew
// while it ran; CPU is of the process.

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/cancel.h"
#include "base/check.h"
#include "base/posix_file.h"
#include "base/thread_pool.h"
#include "query/engine.h"
#include "tests/support/fleet.h"
#include "tsdb/db.h"

namespace tarsier::bench {
namespace {

struct Settings {
  std::string directory = "/var/tmp/tarsier-query";
  std::size_t series = 100'000;
  double hours = 1;
  std::int64_t interval_s = 15;
  std::size_t threads = 2;
  std::int64_t range_s = 3600;
  std::int64_t step_s = 60;
  std::int64_t cancel_ms = 0;
  int repeats = 5;
  std::vector<std::string> queries;
};

double seconds_of(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double anonymous_megabytes() {
  std::ifstream in("/proc/self/status");
  double sum = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("RssAnon:") || line.starts_with("RssShmem:")) {
      sum += std::strtod(line.c_str() + line.find(':') + 1, nullptr) / 1024;
    }
  }
  return sum;
}

/// Looks at the process' memory every few milliseconds.
class MemoryWatch final {
 public:
  MemoryWatch() : before_(anonymous_megabytes()), most_(before_), thread_([this] { run(); }) {}
  ~MemoryWatch() {
    if (thread_.joinable()) stop();
  }
  double stop() {
    is_over_ = true;
    thread_.join();
    return most_ - before_;
  }

 private:
  void run() {
    while (!is_over_) {
      most_ = std::max(most_, anonymous_megabytes());
      ::usleep(3000);
    }
  }
  const double before_;
  double most_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

/// Returns the time of the newest sample.
Timestamp load(const Settings& settings, tsdb::Db& db) {
  constexpr std::size_t kBatch = 2'000;
  testing::Fleet fleet({.series_count = settings.series, .interval = seconds(settings.interval_s)});
  std::vector<tsdb::SeriesRef> refs(fleet.size());
  std::vector<tsdb::AppendOutcome> outcomes(kBatch);
  Timestamp newest = kMinTimestamp;
  const auto scrapes =
      static_cast<std::size_t>(settings.hours * 3600 / static_cast<double>(settings.interval_s));
  for (std::size_t scrape = 0; scrape < scrapes; ++scrape) {
    fleet.step();
    for (std::size_t begin = 0; begin < fleet.size(); begin += kBatch) {
      const std::size_t count = std::min(kBatch, fleet.size() - begin);
      for (;;) {
        const auto appender = db.appender();
        for (std::size_t i = begin; i < begin + count && scrape == 0; ++i) {
          refs[i] = appender->resolve(fleet.labels(i)).value();
        }
        appender->append_batch(std::span(refs).subspan(begin, count),
                               fleet.samples().subspan(begin, count),
                               std::span(outcomes).first(count));
        if (appender->commit().ok()) break;
        ::usleep(2000);  // The log waits for the disk.
      }
    }
    for (const tsdb::Sample& sample : fleet.samples()) newest = std::max(newest, sample.t);
    db.write_head_chunks_due(newest);
  }
  return newest;
}

void ask(const Settings& settings, const query::Engine& engine, tsdb::Db& db,
         const std::string& text, Timestamp end, Duration range, Duration step) {
  const query::QueryRequest request{.text = text, .start = end - range, .end = end, .step = step};
  const query::PreparedQuery prepared = engine.prepare(request).value();
  std::vector<double> walls;
  std::vector<double> cpus;
  double growth = 0;
  double held = 0;
  std::uint64_t samples = 0;
  std::size_t results = 0;
  std::string failure;
  for (int i = 0; i < settings.repeats + 1; ++i) {
    CancelToken cancel;
    std::atomic<double> cancelled_at{0};
    std::thread canceller;
    if (settings.cancel_ms > 0) {
      canceller = std::thread([&] {
        ::usleep(static_cast<useconds_t>(settings.cancel_ms * 1000));
        cancelled_at = seconds_of(CLOCK_MONOTONIC);
        cancel.cancel();
      });
    }
    MemoryWatch memory;
    const double wall = seconds_of(CLOCK_MONOTONIC);
    const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    const auto result = engine.run(db, prepared, &cancel);
    const double ended = seconds_of(CLOCK_MONOTONIC);
    const double used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    const double grown = memory.stop();
    if (canceller.joinable()) canceller.join();
    if (i == 0 && settings.cancel_ms == 0) continue;  // A warm-up.
    growth = std::max(growth, grown);
    walls.push_back(settings.cancel_ms > 0 ? ended - cancelled_at : ended - wall);
    cpus.push_back(used);
    if (!result.ok()) {
      failure = result.status().message();
      continue;
    }
    samples = result->statistics.samples_read;
    held = static_cast<double>(result->statistics.memory_peak_bytes) / 1e6;
    results = result->vector.size() + result->matrix.size();
  }
  std::sort(walls.begin(), walls.end());
  std::sort(cpus.begin(), cpus.end());
  fmt::print(
      "| `{}` {} | {:.1f} | {:.1f} | {} | {} | {:.1f} | {:.1f} | {}\n", text,
      step.ms == 0 ? "instant" : fmt::format("{} s at {} s", range.ms / 1000, step.ms / 1000),
      walls[walls.size() / 2] * 1000, cpus[cpus.size() / 2] * 1000, samples, results, held, growth,
      failure);
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--directory") settings.directory = value;
    if (name == "--series") settings.series = std::stoul(value);
    if (name == "--hours") settings.hours = std::stod(value);
    if (name == "--interval") settings.interval_s = std::stol(value);
    if (name == "--threads") settings.threads = std::stoul(value);
    if (name == "--range") settings.range_s = std::stol(value);
    if (name == "--step") settings.step_s = std::stol(value);
    if (name == "--cancel") settings.cancel_ms = std::stol(value);
    if (name == "--repeats") settings.repeats = std::stoi(value);
    if (name == "--query") settings.queries.push_back(value);
  }
  const auto files = make_posix_file_system();
  ThreadPool pool({.thread_count = std::max<std::size_t>(1, settings.threads - 1)});
  NullLogger log;
  tsdb::Options options;
  options.wal_sync = tsdb::WalSync::kNone;
  options.head_image_interval = Duration{0};
  std::filesystem::remove_all(settings.directory);
  auto db = tsdb::Db::open(*files, settings.directory, options, log, &pool).value();
  std::thread sync([&] {
    while (db->sync_due()) {
    }
  });
  const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const Timestamp end = load(settings, *db);
  fmt::print("{} series, {} h at {} s loaded in {:.1f} CPU s; {} threads; {:.0f} MB anonymous\n",
             settings.series, settings.hours, settings.interval_s,
             seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu, settings.threads, anonymous_megabytes());
  fmt::print("| query | {} ms | CPU ms | samples | results | counted MB | grown MB |\n",
             settings.cancel_ms > 0 ? "until cancelled" : "wall");
  const query::Engine engine(query::EngineOptions{}, settings.threads > 1 ? &pool : nullptr);
  const Duration range = seconds(settings.range_s);
  const Duration step = seconds(settings.step_s);
  for (const std::string& text : settings.queries)
    ask(settings, engine, *db, text, end, range, step);
  if (settings.queries.empty()) {
    for (const char* text : {"count({__name__!=\"\"})", "count by (job) ({__name__!=\"\"})",
                             "count({__name__=~\".*_total\",job=\"node-exporter\"})"}) {
      ask(settings, engine, *db, text, end, Duration{0}, Duration{0});
    }
    for (const char* text : {"sum(rate(http_request_duration_seconds_bucket[5m]))",
                             "sum by (pod) (rate(http_request_duration_seconds_bucket[5m]))",
                             "sum by (job, code) (rate(http_requests_total[5m]))"}) {
      ask(settings, engine, *db, text, end, range, step);
    }
  }
  db->interrupt_sync();
  sync.join();
  std::fflush(stdout);
  ::_exit(0);
}

}  // namespace
}  // namespace tarsier::bench

int main(int argc, char** argv) { return tarsier::bench::run(argc, argv); }
