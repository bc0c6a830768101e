#pragma once

#include <deque>
#include <string>

#include "tsdb/head/head.h"
#include "tsdb/options.h"
#include "tsdb/wal/log_writer.h"

namespace tarsier::tsdb {

/// Appends what the batch puts into the log for its samples, histograms and exemplars, in the order
/// in which a replay must meet them, announced as a group if they are several. What could not be
/// compressed is borrowed from `plain`, which must live as long as the records.
void encode_batch(const HeadBatch& batch, WalCompression compression,
                  std::deque<std::string>& plain, std::deque<EncodedRecord>& out);

}  // namespace tarsier::tsdb
