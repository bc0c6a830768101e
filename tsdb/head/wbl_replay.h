#pragma once

#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "tsdb/head/head.h"
#include "tsdb/head/head_replay.h"

namespace tarsier::tsdb {

/// Brings the samples of the write-behind log into a head that knows all series. Damage is repaired
/// as in the log: what is before it is taken, what is behind it is set aside, and the out-of-order
/// chunks of files stand in for it as far as they go. Fails only when the disk does.
Status replay_wbl(FileSystem& files, const ReplaySources& sources, Head& head, Logger& log,
                  ReplayStatistics& statistics);

/// The same up to the first damage, which is reported and left as it is: for those who only look.
Status read_wbl(FileSystem& files, const std::string& directory, Head& head, Logger& log);

}  // namespace tarsier::tsdb
