#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace tarsier::tsdb {

// What stands in the log in front of a commit that takes several records (FORMAT.md, "Log
// records"): how many of the next ones belong together. A log that ends before the last of them
// ends, for us, before the first. Prometheus passes over it, as over every type it does not know.

/// Stored: never change.
inline constexpr unsigned char kCommitGroupType = 0xF0;
/// More are never announced, and an announcement of more is none.
inline constexpr std::size_t kCommitGroupRecordsMax = 1000;

void encode_commit_group(std::size_t record_count, std::string& out);
/// No value if the record is something else.
std::optional<std::size_t> decode_commit_group(Bytes record);

}  // namespace tarsier::tsdb
