#pragma once

#include <cstdint>

namespace tarsier::tsdb {

/// How a chunk's samples are coded. Stored: never renumber.
enum class ChunkEncoding : std::uint8_t {
  kNone = 0,
  kXor = 1,
  kHistogram = 2,  ///< Integer counts.
  kFloatHistogram = 3,
  kXor2 = 4,                      ///< Read, never written.
  kHistogramWithStarts = 5,       ///< Read, never written.
  kFloatHistogramWithStarts = 6,  ///< Read, never written.
};

constexpr bool is_float_encoding(ChunkEncoding encoding) {
  return encoding == ChunkEncoding::kXor || encoding == ChunkEncoding::kXor2;
}
constexpr bool has_start_times(ChunkEncoding encoding) {
  return encoding == ChunkEncoding::kHistogramWithStarts ||
         encoding == ChunkEncoding::kFloatHistogramWithStarts;
}
constexpr bool is_float_histogram_encoding(ChunkEncoding encoding) {
  return encoding == ChunkEncoding::kFloatHistogram ||
         encoding == ChunkEncoding::kFloatHistogramWithStarts;
}
constexpr bool is_histogram_encoding(ChunkEncoding encoding) {
  return encoding == ChunkEncoding::kHistogram || is_float_histogram_encoding(encoding) ||
         encoding == ChunkEncoding::kHistogramWithStarts;
}
/// Whether there is a decoder here.
constexpr bool is_known_encoding(ChunkEncoding encoding) {
  return is_float_encoding(encoding) || is_histogram_encoding(encoding);
}

}  // namespace tarsier::tsdb
