#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// Names and values of an exemplar's labels have at most so many characters together.
inline constexpr std::size_t kExemplarCharactersMax = 128;

/// One observation that stands for many: usually its labels name a trace.
struct Exemplar {
  Labels labels;  ///< At most kExemplarCharactersMax.
  double value = 0;
  Timestamp t;

  /// The value bitwise: NaN is like itself.
  bool operator==(const Exemplar& other) const {
    return t == other.t && labels == other.labels &&
           std::bit_cast<std::uint64_t>(value) == std::bit_cast<std::uint64_t>(other.value);
  }
};

/// kInvalid, with Prometheus' text, if the labels are too long or not UTF-8.
Status validate_for_storage(const Exemplar& exemplar);

/// What an exemplar query gives for one series, in time order.
struct SeriesExemplars {
  Labels series;
  std::vector<Exemplar> exemplars;
};

}  // namespace tarsier::tsdb
