#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/histogram.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {

// Log records of native histograms (FORMAT.md, "Log records"), by the rules of wal/record.h.

struct RefHistogram {
  SeriesRef ref;
  Timestamp t;
  AnyHistogram histogram;
};

/// Whether records of this type are histograms.
bool is_histogram_record(RecordType type);
/// The type of record that holds such a histogram: 7 to 10, which every Prometheus since custom
/// buckets reads.
RecordType record_type_of(const AnyHistogram& histogram);

/// Appends one record of `type` with those of `histograms` that belong into it.
/// REQUIRES: at least one does.
void encode_histograms(std::span<const RefHistogram> histograms, RecordType type, std::string& out);

/// Types 7 to 10, 12 and 13; start timestamps are read over. What comes out is as it was stored,
/// which need not be valid.
Status decode_histograms(Bytes record, std::vector<RefHistogram>& out);

}  // namespace tarsier::tsdb
