#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::ingest {

/// The files that jobs write their failed scrapes to (`scrape_failure_log_file`), a line of JSON
/// each, with Prometheus' fields. Jobs may share a file. Any number of threads.
class FailureLog final {
 public:
  /// Both outlive it.
  FailureLog(FileSystem& files, Logger& log) : files_(files), log_(log) {}

  /// Opens these files anew and closes all others: whoever rotates logs has moved them and asked
  /// for a reload. What cannot be opened goes on as it was, if it was open.
  void open(const std::set<std::string>& paths);
  /// Does nothing if `path` is not open. Failures to write are counted.
  void write(const std::string& path, Timestamp now, std::string_view job, std::string_view target,
             std::string_view error);
  void collect(MetricWriter& out) const;

 private:
  FileSystem& files_;
  Logger& log_;
  mutable Mutex mutex_;
  // Lines are short and go to the page cache; the lock only keeps them whole.
  std::map<std::string, std::unique_ptr<WritableFile>> open_ GUARDED_BY(mutex_);
  Counter failures_;
};

}  // namespace tarsier::ingest
