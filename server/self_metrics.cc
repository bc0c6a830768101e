#include "server/self_metrics.h"

#include <cstdio>
#include <memory>
#include <string>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/version.h"

namespace tarsier::server {
namespace {

double seconds_of(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

double in_seconds(Timestamp t) { return static_cast<double>(t.ms) / 1000; }

double open_file_count() {
  DIR* const directory = ::opendir("/proc/self/fd");
  if (!directory) return 0;
  double count = -1;  // Not counting the one that looks.
  while (const dirent* entry = ::readdir(directory)) count += entry->d_name[0] == '.' ? 0 : 1;
  ::closedir(directory);
  return count;
}

/// Virtual and resident pages.
std::pair<double, double> memory_bytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "r"),
                                                             &std::fclose);
  unsigned long long virtual_pages = 0;
  unsigned long long resident_pages = 0;
  if (!file || std::fscanf(file.get(), "%llu %llu", &virtual_pages, &resident_pages) != 2)
    return {};
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return {static_cast<double>(virtual_pages) * page, static_cast<double>(resident_pages) * page};
}

}  // namespace

void SelfMetrics::config_loaded(Timestamp now) {
  config_ok_.store(true);
  config_time_ms_.store(now.ms);
}

void SelfMetrics::collect(MetricWriter& out, bool is_ready) const {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto [virtual_bytes, resident_bytes] = memory_bytes();
  out.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
              seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
  out.gauge("process_open_fds", "Number of open file descriptors.", open_file_count());
  out.gauge("process_max_fds", "Maximum number of open file descriptors.",
            static_cast<double>(files.rlim_cur));
  out.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtual_bytes);
  out.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident_bytes);
  out.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
            in_seconds(start_time_));
  out.gauge("prometheus_build_info",
            "A metric with a constant '1' value labeled by the API's version and the build's.", 1,
            {{"version", kPrometheusVersion},
             {"revision", ""},
             {"branch", ""},
             {"goversion", compiler_version()},
             {"tarsier_version", version()}});
  out.gauge("prometheus_config_last_reload_successful",
            "Whether the last configuration reload attempt was successful.",
            config_is_good() ? 1 : 0);
  out.gauge("prometheus_config_last_reload_success_timestamp_seconds",
            "Timestamp of the last successful configuration reload.", in_seconds(config_time()));
  out.gauge("prometheus_ready", "Whether the log is replayed and queries see everything.",
            is_ready ? 1 : 0);
}

}  // namespace tarsier::server
