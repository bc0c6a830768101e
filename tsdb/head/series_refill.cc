// How a series table is filled from an image of it.

#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"
#include "tsdb/head/series_table.h"

namespace tarsier::tsdb {

SeriesTable::Unlogged SeriesTable::unlogged() const {
  Unlogged out;
  MutexLock lock(mutex_);
  out.newest_ref = next_ref_ - 1;
  for (const RefSeries& series : new_series_) out.refs.push_back(series.ref.value);
  std::sort(out.refs.begin(), out.refs.end());
  return out;
}

bool SeriesTable::is_live(Slot slot) const {
  MutexLock lock(mutex_);
  const std::uint64_t ref = infos_[slot].ref;
  return ref != 0 && refs_.find(ref) == slot;
}

std::map<std::uint64_t, std::uint64_t> SeriesTable::second_refs() const {
  MutexLock lock(mutex_);
  return second_refs_;
}

void SeriesTable::restore_second(std::uint64_t second, std::uint64_t first) {
  MutexLock lock(mutex_);
  const Slot slot = first > SeriesRefs::kRefMax ? SeriesRefs::kNone : refs_.find(first);
  if (second == 0 || second > SeriesRefs::kRefMax || slot == SeriesRefs::kNone) return;
  if (refs_.find(second) != SeriesRefs::kNone) return;
  next_ref_ = std::max(next_ref_, second + 1);
  second_refs_[second] = first;
  refs_.insert(second, slot);
}

Status SeriesTable::Refill::add_pair(std::string_view name, std::string_view value) {
  const LabelPairs& known = table_.pairs_;
  const bool is_in_order =
      pairs_.empty() || std::pair(known.view(pairs_.back()).name, known.value(pairs_.back())) <
                            std::pair(name, value);
  if (!is_in_order || name.empty() || value.empty() || !is_valid_utf8(name) ||
      !is_valid_utf8(value)) {
    return corruption(fmt::format("label pair {} of the image", pairs_.size()));
  }
  pairs_.push_back(table_.pairs_.acquire(name, value));
  return {};
}

Result<Slot> SeriesTable::Refill::add_series(std::uint64_t ref, std::uint32_t hash,
                                             std::span<const std::uint32_t> pairs) {
  // Numbers of pairs are in label order, and so are lists of them.
  const bool is_sound =
      !pairs.empty() && pairs.back() < pairs_.size() && ref != 0 && ref <= SeriesRefs::kRefMax &&
      table_.refs_.find(ref) == SeriesRefs::kNone &&
      std::lexicographical_compare(previous_.begin(), previous_.end(), pairs.begin(), pairs.end());
  if (!is_sound) return corruption(fmt::format("series {} of the image", ref));
  ids_.clear();
  for (const std::uint32_t pair : pairs) {
    const PairId id = pairs_[pair];
    if (!ids_.empty() && table_.pairs_.name_of(ids_.back()) == table_.pairs_.name_of(id)) {
      return corruption(fmt::format("series {} of the image has a label twice", ref));
    }
    ids_.push_back(id);
  }
  for (const PairId id : ids_) table_.pairs_.acquire(id);
  previous_.assign(pairs.begin(), pairs.end());
  ++series_count_;
  table_.next_ref_ = std::max(table_.next_ref_, ref + 1);
  return table_.create(ref, hash, ids_);
}

Status SeriesTable::Refill::finish() {
  for (const PairId pair : pairs_) {
    if (table_.pairs_.release(pair))
      return corruption("a label pair of the image that no series has");
  }
  table_.orders_.set_ordered(series_count_);
  return {};
}

}  // namespace tarsier::tsdb
