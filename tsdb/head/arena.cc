#include "tsdb/head/arena.h"

#include <new>

#include "base/check.h"

namespace tarsier::tsdb {

Arena::~Arena() { CHECK(large_bytes_ == 0, "large pieces outlive their arena"); }

void* Arena::allocate(std::size_t size) {
  DCHECK(size > 0);
  const std::size_t granules = (size + kGranule - 1) / kGranule;
  size = granules * kGranule;
  if (size > kSmallMax) {
    large_bytes_ += size;
    return ::operator new(size);
  }
  if (FreePiece*& first = free_[granules]; first != nullptr) {
    void* const piece = first;
    first = first->next;
    return piece;
  }
  if (fresh_bytes_ < size) {
    if (fresh_bytes_ > 0) this->free(fresh_, fresh_bytes_);
    pages_.push_back(std::make_unique_for_overwrite<std::byte[]>(kPageBytes));
    fresh_ = pages_.back().get();
    fresh_bytes_ = kPageBytes;
    page_bytes_ += kPageBytes;
  }
  void* const piece = fresh_;
  fresh_ += size;
  fresh_bytes_ -= size;
  return piece;
}

void Arena::free(void* p, std::size_t size) {
  const std::size_t granules = (size + kGranule - 1) / kGranule;
  size = granules * kGranule;
  if (size > kSmallMax) {
    large_bytes_ -= size;
    ::operator delete(p);
    return;
  }
  free_[granules] = new (p) FreePiece{free_[granules]};
}

}  // namespace tarsier::tsdb
