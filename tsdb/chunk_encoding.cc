#include "tsdb/chunk_encoding.h"

#include <algorithm>

#include "base/bytes.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {

std::vector<EncodedChunk> encode_chunks(const SampleColumns& samples) {
  constexpr std::size_t kSamplesPerChunk = 120;
  std::vector<EncodedChunk> chunks;
  for (std::size_t first = 0; first < samples.size(); first += kSamplesPerChunk) {
    const std::size_t end = std::min(samples.size(), first + kSamplesPerChunk);
    XorEncoder encoder;
    for (std::size_t i = first; i < end; ++i) {
      encoder.append({Timestamp{samples.times_ms[i]}, samples.values[i]});
    }
    chunks.push_back({samples.times_ms[first], samples.times_ms[end - 1], 1,
                      std::string(as_text(encoder.bytes()))});
  }
  return chunks;
}

}  // namespace tarsier::tsdb
