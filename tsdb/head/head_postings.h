#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tsdb/head/arena.h"
#include "tsdb/head/label_pairs.h"
#include "tsdb/head/paged_array.h"

namespace tarsier::tsdb {

/// Number of a series' place in the head's arrays. Used again when a series is gone and nobody can
/// see it any more.
using Slot = std::uint32_t;

/// Which series have which label pair, from one truncation of the head to the next: then a new one
/// is made without the series that are gone, and this one lives as long as its readers. Within that
/// time new series get growing slots, so every list is one ascending run from the beginning and one
/// since. All methods need the index lock.
class HeadPostings final {
 public:
  /// Lists `slot` under its pairs. REQUIRES: greater than every slot added before, apart from what
  /// copy_without brought.
  void add(Slot slot, std::span<const PairId> pairs, const LabelPairs& names);
  /// What is left without the series for which `is_gone[slot]`.
  void copy_without(const HeadPostings& old, const std::vector<bool>& is_gone,
                    const LabelPairs& names);

  /// Append in ascending order.
  void append_all(std::vector<Slot>& out) const { append_list(all_, out); }
  void append_pair(PairId pair, std::vector<Slot>& out) const;
  /// Pairs of a name, in no order.
  std::span<const PairId> pairs_of(NameId name) const;
  std::size_t count(PairId pair) const { return pair < list_count_ ? lists_[pair].count : 0; }
  std::size_t series_count() const { return all_.count; }
  std::size_t bytes() const;

 private:
  struct Block {
    Block* next;
    std::uint32_t capacity;
    std::uint32_t used;
    Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
    const Slot* slots() const { return reinterpret_cast<const Slot*>(this + 1); }
  };
  /// The first slot inline (most pairs of a churning label have just one), the rest in blocks that
  /// double.
  struct List {
    std::uint32_t count = 0;
    Slot first = 0;
    Block* head = nullptr;
    Block* tail = nullptr;
  };

  void append_to(List& list, Slot slot);
  static void append_list(const List& list, std::vector<Slot>& out);

  Arena arena_;
  List all_;
  PagedArray<List, 1024, 1 << 18> lists_;  // By pair.
  std::size_t list_count_ = 0;
  std::vector<std::vector<PairId>> pairs_by_name_;
};

}  // namespace tarsier::tsdb
