#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/ulid.h"

namespace tarsier::tsdb {

inline constexpr std::string_view kMetaFileName = "meta.json";

/// The greatest maxTime of blocks without any of these becomes the head's minimum valid time. A
/// block of recent time that does not hold everything of that time must carry one, or a restart
/// loses what only the log holds.
inline constexpr std::string_view kHintOutOfOrder = "from-out-of-order";
inline constexpr std::string_view kHintStaleSeries = "from-stale-series";
inline constexpr std::string_view kHintSelectedSeries = "from-selected-series";

/// A block that was folded into another.
struct BlockParent {
  Ulid ulid;
  Timestamp min_time;
  Timestamp max_time;
  bool operator==(const BlockParent&) const = default;
};

/// What `meta.json` says of a block (FORMAT.md, "meta.json").
struct BlockMeta {
  Ulid ulid;
  Timestamp min_time;  ///< Inclusive.
  Timestamp max_time;  ///< Exclusive.

  std::uint64_t sample_count = 0;  ///< Floats and histograms.
  std::uint64_t float_sample_count = 0;
  std::uint64_t histogram_sample_count = 0;
  std::uint64_t series_count = 0;
  std::uint64_t chunk_count = 0;
  std::uint64_t tombstone_count = 0;  ///< Intervals.

  int compaction_level = 1;          ///< 1 is written from the head.
  std::vector<Ulid> sources;         ///< Level-1 blocks folded in, sorted; a level-1 block itself.
  std::vector<BlockParent> parents;  ///< Direct inputs, in input order; empty at level 1.
  std::vector<std::string> hints;    ///< Sorted.
  bool deletable = false;            ///< No samples left: its directory may go.
  bool compaction_failed = false;    ///< The planner leaves it alone.

  bool operator==(const BlockMeta&) const = default;
  /// Whether it holds everything the head had of its time (no hint says otherwise).
  bool is_complete() const;
  bool has_hint(std::string_view hint) const;
};

/// Strict about the types of the fields it knows, blind to the others. kInvalid says which field.
/// `version` is the one it must have.
Result<BlockMeta> parse_block_meta(std::string_view json, std::int64_t version = 1);
/// Tab-indented, with a final newline absent, like Prometheus' own.
std::string format_block_meta(const BlockMeta& meta);
/// The same with one more member, `thanos`, whose value is compact JSON.
std::string format_block_meta(const BlockMeta& meta, std::string_view thanos_json);

/// Reads `<directory>/meta.json`. kNotFound if there is none.
Result<BlockMeta> read_block_meta(FileSystem& files, const std::string& directory);

}  // namespace tarsier::tsdb
