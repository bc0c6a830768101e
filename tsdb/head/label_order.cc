#include "tsdb/head/label_order.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "tsdb/head/series_table.h"

namespace tarsier::tsdb {
namespace {

/// So many unknown series, and at least an eighth of those known, are worth a new order.
constexpr std::size_t kUnknownMin = 1024;

/// Series that `order` knows, in that order.
std::vector<Slot> sort_known(const LabelOrder& order, std::vector<Slot> slots) {
  if (slots.size() < order.slots.size() / 64) {
    std::sort(slots.begin(), slots.end(),
              [&](Slot a, Slot b) { return order.positions[a] < order.positions[b]; });
    return slots;
  }
  std::vector<std::uint64_t> chosen(order.slots.size() / 64 + 1);
  for (const Slot slot : slots) {
    const std::uint32_t position = order.positions[slot];
    chosen[position / 64] |= std::uint64_t{1} << (position % 64);
  }
  slots.clear();
  for (std::size_t word = 0; word < chosen.size(); ++word) {
    for (std::uint64_t bits = chosen[word]; bits != 0; bits &= bits - 1) {
      slots.push_back(order.slots[64 * word + static_cast<std::size_t>(std::countr_zero(bits))]);
    }
  }
  return slots;
}

/// Sorts many series without looking at a string more than a few times: every label pair gets its
/// rank among the pairs, and series compare as their lists of ranks.
void sort_by_ranks(const SeriesTable& table, std::vector<Slot>& slots) {
  std::vector<PairId> used;
  std::vector<std::uint32_t> ranks;  // By pair, from 1. 0: not used; "ends here" sorts first.
  std::size_t total = 0;
  for (const Slot slot : slots) {
    for (const PairId pair : table.info(slot).pair_ids()) {
      ++total;
      if (pair >= ranks.size()) ranks.resize(std::size_t{pair} * 2 + 1);
      if (std::exchange(ranks[pair], 1) == 0) used.push_back(pair);
    }
  }
  std::sort(used.begin(), used.end(), [&](PairId a, PairId b) {
    const LabelView left = table.pairs().view(a);
    const LabelView right = table.pairs().view(b);
    return std::pair(left.name, left.value) < std::pair(right.name, right.value);
  });
  for (std::size_t i = 0; i < used.size(); ++i) {
    ranks[used[i]] = static_cast<std::uint32_t>(i + 1);
  }
  struct Entry {
    std::uint64_t key;  // The first two ranks.
    std::uint32_t begin;
    std::uint32_t size;
    Slot slot;
  };
  std::vector<std::uint32_t> lists;
  lists.reserve(total);
  std::vector<Entry> entries;
  entries.reserve(slots.size());
  for (const Slot slot : slots) {
    const std::span<const PairId> pairs = table.info(slot).pair_ids();
    const auto rank = [&](std::size_t i) -> std::uint64_t {
      return i < pairs.size() ? ranks[pairs[i]] : 0;
    };
    entries.push_back({rank(0) << 32 | rank(1), static_cast<std::uint32_t>(lists.size()),
                       static_cast<std::uint32_t>(pairs.size()), slot});
    for (const PairId pair : pairs) lists.push_back(ranks[pair]);
  }
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    if (a.key != b.key) return a.key < b.key;
    const auto* const x = lists.data() + a.begin;
    const auto* const y = lists.data() + b.begin;
    return std::lexicographical_compare(x, x + a.size, y, y + b.size);
  });
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = entries[i].slot;
}

std::shared_ptr<const LabelOrder> make_order(std::vector<Slot> slots) {
  auto order = std::make_shared<LabelOrder>();
  for (const Slot slot : slots) {
    if (slot >= order->positions.size()) {
      order->positions.resize(std::max<std::size_t>(slot + 1, slots.size()), LabelOrder::kNone);
    }
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    order->positions[slots[i]] = static_cast<std::uint32_t>(i);
  }
  order->slots = std::move(slots);
  return order;
}

}  // namespace

std::strong_ordering compare_labels(const LabelPairs& pairs, std::span<const PairId> a,
                                    std::span<const PairId> b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (a[i] == b[i]) continue;
    const LabelView left = pairs.view(a[i]);
    const LabelView right = pairs.view(b[i]);
    if (const auto order = left.name <=> right.name; order != 0) return order;
    return left.value <=> right.value;
  }
  return a.size() <=> b.size();
}

std::uint64_t LabelOrders::epoch() const {
  MutexLock lock(mutex_);
  return epoch_;
}

void LabelOrders::sort(const SeriesTable& table, std::uint64_t epoch, std::vector<Slot>& slots) {
  std::shared_ptr<const LabelOrder> order;
  bool is_current = false;
  {
    MutexLock lock(mutex_);
    order = order_;
    is_current = epoch_ == epoch;
  }
  const auto before = [&](Slot a, Slot b) {
    return compare_labels(table.pairs(), table.info(a).pair_ids(), table.info(b).pair_ids()) < 0;
  };
  std::vector<Slot> known;
  std::vector<Slot> unknown;
  for (const Slot slot : slots) {
    (order->position(slot) == LabelOrder::kNone ? unknown : known).push_back(slot);
  }
  if (unknown.size() >= kUnknownMin) {
    sort_by_ranks(table, unknown);
  } else {
    std::sort(unknown.begin(), unknown.end(), before);
  }
  known = sort_known(*order, std::move(known));
  const bool is_much = unknown.size() >= kUnknownMin && unknown.size() >= order->slots.size() / 8;
  slots.clear();
  std::merge(known.begin(), known.end(), unknown.begin(), unknown.end(), std::back_inserter(slots),
             before);
  if (!is_much || !is_current) return;

  std::vector<Slot> all;
  all.reserve(order->slots.size() + unknown.size());
  std::merge(order->slots.begin(), order->slots.end(), unknown.begin(), unknown.end(),
             std::back_inserter(all), before);
  auto fresh = make_order(std::move(all));
  MutexLock lock(mutex_);
  if (epoch_ == epoch && order_ == order) order_ = std::move(fresh);
}

void LabelOrders::set_ordered(std::size_t count) {
  std::vector<Slot> slots(count);
  std::iota(slots.begin(), slots.end(), Slot{0});
  auto fresh = make_order(std::move(slots));
  MutexLock lock(mutex_);
  order_ = std::move(fresh);
}

void LabelOrders::forget(const std::vector<bool>& is_gone) {
  MutexLock lock(mutex_);
  std::vector<Slot> left;
  for (const Slot slot : order_->slots) {
    if (slot >= is_gone.size() || !is_gone[slot]) left.push_back(slot);
  }
  order_ = make_order(std::move(left));
  ++epoch_;
}

std::size_t LabelOrders::bytes() const {
  MutexLock lock(mutex_);
  return (order_->slots.capacity() + order_->positions.capacity()) * sizeof(Slot);
}

}  // namespace tarsier::tsdb
