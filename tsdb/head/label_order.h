#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "tsdb/head/head_postings.h"
#include "tsdb/head/label_pairs.h"

namespace tarsier::tsdb {

class SeriesTable;

/// The order of two series' labels, given as pairs in name order.
std::strong_ordering compare_labels(const LabelPairs& pairs, std::span<const PairId> a,
                                    std::span<const PairId> b);

/// All series of some moment in label order. Immutable.
struct LabelOrder {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::vector<Slot> slots;               ///< By position.
  std::vector<std::uint32_t> positions;  ///< By slot; kNone if it was not there.

  std::uint32_t position(Slot slot) const {
    return slot < positions.size() ? positions[slot] : kNone;
  }
};

/// Keeps the label order of all series, so that a selection is sorted by looking up positions
/// instead of comparing strings: a million series in a few milliseconds. Series newer than the
/// order are compared; when they become many, the order is made anew by merging them in. Any number
/// of threads.
class LabelOrders final {
 public:
  /// How often forget() was called.
  std::uint64_t epoch() const EXCLUDES_LOCK(mutex_);
  /// `epoch` is the one the reader's postings are of: series of an earlier one may be gone, so they
  /// are never put into the order that is kept. REQUIRES: no slot of `slots` is reused during the
  /// call.
  void sort(const SeriesTable& table, std::uint64_t epoch, std::vector<Slot>& slots)
      EXCLUDES_LOCK(mutex_);
  /// Slots below `count`, which are all there are, are in label order.
  void set_ordered(std::size_t count) EXCLUDES_LOCK(mutex_);
  /// Called when slots may begin to be used again for other series.
  void forget(const std::vector<bool>& is_gone) EXCLUDES_LOCK(mutex_);
  std::size_t bytes() const EXCLUDES_LOCK(mutex_);

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const LabelOrder> order_ GUARDED_BY(mutex_) = std::make_shared<LabelOrder>();
  std::uint64_t epoch_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tarsier::tsdb
