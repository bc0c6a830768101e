#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "tsdb/head/head_postings.h"
#include "tsdb/head/paged_array.h"

namespace tarsier::tsdb {

/// From series references, which only ever grow, to slots: an array in pages, four bytes a
/// reference. A page whose references are all gone is handed out to be freed when nobody can be
/// reading it. find() is for any thread; changes are for one at a time.
class SeriesRefs final {
 public:
  static constexpr Slot kNone = ~Slot{0};
  /// References stay far below, and a damaged log cannot make us allocate more than the directory
  /// for this.
  static constexpr std::uint64_t kRefMax = (std::uint64_t{1} << 34) - 1;

  struct Page {
    static constexpr std::size_t kSlots = 4096;
    std::array<std::atomic<Slot>, kSlots> slots;
    std::size_t live_count = 0;
  };

  SeriesRefs() = default;
  SeriesRefs(const SeriesRefs&) = delete;
  SeriesRefs& operator=(const SeriesRefs&) = delete;
  ~SeriesRefs() {
    for (std::size_t i = 0; i < page_count_.load(); ++i) delete directory_[i].load();
  }

  Slot find(std::uint64_t ref) const {
    const std::size_t page = ref / Page::kSlots;
    if (page >= page_count_.load(std::memory_order_acquire)) return kNone;
    const Page* const p = directory_[page].load(std::memory_order_acquire);
    if (p == nullptr) return kNone;
    return p->slots[ref % Page::kSlots].load(std::memory_order_acquire);
  }

  /// REQUIRES: ref <= kRefMax.
  void insert(std::uint64_t ref, Slot slot) {
    const std::size_t index = ref / Page::kSlots;
    directory_.grow_to(index + 1);
    Page* page = directory_[index].load(std::memory_order_relaxed);
    if (page == nullptr) {
      page = new Page;
      for (auto& entry : page->slots) entry.store(kNone, std::memory_order_relaxed);
      directory_[index].store(page, std::memory_order_release);
    }
    if (index >= page_count_.load(std::memory_order_relaxed)) {
      page_count_.store(index + 1, std::memory_order_release);
    }
    if (page->slots[ref % Page::kSlots].exchange(slot, std::memory_order_release) == kNone) {
      ++page->live_count;
    }
    if (ref > newest_) newest_ = ref;
  }

  /// Forgets `ref`. The page comes back if that was its last and no new reference can land in it.
  std::unique_ptr<Page> erase(std::uint64_t ref) {
    const std::size_t index = ref / Page::kSlots;
    Page* const page = directory_[index].load(std::memory_order_relaxed);
    page->slots[ref % Page::kSlots].store(kNone, std::memory_order_release);
    if (--page->live_count > 0 || index == newest_ / Page::kSlots) return nullptr;
    directory_[index].store(nullptr, std::memory_order_release);
    return std::unique_ptr<Page>(page);
  }

  /// The greatest reference ever inserted; 0 if none.
  std::uint64_t newest() const { return newest_; }

 private:
  PagedArray<std::atomic<Page*>, 1024, 1 << 12> directory_;
  // Below it directory_ may be read: find()'s load pairs with insert()'s store.
  std::atomic<std::size_t> page_count_{0};
  std::uint64_t newest_ = 0;
};

}  // namespace tarsier::tsdb
