#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tsdb/appender.h"

namespace tarsier::tsdb {

/// Which series a follower follows: two bits a reference, in pages, since references grow without
/// end while old ones go. One thread at a time.
class FollowedSeriesTable final {
 public:
  enum class State : unsigned char { kUnknown, kIgnored, kFollowed };

  bool is_followed(SeriesRef ref) {
    const Page* const page = find(ref);
    return page != nullptr && is_set(page->followed, ref);
  }
  State state(SeriesRef ref) {
    const Page* const page = find(ref);
    if (page == nullptr || !is_set(page->known, ref)) return State::kUnknown;
    return is_set(page->followed, ref) ? State::kFollowed : State::kIgnored;
  }
  void set(SeriesRef ref, bool is_followed) {
    auto& page = pages_[ref.value / kPageRefs];
    if (page == nullptr) page = std::make_unique<Page>();
    last_ = nullptr;
    const std::uint64_t bit = std::uint64_t{1} << (ref.value % 64);
    page->known[word(ref)] |= bit;
    page->followed[word(ref)] =
        is_followed ? page->followed[word(ref)] | bit : page->followed[word(ref)] & ~bit;
  }
  std::vector<SeriesRef> followed() const {
    std::vector<SeriesRef> refs;
    for (const auto& [number, page] : pages_) {
      for (std::size_t i = 0; i < kWords; ++i) {
        for (std::uint64_t bits = page->followed[i]; bits != 0; bits &= bits - 1) {
          const auto bit = static_cast<std::uint64_t>(std::countr_zero(bits));
          refs.push_back({number * kPageRefs + i * 64 + bit});
        }
      }
    }
    return refs;
  }

 private:
  static constexpr std::size_t kPageRefs = std::size_t{1} << 16;
  static constexpr std::size_t kWords = kPageRefs / 64;
  using Bits = std::array<std::uint64_t, kWords>;
  struct Page {
    Bits known{};
    Bits followed{};
  };

  static std::size_t word(SeriesRef ref) { return ref.value % kPageRefs / 64; }
  static bool is_set(const Bits& bits, SeriesRef ref) {
    return (bits[word(ref)] >> (ref.value % 64) & 1) != 0;
  }
  /// Neighbouring samples mostly have neighbouring references.
  const Page* find(SeriesRef ref) {
    const std::uint64_t number = ref.value / kPageRefs;
    if (last_ != nullptr && last_number_ == number) return last_;
    const auto found = pages_.find(number);
    if (found == pages_.end()) return nullptr;
    last_number_ = number;
    last_ = found->second.get();
    return last_;
  }

  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
  const Page* last_ = nullptr;
  std::uint64_t last_number_ = 0;
};

}  // namespace tarsier::tsdb
