#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"

namespace tarsier::query {

/// The file every finished query is written to, a line of JSON each. Any number of threads.
class QueryLog final {
 public:
  explicit QueryLog(FileSystem& files) : files_(files) {}

  /// Opens `path` for appending, also when it is open already: whoever rotates logs has moved it.
  /// An empty path turns the log off. After an error the old file goes on.
  Status open(const std::string& path);
  bool is_on() const;
  /// `line` without its newline. Failures are counted.
  void write(std::string line);
  /// prometheus_engine_query_log_*.
  void collect(MetricWriter& out) const;

 private:
  FileSystem& files_;
  mutable Mutex mutex_;
  // Lines are short and go to the page cache; the lock only keeps them whole.
  std::unique_ptr<WritableFile> file_ GUARDED_BY(mutex_);
  Counter failures_;
};

}  // namespace tarsier::query
