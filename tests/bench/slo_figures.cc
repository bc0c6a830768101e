// What objectives cost in a server's own composition (database, follower of the log, runner): CPU
// of one evaluation, memory, a followed sample, and the time from a restart to the first
// evaluation.
//
//   cmake --preset bench && cmake --build --preset bench --target slo_figures
//   build/bench/tests/bench/slo_figures --directory /var/tmp/slo --slos 10000 --minutes 150
//   build/bench/tests/bench/slo_figures --directory /var/tmp/slo --definition promql --slos 10000
//       --series 20 --minutes 10
//
// `--writes no` leaves the series out that objectives write into the database, to tell their cost
// from that of judging. `--series` is per objective, `--minutes` the history that is there when it
// begins. Times are CPU of the evaluating thread; windows longer than the history have their left
// edge before it.

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "alerting/slo_runner.h"
#include "base/check.h"
#include "base/posix_file.h"
#include "query/engine.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/null_appender.h"
#include "tsdb/db.h"
#include "tsdb/wal_follower.h"

namespace tarsier::bench {
namespace {

struct Settings {
  std::string directory = "/var/tmp/tarsier-slo";
  std::size_t slos = 10'000;
  std::size_t series = 2;
  std::int64_t minutes = 150;
  std::int64_t steps = 12;
  bool is_promql = false;
  bool writes = true;  ///< Stores the series that objectives write.
};

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double resident_bytes() {
  std::ifstream in("/proc/self/status");
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("RssAnon:")) return 1024 * std::strtod(line.c_str() + 8, nullptr);
  }
  return 0;
}

std::shared_ptr<const alerting::Slo> objective(std::size_t i, bool is_promql) {
  alerting::SloDefinition definition;
  definition.name = fmt::format("slo-{}", i);
  definition.objective_percent = 99.9;
  definition.counting = is_promql ? alerting::SloCounting::kPromql : alerting::SloCounting::kEvents;
  definition.sli = {.kind = alerting::SliDefinition::Kind::kErrors,
                    .errors = fmt::format("requests{{service=\"s{}\",code=\"500\"}}", i),
                    .total = fmt::format("requests{{service=\"s{}\"}}", i)};
  auto slo = alerting::Slo::compile(std::move(definition));
  CHECK(slo.ok(), slo.status().message());
  return *slo;
}

/// A database whose services count requests, and what follows its log for objectives.
class Station {
 public:
  explicit Station(const Settings& settings) : settings_(settings) {
    tsdb::Options options;
    options.wal_sync = tsdb::WalSync::kNone;
    auto opened = tsdb::Db::open(*files_, settings.directory + "/data", options, log_, nullptr);
    CHECK(opened.ok(), opened.status().message());
    db_ = std::move(*opened);
    db_->interrupt_sync();  // From here on sync_due() writes what waits, and returns.
    const auto appender = db_->appender();
    for (std::size_t i = 0; i < settings.slos; ++i) {
      for (std::size_t n = 0; n < settings.series; ++n) {
        const auto ref = appender->resolve(tsdb::Labels({{"__name__", "requests"},
                                                         {"code", n % 2 == 0 ? "200" : "500"},
                                                         {"instance", fmt::format("{}", n / 2)},
                                                         {"service", fmt::format("s{}", i)}}));
        CHECK(ref.ok());
        refs_.push_back(*ref);
      }
    }
    CHECK(appender->commit().ok());
    auto history = alerting::EventHistory::open(*files_, settings.directory + "/slo", {}, log_);
    CHECK(history.ok(), history.status().message());
    history_ = std::move(*history);
  }

  void scrape(std::int64_t step) {
    const auto appender = db_->appender();
    for (std::size_t n = 0; n < refs_.size(); ++n) {
      const double value = static_cast<double>(n % 2 == 0 ? 1000 * step : step / 8);
      static_cast<void>(appender->append(refs_[n], {.t = {step * 15'000 - 1'000}, .v = value}));
    }
    CHECK(appender->commit().ok());
    CHECK(!db_->sync_due());
  }

  void begin() {
    runner_ = std::make_unique<alerting::SloRunner>(
        alerting::SloOptions{.backfill_slice = hours(1)},
        alerting::SloDoors{.engine = engine_,
                           .storage = *db_,
                           .make_appender = [this]() -> std::unique_ptr<tsdb::Appender> {
                             if (settings_.writes) return db_->appender();
                             return std::make_unique<testing::NullAppender>(next_series_);
                           },
                           .monotonic_ns = [] { return std::int64_t{0}; },
                           .log = log_,
                           .history = history_.get(),
                           .pull = [this](alerting::SloTaps& taps) { return pull(taps); },
                           .select =
                               [this](const std::vector<std::vector<tsdb::Matcher>>& selectors) {
                                 auto follower = db_->follow(
                                     {.name = "slo", .selectors = selectors, .from = std::nullopt});
                                 CHECK(follower.ok(), follower.status().message());
                                 follower_ = std::move(*follower);
                               }});
  }
  void end() {
    runner_.reset();
    follower_.reset();
  }

  /// CPU of one evaluation, without following samples.
  double evaluate(std::int64_t step) {
    follow_seconds = 0;
    tapping_seconds = 0;
    followed = 0;
    const Timestamp now{step * 15'000 + 2'000};
    const double begin = cpu_seconds();
    while (runner_->run_due(now) <= now) {
    }
    return cpu_seconds() - begin - follow_seconds;
  }
  alerting::SloRunner& runner() { return *runner_; }

  double follow_seconds = 0;
  double tapping_seconds = 0;  ///< Of these, without reading the log.
  std::uint64_t followed = 0;

 private:
  Status pull(alerting::SloTaps& taps) {
    const double begin = cpu_seconds();
    while (true) {
      TRY(follower_->read(50'000, batch_));
      if (batch_.empty()) break;
      const double taken = cpu_seconds();
      taps.take(batch_);
      tapping_seconds += cpu_seconds() - taken;
      followed += batch_.samples.size();
      follower_->release(batch_.end);
    }
    follow_seconds += cpu_seconds() - begin;
    return {};
  }

  const Settings settings_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  testing::CapturingLogger log_;
  query::Engine engine_{{}, nullptr};
  std::unique_ptr<tsdb::Db> db_;
  std::unique_ptr<alerting::EventHistory> history_;
  std::unique_ptr<alerting::SloRunner> runner_;
  std::unique_ptr<tsdb::WalFollower> follower_;
  tsdb::FollowedBatch batch_;
  std::vector<tsdb::SeriesRef> refs_;
  std::uint64_t next_series_ = 1;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

void run(const Settings& settings) {
  std::filesystem::remove_all(settings.directory);
  std::filesystem::create_directories(settings.directory + "/slo");
  Station station(settings);
  std::int64_t step = 1'700'000'000 / 15;
  for (const std::int64_t end = step + settings.minutes * 4; step < end;) station.scrape(++step);
  const auto count = static_cast<double>(settings.slos);
  const auto apply = [&] {
    std::vector<std::shared_ptr<const alerting::Slo>> slos;
    for (std::size_t i = 0; i < settings.slos; ++i) {
      slos.push_back(objective(i, settings.is_promql));
    }
    station.runner().apply(std::move(slos), {}, {step * 15'000 + 1'000});
  };
  const double before = resident_bytes();
  station.begin();
  double begin = cpu_seconds();
  apply();
  const double applied = cpu_seconds() - begin;
  const double first = station.evaluate(step);
  const double memory = resident_bytes() - before;
  fmt::print("{} objectives of {} series, {}, {} minutes of history{}\n", settings.slos,
             settings.series, settings.is_promql ? "promql" : "events", settings.minutes,
             settings.writes ? "" : ", writing no series");
  fmt::print("put in force                         {:8.1f} ms\n", 1e3 * applied);
  fmt::print("first evaluation, history counted    {:8.1f} ms\n", 1e3 * first);
  fmt::print("memory, followed series included     {:8.1f} bytes per objective\n", memory / count);
  std::vector<double> plain;
  std::vector<double> minute;
  std::vector<double> follow_ns;
  std::vector<double> tapping_ns;
  for (std::int64_t n = 0; n < settings.steps; ++n) {
    station.scrape(++step);
    const double seconds = station.evaluate(step);
    (step % 4 == 0 ? minute : plain).push_back(1e3 * seconds);
    if (station.followed > 0) {
      follow_ns.push_back(1e9 * station.follow_seconds / static_cast<double>(station.followed));
      tapping_ns.push_back(1e9 * station.tapping_seconds / static_cast<double>(station.followed));
    }
  }
  fmt::print("an evaluation                        {:8.1f} ms\n", median(plain));
  fmt::print("an evaluation that writes all series {:8.1f} ms (one of four)\n", median(minute));
  fmt::print("a followed sample                    {:8.1f} ns, and {:.1f} ns of reading the log\n",
             median(tapping_ns), median(follow_ns) - median(tapping_ns));
  station.end();
  station.begin();
  begin = cpu_seconds();
  apply();
  station.scrape(++step);
  const double again = station.evaluate(step);
  fmt::print("restart to the first evaluation      {:8.1f} ms\n", 1e3 * (cpu_seconds() - begin));
  static_cast<void>(again);
  station.end();
  std::filesystem::remove_all(settings.directory);
}

}  // namespace
}  // namespace tarsier::bench

int main(int argc, char** argv) {
  tarsier::bench::Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--directory") settings.directory = value;
    if (name == "--slos") settings.slos = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--series") settings.series = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--minutes") settings.minutes = std::strtoll(value.c_str(), nullptr, 10);
    if (name == "--steps") settings.steps = std::strtoll(value.c_str(), nullptr, 10);
    if (name == "--writes") settings.writes = value != "no";
    if (name == "--definition") settings.is_promql = value == "promql";
  }
  tarsier::bench::run(settings);
  return 0;
}
