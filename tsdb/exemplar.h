#pragma once

#include <vector>

#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// One observation that stands for many: usually its labels name a trace.
struct Exemplar {
  Labels labels;  ///< At most 128 characters of names and values together.
  double value = 0;
  Timestamp t;
};

/// What an exemplar query gives for one series, in time order.
struct SeriesExemplars {
  Labels series;
  std::vector<Exemplar> exemplars;
};

}  // namespace tarsier::tsdb
