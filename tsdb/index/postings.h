#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tarsier::tsdb {

// A postings list is a strictly increasing list of series references: 32 bits wide in a block (the
// format's width), 32 or 64 in the head. These are its set operations. All of them work in place
// on a vector the caller keeps, so that a selection allocates per list, never per series. Each is
// instantiated for std::uint32_t and std::uint64_t. REQUIRES everywhere: lists strictly increase.

/// `list` becomes what is in both. Lists of similar length are merged; when one is much shorter,
/// the other is galloped through: O(short * log(long / short)).
template <typename Ref>
void intersect_with(std::vector<Ref>& list, std::span<const Ref> other);

/// Removes from `list` what is in `other`. Same cost as `intersect_with`.
template <typename Ref>
void subtract(std::vector<Ref>& list, std::span<const Ref> other);

/// Several lists back to back: run r is [ends[r - 1], ends[r]) of `refs`. Collecting them in one
/// vector costs one allocation however many values a regular expression matched.
template <typename Ref>
struct PostingsRuns {
  std::vector<Ref> refs;
  std::vector<std::size_t> ends;

  void clear() {
    refs.clear();
    ends.clear();
  }
  /// Ends the run that was appended to `refs`; an empty one leaves no trace.
  void finish_run() {
    if (refs.size() > (ends.empty() ? 0 : ends.back())) ends.push_back(refs.size());
  }
};

/// The union of all runs, in `runs.refs` as one run. O(n log runs) and, when all runs are already
/// in order, O(n). A reference in several runs stays once.
template <typename Ref>
void unite(PostingsRuns<Ref>& runs);

/// Whether the two have a common element. Stops at the first.
template <typename Ref>
bool intersects(std::span<const Ref> a, std::span<const Ref> b);

}  // namespace tarsier::tsdb
