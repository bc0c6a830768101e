#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::query {

/// The queries that are running, in a file that outlives the process: `queries.active`, as
/// Prometheus writes it. After a crash the next start names them. The file is '[' and slots of 1000
/// bytes: an entry `{"query":"...","timestamp_sec":...}`, zeroes, and ',' as the last byte; an
/// empty slot is zeroes. Any number of threads.
class ActiveQueryLog final {
 public:
  /// Tells `log` what an earlier process left unfinished, then begins anew with `slot_count` slots.
  /// Errors are told and cost only this log.
  static std::unique_ptr<ActiveQueryLog> open(FileSystem& files, const std::string& directory,
                                              std::size_t slot_count, Logger& log);

  /// Returns the slot to give back; queries beyond the slots are not written and get kNoSlot.
  std::size_t insert(std::string_view query, Timestamp now);
  void remove(std::size_t slot);

  static constexpr std::size_t kNoSlot = static_cast<std::size_t>(-1);

 private:
  ActiveQueryLog(std::unique_ptr<RewritableFile> file, std::size_t slot_count);

  const std::unique_ptr<RewritableFile> file_;
  Mutex mutex_;
  std::vector<std::size_t> free_ GUARDED_BY(mutex_);
};

/// What the file of an earlier process holds, as JSON; empty if it ended with none running.
std::string unfinished_queries(std::string_view file);

}  // namespace tarsier::query
