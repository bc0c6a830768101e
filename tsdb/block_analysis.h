#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// What one block is made of: cardinality, churn, chunks. Lists are sorted, greatest first, equal
/// ones by name, and not cut.
struct BlockAnalysis {
  using List = std::vector<std::pair<std::uint64_t, std::string>>;

  std::string ulid;
  Duration duration;
  std::uint64_t series_count = 0;   ///< Of the block.
  std::uint64_t matched_count = 0;  ///< Of those analysed.
  std::uint64_t label_name_count = 0;
  std::uint64_t label_pair_count = 0;
  std::uint64_t posting_count = 0;  ///< Label pairs of all series.
  /// How many whole blocks' time the series with it do not cover: what comes and goes.
  List churn_by_label_pair;
  List churn_by_label_name;
  List series_by_label_pair;
  List value_bytes_by_label_name;
  List values_by_label_name;
  List series_by_metric_name;

  // Of the whole block.
  std::uint64_t sample_count = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t tombstone_count = 0;

  /// Every chunk of the analysed series; only when asked for.
  struct Chunks {
    std::vector<std::uint32_t> samples;
    std::vector<std::uint32_t> bytes;
  };
  Chunks float_chunks;
  Chunks histogram_chunks;
};

struct BlockAnalysisRequest {
  std::string ulid;               ///< Empty: the block that ends last.
  std::vector<Matcher> matchers;  ///< Empty: all series.
  bool with_chunks = false;       ///< Reads every chunk.
};

/// kNotFound when there is no such block.
Result<BlockAnalysis> analyze_block(FileSystem& files, const std::string& directory,
                                    const BlockAnalysisRequest& request);

}  // namespace tarsier::tsdb
