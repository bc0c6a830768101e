#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/chunk/histogram_encoder.h"
#include "tsdb/histogram.h"

namespace tarsier::tsdb {

/// A sample of either kind, as it is stored.
struct AnySample {
  Timestamp t;
  std::variant<double, AnyHistogram> value;
};

/// What becomes of a reset that the header of a chunk says. When other samples come in between,
/// only the values can tell.
enum class HeaderReset : unsigned char { kKept, kForgotten };

/// Appends the chunk's samples within `range` (both ends inclusive), histograms with the hint a
/// rewritten chunk has to keep: gauge, or reset. REQUIRES: a known encoding.
Status decode_any_chunk(const Chunk& chunk, TimeRange range, HeaderReset header_reset,
                        std::vector<AnySample>& out);

/// Merges `added` into `samples`, both in time order; where both have a sample, that of `samples`
/// stays.
void merge_any_samples(std::vector<AnySample>& samples, std::vector<AnySample>& added);

/// Takes a finished chunk: its first and last time and its data, which lives for the call.
using ChunkSink = std::function<void(Timestamp min_time, Timestamp max_time, const Chunk& chunk)>;

/// Encodes samples of one series, in time order, into chunks of at most `samples_max`: one chunk
/// goes on as long as the kind of sample stays and histograms fit, and its header says how it
/// relates to the histogram before.
void encode_any_samples(std::span<const AnySample> samples, std::size_t samples_max,
                        const ChunkSink& sink);

}  // namespace tarsier::tsdb
