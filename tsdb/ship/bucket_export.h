#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/chunk_source.h"
#include "tsdb/block/tier_block.h"
#include "tsdb/ship/downsampled_writer.h"

namespace tarsier::tsdb {

struct DownsampledExport {
  std::string target;
  std::vector<Duration> resolutions;  ///< Finest first: 5m, or 5m and 1h.
  ExternalLabels labels;
  Timestamp now;
};
/// Writes `source` downsampled as Thanos' compactor would, each resolution as a block of its own:
/// what is there already is passed over. Deleted samples are left out, and native histograms, of
/// whose series it adds the number to `skipped_series`.
Status export_downsampled(FileSystem& files, ChunkSource& source, const DownsampledExport& request,
                          std::uint64_t& skipped_series);

/// The same of rows whose samples are gone: valid, but not what the compactor would have written,
/// as rows stand at the time of their last sample. REQUIRES: its resolution is one of the
/// request's.
Status export_rows(FileSystem& files, const TierBlock& rows, const DownsampledExport& request,
                   std::uint64_t& skipped_series);

}  // namespace tarsier::tsdb
