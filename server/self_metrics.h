#pragma once

#include <atomic>
#include <cstdint>

#include "base/metric.h"
#include "base/time.h"

namespace tarsier::server {

/// What the process says about itself: process_*, build information and the state of the
/// configuration, under the names that alerts for Prometheus use. Any number of threads.
class SelfMetrics final {
 public:
  explicit SelfMetrics(Timestamp start_time) : start_time_(start_time) {}

  void config_loaded(Timestamp now);
  void config_refused() { config_ok_.store(false); }
  bool config_is_good() const { return config_ok_.load(); }
  Timestamp config_time() const { return {config_time_ms_.load()}; }
  Timestamp start_time() const { return start_time_; }

  void collect(MetricWriter& out, bool is_ready) const;

 private:
  const Timestamp start_time_;
  std::atomic<bool> config_ok_{true};
  std::atomic<std::int64_t> config_time_ms_{0};
};

}  // namespace tarsier::server
