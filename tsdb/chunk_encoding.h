#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// One chunk as it stands in a block, for those who send chunks: encoding 1 is XOR (FORMAT.md).
struct EncodedChunk {
  std::int64_t min_time_ms = 0;
  std::int64_t max_time_ms = 0;
  std::uint8_t encoding = 1;
  std::string data;
};

/// The samples as XOR chunks of at most 120 samples each.
std::vector<EncodedChunk> encode_chunks(const SampleColumns& samples);

}  // namespace tarsier::tsdb
