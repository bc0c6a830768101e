#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "tsdb/options.h"
#include "tsdb/wal/log_reader.h"

namespace tarsier::testing {

/// Bytes from hexadecimal digits; blanks, bars and line ends are skipped.
std::string from_hex(std::string_view hex);

/// Makes a file with these contents, and its directory; everything synced.
void put_file(FileSystem& files, const std::string& path, std::string_view contents);

/// The file's bytes; fails the test if there is none.
std::string get_file(FileSystem& files, const std::string& path);

/// The segment files a writer makes of `records`, in order.
std::vector<std::string> lay_out(const std::vector<std::string>& records,
                                 tsdb::WalCompression compression, std::size_t segment_bytes);

/// What reading a log to its end gave.
struct LogContents {
  std::vector<std::string> records;
  Status status;
  std::optional<tsdb::LogDamage> damage;
};
LogContents read_log(FileSystem& files, const std::string& wal_directory);

}  // namespace tarsier::testing
