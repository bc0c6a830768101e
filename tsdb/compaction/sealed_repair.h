#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/verification.h"

namespace tarsier::tsdb {

/// verify_database's part of sealed and downsampled blocks: lets every chunk of every source come
/// back and reads every row. Adds to `totals`, in which a record is a chunk.
Status verify_sealed_blocks(FileSystem& files, const std::string& data_directory,
                            const std::function<void(const Finding&)>& report,
                            VerificationTotals& totals);

/// repair_database's part of them: a damaged sealed block is taken apart into the interchange
/// blocks it was made of, a damaged one of these without the series that cannot be read; a damaged
/// downsampled block is made again if its samples are there. What was damaged goes to
/// `tarsier/damaged`. Returns how many things were repaired.
Result<std::uint64_t> repair_sealed_blocks(FileSystem& files, const std::string& data_directory,
                                           Timestamp now, Logger& log);

}  // namespace tarsier::tsdb
