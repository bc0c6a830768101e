#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::tsdb {

/// One thing that is wrong with a data directory.
struct Finding {
  std::string path;  ///< The file, or the block, below the data directory's own path.
  std::string what;  ///< Where in it and what: "at 1234: checksum ..., expected ...".
};

/// What was looked at.
struct VerificationTotals {
  std::uint64_t blocks = 0;
  std::uint64_t series = 0;
  std::uint64_t chunks = 0;
  std::uint64_t samples = 0;
  std::uint64_t log_segments = 0;
  std::uint64_t log_records = 0;
  std::uint64_t findings = 0;
};

/// Reads every byte of every block, sealed and downsampled ones too, of the logs, of the head chunk
/// files and of the head image in `directory`, compares every checksum and decodes what it knows, and tells
/// `report` of each thing that is wrong; goes on behind it as far as that makes sense. Changes
/// nothing. Fails only when the disk does.
Result<VerificationTotals> verify_database(FileSystem& files, const std::string& directory,
                                           const std::function<void(const Finding&)>& report);

/// Makes a data directory sound again, under its lock: what is damaged goes to `tarsier/damaged` or
/// `tarsier/lost`, never away; what can be had without it is made anew:
///  - a block with damaged chunks or series becomes a new block of the others;
///  - a damaged meta.json is made again from the index;
///  - a damaged sealed block becomes the blocks it was made of again, without the series that
///  cannot
///    be read; a damaged downsampled block is made again by the server, if its samples are there;
///  - damaged tombstones are left out: what they hid is there again;
///  - a log is cut behind its last whole record, as a start would do.
/// `log` is told each step. Returns how many things were repaired. kUnavailable while a server
/// runs.
Result<std::uint64_t> repair_database(FileSystem& files, const std::string& directory,
                                      Timestamp now, Logger& log);

}  // namespace tarsier::tsdb
