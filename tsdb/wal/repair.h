#pragma once

#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "tsdb/wal/log_reader.h"

namespace tarsier::tsdb {

/// Makes a log readable to its end again, for us and for Prometheus: cuts the damaged segment
/// behind its last whole record and takes the later segments away. Nothing is deleted: the cut-off
/// bytes and the later segments go to `lost_directory` (made if missing, on the same file system),
/// and what was done is reported. The log may be opened for writing afterwards. Interrupted at any
/// point it can be repeated: the damage is found again until the end.
Status repair_log(FileSystem& files, const LogDamage& damage, const std::string& lost_directory,
                  Logger& log);

}  // namespace tarsier::tsdb
