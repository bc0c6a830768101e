#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// Appends the samples of a float chunk of encoding 4 within `range` (both ends inclusive) to `out`
/// (FORMAT.md, "XOR2 chunk"). Start timestamps are read over. kCorruption, naming the bit offset,
/// at the first damaged bit; `out` then holds the samples before it. Newer Prometheus writes such
/// chunks when told to; here they are read and never written.
Status decode_xor2_chunk(Bytes chunk, TimeRange range, SampleColumns& out);

}  // namespace tarsier::tsdb
