#pragma once

#include <string>
#include <vector>

#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// What a selection has to tell beside its series: that some of what was asked for could not be
/// had. A SeriesSet that may have to derives from this, too. Immutable; any number of threads.
class SelectWarnings {
 public:
  virtual ~SelectWarnings() = default;
  virtual const std::vector<std::string>& warnings() const = 0;
};

/// Of any set; most have nothing to tell.
inline std::vector<std::string> warnings_of(const SeriesSet& set) {
  const auto* const telling = dynamic_cast<const SelectWarnings*>(&set);
  return telling ? telling->warnings() : std::vector<std::string>();
}

}  // namespace tarsier::tsdb
