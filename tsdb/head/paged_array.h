#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/check.h"

namespace tarsier::tsdb {

/// An array that grows by pages and never moves an element, so that one thread may grow it while
/// others use the elements they know of. The directory of pages has its full length from the start;
/// it is zero pages of the operating system until used. Elements begin value-initialised. `grow_to`
/// is for one thread at a time; everything else for any number, as far as T allows.
template <typename T, std::size_t kPageElements, std::size_t kPagesMax>
class PagedArray final {
 public:
  PagedArray() : directory_(static_cast<T**>(std::calloc(kPagesMax, sizeof(T*)))) {
    CHECK(directory_ != nullptr, "out of memory");
  }
  ~PagedArray() {
    for (std::size_t page = 0; page * kPageElements < size_; ++page) delete[] directory_[page];
    std::free(directory_);
  }
  PagedArray(const PagedArray&) = delete;
  PagedArray& operator=(const PagedArray&) = delete;

  static constexpr std::size_t size_max() { return kPageElements * kPagesMax; }

  /// Makes elements below `count` usable. REQUIRES: count <= size_max().
  void grow_to(std::size_t count) {
    CHECK(count <= size_max());
    while (size_ < count) {
      T*& page = directory_[size_ / kPageElements];
      // Pairs with the acquire in operator[]: who learns of the page sees its elements initialised.
      std::atomic_ref<T*>(page).store(new T[kPageElements](), std::memory_order_release);
      size_ += kPageElements;
    }
  }

  /// REQUIRES: grow_to(i + 1) happened before.
  T& operator[](std::size_t i) {
    return std::atomic_ref<T*>(directory_[i / kPageElements])
        .load(std::memory_order_acquire)[i % kPageElements];
  }
  const T& operator[](std::size_t i) const { return const_cast<PagedArray&>(*this)[i]; }

  /// Memory of the pages. For the growing thread.
  std::size_t bytes() const { return size_ * sizeof(T); }

 private:
  T** directory_;
  std::size_t size_ = 0;  // Grows by whole pages.
};

}  // namespace tarsier::tsdb
