#pragma once

#include <string>

#include "base/time.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

// Prometheus' messages for samples of a series, which remote write and remote read share
// (prompb/types.proto). Each function appends to its output and never clears it.

/// Label messages, one per label, as field `field` of what `out` holds.
void append_wire_labels(std::string& out, std::uint32_t field, const Labels& labels);
/// The fields of a Sample.
void append_wire_sample(std::string& out, Timestamp t, double v);
/// The fields of a Histogram, with integer or float counts as it has them.
void append_wire_histogram(std::string& out, Timestamp t, const AnyHistogram& histogram);

}  // namespace tarsier::tsdb
