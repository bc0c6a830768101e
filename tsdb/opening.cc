#include "tsdb/opening.h"

#include <utility>

namespace tarsier::tsdb {

Opening::Segments Opening::segments() const {
  return {first_.load(std::memory_order_relaxed), last_.load(std::memory_order_relaxed),
          current_.load(std::memory_order_relaxed)};
}

void Opening::set_segments(std::uint32_t first, std::uint32_t last) {
  first_.store(first, std::memory_order_relaxed);
  last_.store(last, std::memory_order_relaxed);
  current_.store(first, std::memory_order_relaxed);
}

Timestamp Opening::served_until() const {
  MutexLock lock(mutex_);
  return until_;
}

Result<std::unique_ptr<Querier>> Opening::querier(TimeRange range) {
  MakeQuerier make;
  {
    MutexLock lock(mutex_);
    if (range.max < until_) make = make_;
  }
  if (make == nullptr) return unavailable("the log is still being replayed");
  return make(range);
}

void Opening::serve_blocks(Timestamp until, MakeQuerier make) {
  MutexLock lock(mutex_);
  until_ = until;
  make_ = std::move(make);
}

}  // namespace tarsier::tsdb
