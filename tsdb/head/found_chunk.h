#pragma once

#include <optional>

#include "tsdb/chunk/histogram_layout.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/head/head_chunk_format.h"
#include "tsdb/head/sealed_chunks.h"
#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// What the head takes from a file: chunks as it makes them, that say how long they are.
std::optional<NewSealedChunk> adoptable(const HeadChunkEntry& entry);

/// The last sample, with what the chunk's header says if it is a histogram.
struct LastSample {
  Sample sample;
  std::optional<AnyHistogram> histogram;
  ChunkResetHeader header = ChunkResetHeader::kUnknown;
};
/// Of a chunk from a file. No value unless it decodes to its end and ends when the file says.
std::optional<LastSample> last_sample(const HeadChunkEntry& entry);

}  // namespace tarsier::tsdb
