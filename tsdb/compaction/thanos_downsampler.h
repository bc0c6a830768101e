#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

// What Thanos' compactor makes of float samples, to the bit, so that a bucket may hold blocks made
// here beside its own (FORMAT.md, "Thanos' downsampled block"). Our own rows are another thing:
// aggregate_rows.h.

/// The encoding of a chunk of aggregates; it occurs in downsampled blocks of Thanos only.
inline constexpr ChunkEncoding kAggregateEncoding{0xff};

/// One chunk of a downsampled series, before it is encoded: a row for every window. The counter
/// also has the first sample, in front, and the last one, at the last row's time.
struct AggregateChunk {
  enum Entry : std::size_t { kCount, kSum, kMin, kMax, kCounter, kEntryCount };
  Timestamp min_time;  ///< Of the first row.
  Timestamp max_time;  ///< Of the last.
  std::array<std::vector<Sample>, kEntryCount> entries;

  std::size_t row_count() const { return entries[kCount].size(); }
};

/// Makes chunks of a run of samples, in time order and without stale markers.
std::vector<AggregateChunk> downsample_for_thanos(std::span<const Sample> samples,
                                                  Duration resolution);
/// Makes chunks of chunks, along their boundaries, where the true values of counters are.
std::vector<AggregateChunk> downsample_further_for_thanos(std::span<const AggregateChunk> chunks,
                                                          Duration from, Duration resolution);

/// The data of the chunk: an entry for each aggregate, an XOR chunk in each.
std::string encode_aggregate_chunk(const AggregateChunk& chunk);

}  // namespace tarsier::tsdb
