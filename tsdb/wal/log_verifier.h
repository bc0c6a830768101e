#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace tarsier::tsdb {

struct LogTotals {
  std::uint64_t segments = 0;
  std::uint64_t records = 0;
};

/// Reads every segment of a log and of its checkpoints, each by itself, and decodes every record.
/// `report` gets path and trouble. The torn end of the last segment, which a crash leaves, is
/// reported as such. A directory that is missing is an empty log.
Result<LogTotals> verify_log(
    FileSystem& files, const std::string& log_directory,
    const std::function<void(const std::string& path, const std::string& what)>& report);

}  // namespace tarsier::tsdb
