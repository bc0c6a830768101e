#pragma once

#include <deque>

#include "tsdb/head/head.h"
#include "tsdb/options.h"
#include "tsdb/wal/log_writer.h"

namespace tarsier::tsdb {

/// Appends what the batch puts into the log for its samples, histograms and exemplars, in the order
/// in which a replay must meet them.
void encode_batch(const HeadBatch& batch, WalCompression compression,
                  std::deque<EncodedRecord>& out);

}  // namespace tarsier::tsdb
