#include "server/memory_guard.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include <malloc.h>
#include <unistd.h>

namespace tarsier::server {
namespace {

/// Often enough that a flood of new series cannot pass the limit by much in between.
constexpr Duration kInterval = milliseconds(100);
/// Full from here on, and again with room below the second: no flapping in between.
constexpr std::uint64_t kFullPercent = 95;
constexpr std::uint64_t kRoomPercent = 92;
/// What a control group says that has no limit.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

std::uint64_t number_in(const char* path) {
  const File file(std::fopen(path, "r"), &std::fclose);
  unsigned long long value = 0;
  if (!file || std::fscanf(file.get(), "%llu", &value) != 1) return 0;
  return value;
}

/// Resident pages that no file backs.
std::uint64_t anonymous_bytes() {
  const File file(std::fopen("/proc/self/statm", "r"), &std::fclose);
  unsigned long long size = 0;
  unsigned long long resident = 0;
  unsigned long long shared = 0;
  if (!file || std::fscanf(file.get(), "%llu %llu %llu", &size, &resident, &shared) != 3) return 0;
  return (resident - std::min(resident, shared)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::uint64_t available_memory_bytes() {
  const std::uint64_t machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                                static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t least = machine;
  // Version 2 of control groups, then version 1, as they look from inside of a container.
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const std::uint64_t limit = number_in(path);
    if (limit != 0 && limit < kNoLimit) least = std::min(least, limit);
  }
  return least;
}

void keep_allocator_small() {
  // Bodies of requests, which come and go all the time, stay below; what is larger is rare.
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

void MemoryGuard::observe(std::uint64_t anonymous_bytes) {
  used_bytes_.store(anonymous_bytes, std::memory_order_relaxed);
  if (limit_bytes_ == 0) return;
  const std::uint64_t percent = is_full_ ? kRoomPercent : kFullPercent;
  const bool is_full = anonymous_bytes >= limit_bytes_ / 100 * percent;
  if (is_full == is_full_) return;
  is_full_ = is_full;
  set_full_(is_full);
  if (is_full) {
    log_.warn("Memory is used up: new series are refused",
              {{"used_bytes", std::to_string(anonymous_bytes)},
               {"limit_bytes", std::to_string(limit_bytes_)}});
  } else {
    log_.info("There is memory for new series again",
              {{"used_bytes", std::to_string(anonymous_bytes)}});
  }
}

Timestamp MemoryGuard::run_due(Timestamp now) {
  std::uint64_t used = anonymous_bytes();
  // What was freed may not have gone back to the system: it is not used, and must not count.
  if (limit_bytes_ != 0 && !is_full_ && used >= limit_bytes_ / 100 * kFullPercent) {
    ::malloc_trim(0);
    used = anonymous_bytes();
  }
  observe(used);
  return now + kInterval;
}

void MemoryGuard::collect(MetricWriter& out) const {
  out.gauge("tarsier_memory_anonymous_bytes", "Anonymous memory of the process.",
            static_cast<double>(used_bytes_.load(std::memory_order_relaxed)));
  out.gauge("tarsier_memory_limit_bytes",
            "Anonymous memory the process may use (--storage.memory-limit); 0: no limit.",
            static_cast<double>(limit_bytes_));
}

}  // namespace tarsier::server
