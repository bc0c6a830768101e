#include "tsdb/index/postings.h"

#include <algorithm>

namespace tarsier::tsdb {
namespace {

/// From this ratio of lengths on, galloping beats merging: a gallop step costs a few unpredictable
/// branches, a merge step about one.
constexpr std::size_t kGallopRatio = 16;

/// The first position at or after `from` whose element is not less than `wanted`.
template <typename Ref>
std::size_t gallop(std::span<const Ref> list, std::size_t from, Ref wanted) {
  std::size_t step = 1;
  std::size_t low = from;
  std::size_t high = from;
  while (high < list.size() && list[high] < wanted) {
    low = high + 1;
    high += step;
    step *= 2;
  }
  const auto begin = list.begin() + static_cast<std::ptrdiff_t>(low);
  const auto end = list.begin() + static_cast<std::ptrdiff_t>(std::min(high, list.size()));
  return static_cast<std::size_t>(std::lower_bound(begin, end, wanted) - list.begin());
}

/// Calls `at(i, j)` for every pair of positions with a[i] == b[j], ascending; stops when it returns
/// false.
template <typename Ref, typename At>
void for_each_common(std::span<const Ref> a, std::span<const Ref> b, At at) {
  std::size_t i = 0;
  std::size_t j = 0;
  if (a.size() > b.size() * kGallopRatio) {
    for (; j < b.size(); ++j) {
      i = gallop(a, i, b[j]);
      if (i == a.size()) return;
      if (a[i] == b[j] && !at(i, j)) return;
    }
    return;
  }
  if (b.size() > a.size() * kGallopRatio) {
    for (; i < a.size(); ++i) {
      j = gallop(b, j, a[i]);
      if (j == b.size()) return;
      if (a[i] == b[j] && !at(i, j)) return;
    }
    return;
  }
  while (i < a.size() && j < b.size()) {
    const Ref x = a[i];
    const Ref y = b[j];
    if (x == y && !at(i, j)) return;
    i += x <= y ? 1 : 0;
    j += y <= x ? 1 : 0;
  }
}

}  // namespace

template <typename Ref>
void intersect_with(std::vector<Ref>& list, std::span<const Ref> other) {
  std::size_t kept = 0;
  for_each_common<Ref>(list, other, [&](std::size_t i, std::size_t) {
    list[kept++] = list[i];  // kept <= i: nothing unread is overwritten.
    return true;
  });
  list.resize(kept);
}

template <typename Ref>
void subtract(std::vector<Ref>& list, std::span<const Ref> other) {
  std::size_t kept = 0;
  std::size_t copied = 0;  // Everything before it has been kept or dropped.
  const auto keep_until = [&](std::size_t end) {
    if (kept != copied) {
      std::copy(list.begin() + static_cast<std::ptrdiff_t>(copied),
                list.begin() + static_cast<std::ptrdiff_t>(end),
                list.begin() + static_cast<std::ptrdiff_t>(kept));
    }
    kept += end - copied;
    copied = end;
  };
  for_each_common<Ref>(list, other, [&](std::size_t i, std::size_t) {
    keep_until(i);
    copied = i + 1;
    return true;
  });
  keep_until(list.size());
  list.resize(kept);
}

template <typename Ref>
void unite(PostingsRuns<Ref>& runs) {
  std::vector<Ref> merged;
  while (runs.ends.size() > 1) {
    // Neighbours in pairs: every round halves the number of runs and reads memory forward.
    merged.clear();
    merged.reserve(runs.refs.size());
    std::size_t begin = 0;
    std::size_t written = 0;
    const Ref* refs = runs.refs.data();
    for (std::size_t r = 0; r < runs.ends.size(); r += 2) {
      const std::size_t middle = runs.ends[r];
      const std::size_t end = r + 1 < runs.ends.size() ? runs.ends[r + 1] : middle;
      if (end == middle || refs[middle - 1] < refs[middle]) {  // One run, or already in order.
        merged.insert(merged.end(), refs + begin, refs + end);
      } else {
        std::set_union(refs + begin, refs + middle, refs + middle, refs + end,
                       std::back_inserter(merged));
      }
      runs.ends[written++] = merged.size();
      begin = end;
    }
    runs.ends.resize(written);
    runs.refs.swap(merged);
  }
}

template <typename Ref>
bool intersects(std::span<const Ref> a, std::span<const Ref> b) {
  bool found = false;
  for_each_common<Ref>(a, b, [&](std::size_t, std::size_t) {
    found = true;
    return false;
  });
  return found;
}

template void intersect_with(std::vector<std::uint32_t>&, std::span<const std::uint32_t>);
template void intersect_with(std::vector<std::uint64_t>&, std::span<const std::uint64_t>);
template void subtract(std::vector<std::uint32_t>&, std::span<const std::uint32_t>);
template void subtract(std::vector<std::uint64_t>&, std::span<const std::uint64_t>);
template void unite(PostingsRuns<std::uint32_t>&);
template void unite(PostingsRuns<std::uint64_t>&);
template bool intersects(std::span<const std::uint32_t>, std::span<const std::uint32_t>);
template bool intersects(std::span<const std::uint64_t>, std::span<const std::uint64_t>);

}  // namespace tarsier::tsdb
