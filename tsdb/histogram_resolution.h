#pragma once

#include <cstdint>

#include "tsdb/histogram.h"

namespace tarsier::tsdb {

/// Merges buckets until the resolution is that of `schema`. REQUIRES: a valid histogram with an
/// exponential schema; nothing happens if that is `schema` or coarser already, or if its buckets
/// are custom ones.
void reduce_to_schema(IntegerHistogram& histogram, std::int32_t schema);
void reduce_to_schema(FloatHistogram& histogram, std::int32_t schema);

}  // namespace tarsier::tsdb
