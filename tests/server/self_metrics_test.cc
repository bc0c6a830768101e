#include "server/self_metrics.h"

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

TEST(SelfMetrics, TellTheProcessAndTheConfiguration) {
  SelfMetrics self({5000});
  self.config_loaded({7000});
  self.config_refused();
  MetricWriter out;
  self.collect(out, /*is_ready=*/true);
  const std::string text = out.take();
  for (const char* line :
       {"process_start_time_seconds 5\n", "prometheus_ready 1\n",
        "prometheus_config_last_reload_successful 0\n",
        "prometheus_config_last_reload_success_timestamp_seconds 7\n",
        "prometheus_build_info{version=\"3.14.0\"", "# TYPE process_cpu_seconds_total counter\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  for (const char* zero : {"process_resident_memory_bytes 0\n", "process_open_fds 0\n"}) {
    EXPECT_EQ(text.find(zero), std::string::npos) << zero;
  }
}

}  // namespace
}  // namespace tarsier::server
