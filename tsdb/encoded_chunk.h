#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// One chunk as it stands in a block, for those who send chunks. `encoding` is the one of
/// FORMAT.md: 1 is XOR, 3 histograms with float counts.
struct TransferChunk {
  std::int64_t min_time_ms = 0;
  std::int64_t max_time_ms = 0;
  std::uint8_t encoding = 1;
  std::string data;
};

/// The samples of one series as chunks of at most 120 samples each, in time order, none overlapping
/// another. REQUIRES: no time is in both.
std::vector<TransferChunk> encode_chunks(const SampleColumns& floats,
                                         const HistogramColumns& histograms);

/// Appends the samples of a chunk within `range` (both ends inclusive) to the columns of its kind.
/// kCorruption when it is damaged or of an encoding we cannot read; the columns then hold the
/// samples before the damage.
Status decode_transfer_chunk(std::uint8_t encoding, Bytes data, TimeRange range,
                             SampleColumns& floats, HistogramColumns& histograms);

}  // namespace tarsier::tsdb
