#pragma once

#include "tsdb/labels.h"

namespace tarsier::query {

/// Where a label set lies between 0 and 1: what limit_ratio() compares with its ratio. The same
/// number for the same labels everywhere, and the one a Prometheus 3 of the default build computes
/// (XXH64 of names and values, each after its size), so that both choose the same series.
double share_of(const tsdb::Labels& labels);

}  // namespace tarsier::query
