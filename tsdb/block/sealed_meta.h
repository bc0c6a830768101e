#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/ulid.h"

namespace tarsier::tsdb {

/// Where sealed blocks lie, below the data directory: a directory each, named by its ULID.
inline constexpr std::string_view kSealedDirectory = "tarsier/sealed";

/// An interchange block that was sealed.
struct SealedSource {
  BlockMeta meta;
  std::string meta_json;  ///< As the block had it, to the byte.
  /// The segment files' size with which its chunks are written as they were.
  std::uint64_t segment_bytes_max = 0;
};

/// What `meta.json` of a sealed block says (FORMAT.md, "sealed block").
struct SealedMeta {
  Ulid ulid;
  Timestamp min_time;  ///< Inclusive.
  Timestamp max_time;  ///< Exclusive.
  std::uint64_t sample_count = 0;
  std::uint64_t histogram_sample_count = 0;
  std::uint64_t series_count = 0;
  std::vector<Ulid> replaces;         ///< Sealed blocks whose content this one has.
  std::vector<SealedSource> sources;  ///< In order of time.

  TimeRange range() const { return {min_time, max_time - milliseconds(1)}; }
  /// Whether the block of that name is in here: as a source, or folded into one.
  bool has_source(const Ulid& ulid) const;
};

/// kInvalid says which field.
Result<SealedMeta> parse_sealed_meta(std::string_view json);
std::string format_sealed_meta(const SealedMeta& meta);
Result<SealedMeta> read_sealed_meta(FileSystem& files, const std::string& directory);

}  // namespace tarsier::tsdb
