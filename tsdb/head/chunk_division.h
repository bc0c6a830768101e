#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// End of the window of `range_ms` that `t` belongs to. Rounds down below zero too, unlike
/// Prometheus: a chunk must never cross the end of a window.
std::int64_t window_end(std::int64_t t, std::int64_t range_ms);

/// Makes of the short chunks of floats that the head has of a series those that a block is to have:
/// as Prometheus' head divides them, about 120 samples each and a window evenly, at most 240
/// samples or 1005 bytes and a sample. Chunks of anything else, and floats that cannot be decoded,
/// stay as they are. One thread at a time.
class ChunkDivision final {
 public:
  explicit ChunkDivision(std::int64_t range_ms) : range_ms_(range_ms) {}

  /// `chunks` are of one series, in order of time. The data of what is new lives until the next
  /// call.
  void divide(std::vector<EncodedChunk>& chunks);

 private:
  Status decode(std::span<const EncodedChunk> run);
  void encode();

  const std::int64_t range_ms_;
  SampleColumns columns_;
  std::vector<Sample> samples_;
  std::vector<EncodedChunk> divided_;
  std::deque<std::string> data_;  // Of divided_.
  XorTails tails_;
};

}  // namespace tarsier::tsdb
