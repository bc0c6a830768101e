#include "tsdb/maintenance.h"

#include <algorithm>
#include <utility>

namespace tarsier::tsdb {
namespace {

/// How often to look whether it goes on.
constexpr Duration kPaused = minutes(1);

}  // namespace

void Maintenance::pause() {
  const MutexLock lock(mutex_);
  status_.is_paused = true;
}

void Maintenance::resume() {
  const MutexLock lock(mutex_);
  status_.is_paused = false;
}

MaintenanceStatus Maintenance::status() const {
  const MutexLock lock(mutex_);
  return status_;
}

void Maintenance::count_series() {
  const MutexLock lock(mutex_);
  ++status_.series_done;
}

Duration Maintenance::rest(double elapsed_seconds) const {
  const MutexLock lock(mutex_);
  if (status_.is_paused) return kPaused;
  const double left = rests_until_ - elapsed_seconds;
  return left > 0 ? Duration{static_cast<std::int64_t>(left * 1000) + 1} : Duration{};
}

void Maintenance::begin(std::string work, Timestamp now, double elapsed_seconds) {
  began_ = elapsed_seconds;
  const MutexLock lock(mutex_);
  status_.work = std::move(work);
  status_.since = now;
  status_.series_done = 0;
}

void Maintenance::end(bool did_work, double elapsed_seconds) {
  const double took = std::max(0.0, elapsed_seconds - began_);
  const auto percent = static_cast<double>(std::clamp<std::uint64_t>(percent_, 1, 100));
  if (did_work) rests_until_ = elapsed_seconds + took * (100 - percent) / percent;
  const MutexLock lock(mutex_);
  status_.work.clear();
  if (!did_work) return;
  ++status_.steps;
  status_.seconds += took;
}

void Maintenance::collect(MetricWriter& out) const {
  const MaintenanceStatus now = status();
  out.gauge("tarsier_tsdb_maintenance_paused", "1 while background work on blocks is paused.",
            now.is_paused ? 1 : 0);
  out.gauge("tarsier_tsdb_maintenance_running", "1 while background work on blocks is done.",
            now.work.empty() ? 0 : 1);
  out.gauge("tarsier_tsdb_maintenance_series_done",
            "Series already in the block that is being made.",
            static_cast<double>(now.series_done));
  out.counter("tarsier_tsdb_maintenance_steps_total", "Pieces of background work finished.",
              static_cast<double>(now.steps));
  out.counter("tarsier_tsdb_maintenance_seconds_total", "Time background work on blocks took.",
              now.seconds);
}

}  // namespace tarsier::tsdb
