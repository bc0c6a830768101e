#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tarsier::alerting {

/// Numbers of series in a log and what they are here, 0 being nothing: one look-up for every sample
/// that is followed, in memory that is asked for ahead. Linear probing; one thread at a time.
class FollowedRefs final {
 public:
  void set(std::uint64_t ref, std::uint32_t id);
  void erase(std::uint64_t ref);
  void clear();
  /// 0: unknown. REQUIRES: ref > 0, as everywhere.
  std::uint32_t find(std::uint64_t ref) const {
    if (slots_.empty()) return 0;
    for (std::size_t at = home(ref);; at = (at + 1) & mask_) {
      if (slots_[at].ref == ref) return slots_[at].id;
      if (slots_[at].ref == 0) return 0;
    }
  }
  void prefetch(std::uint64_t ref) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[home(ref)]);
  }
  std::size_t size() const { return count_; }

 private:
  struct Slot {
    std::uint64_t ref = 0;  ///< 0: free.
    std::uint32_t id = 0;
  };
  /// Neighbours in the log are neighbours here: series are numbered as they come.
  std::size_t home(std::uint64_t ref) const { return static_cast<std::size_t>(ref) & mask_; }
  void grow();

  std::vector<Slot> slots_;  ///< A power of two, at most half of them taken.
  std::size_t mask_ = 0;
  std::size_t count_ = 0;
};

}  // namespace tarsier::alerting
