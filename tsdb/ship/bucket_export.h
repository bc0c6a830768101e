#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/chunk_source.h"

namespace tarsier::tsdb {

using ExternalLabels = std::vector<std::pair<std::string, std::string>>;

/// Gives the meta.json of a block in a directory the section that Thanos wants.
Status describe_for_thanos(FileSystem& files, const std::string& directory,
                           const ExternalLabels& labels, Duration resolution, Timestamp now);

struct DownsampledExport {
  std::string target;
  std::vector<Duration> resolutions;  ///< Finest first: 5m, or 5m and 1h.
  ExternalLabels labels;
  Timestamp now;
};
/// Writes `source` downsampled as Thanos' compactor would, each resolution as a block of its own,
/// whose name follows from the source's: what is there already is passed over. Deleted samples are
/// left out, and native histograms, of whose series it adds the number to `skipped_series`.
Status export_downsampled(FileSystem& files, ChunkSource& source, const DownsampledExport& request,
                          std::uint64_t& skipped_series);

}  // namespace tarsier::tsdb
