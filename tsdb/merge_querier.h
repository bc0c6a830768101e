#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/time.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// One of several places that hold samples of the same series, and the times it may have.
struct MergeSource {
  std::unique_ptr<Querier> querier;
  TimeRange range;
  Duration resolution{0};  ///< Of its rows; 0: it has the samples themselves.
  /// Whether it is to be read for these hints; null: always.
  std::function<bool(const SelectHints&)> serves = nullptr;
  /// Another source has all its labels.
  bool is_alternative = false;
};

/// Several sources as one: a series in several of them appears once, with the samples of all in
/// time order. Of samples at the same time the earlier source's stays. `sources` in the order of
/// their times; they may overlap.
std::unique_ptr<Querier> make_merge_querier(std::vector<MergeSource> sources);

}  // namespace tarsier::tsdb
