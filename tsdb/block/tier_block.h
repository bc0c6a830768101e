#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/aggregate_rows.h"
#include "tsdb/block/sealed_columns.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/block/ulid.h"
#include "tsdb/index/index_reader.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// Where downsampled blocks lie, below the data directory: a directory each, named by its ULID.
inline constexpr std::string_view kTiersDirectory = "tarsier/tiers";

/// Of rows whose series left their sealed block before the others, because retention says so.
struct TierOrphans {
  Ulid drop;  ///< Shared by the resolutions of what left together.
  std::uint32_t probe =
      0;  ///< The sealed block's reference of one of them: they count once it is gone.
};

/// What `meta.json` of a downsampled block says (FORMAT.md, "downsampled block").
struct TierMeta {
  Ulid ulid;
  Duration resolution;
  Timestamp min_time;  ///< Inclusive.
  Timestamp max_time;  ///< Exclusive.
  std::uint64_t row_count = 0;
  std::uint64_t series_count = 0;
  std::uint64_t histogram_count = 0;
  Ulid sealed;                 ///< The sealed block it was made of.
  std::vector<Ulid> replaces;  ///< Downsampled blocks of the same resolution whose time it covers.
  /// Its windows end where those of range selectors do (n r, (n + 1) r]; before version 2 they
  /// began there.
  bool has_closed_windows = true;
  std::optional<TierOrphans> orphans;

  TimeRange range() const { return {min_time, max_time - milliseconds(1)}; }
};

Result<TierMeta> parse_tier_meta(std::string_view json);
std::string format_tier_meta(const TierMeta& meta);

/// A downsampled block on disk, opened. Immutable; any number of threads.
class TierBlock final {
 public:
  static Result<std::shared_ptr<const TierBlock>> open(FileSystem& files,
                                                       const std::string& directory);
  std::shared_ptr<const TierBlock> with(Tombstones tombstones) const;

  const TierMeta& meta() const { return meta_; }
  TimeRange range() const { return meta_.range(); }
  const IndexReader& index() const { return *index_; }
  const SealedColumnsReader& columns() const { return *columns_; }
  const Tombstones& tombstones() const { return tombstones_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  TierBlock() = default;
  TierMeta meta_;
  std::shared_ptr<const IndexReader> index_;
  std::shared_ptr<const SealedColumnsReader> columns_;
  Tombstones tombstones_;
  std::uint64_t size_bytes_ = 0;
};

/// By time, then by name.
using TierBlockList = std::vector<std::shared_ptr<const TierBlock>>;

/// A view of the part of one downsampled block that lies in `visible`. What its samples stand for
/// depends on the function and the window in the hints (expand_rows).
std::unique_ptr<Querier> make_tier_querier(std::shared_ptr<const TierBlock> block,
                                           TimeRange visible);

}  // namespace tarsier::tsdb
