#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "tsdb/chunk/histogram_encoder.h"
#include "tsdb/head/paged_array.h"

namespace tarsier::tsdb {

/// The chunk of native histograms a series is at, and its last sample, which stays known when the
/// chunk has been sealed: the next one's header depends on it.
struct OpenHistogram {
  explicit OpenHistogram(ChunkEncoding encoding) : encoder(encoding) {}

  HistogramEncoder encoder;
  bool has_end = false;  ///< The chunk's end has been estimated.
  bool is_open() const { return encoder.sample_count() > 0; }
};

/// A number to tell different histograms by: of everything but the hint, of stale ones the sum.
/// Buckets of zero do not count: those of other samples in its chunk come back with a sample.
std::uint64_t fingerprint(const AnyHistogram& histogram);

/// The open chunks of all series whose newest sample is a histogram, by place. They are few and
/// big, so each is on the heap. Places are taken and given back by any thread; what is at a place
/// changes as its series' record does.
class OpenHistograms final {
 public:
  using Place = std::uint32_t;

  Place begin(ChunkEncoding encoding) EXCLUDES_LOCK(mutex_);
  void free(Place place) EXCLUDES_LOCK(mutex_);
  OpenHistogram& at(Place place) { return *slots_[place]; }
  const OpenHistogram& at(Place place) const { return *slots_[place]; }
  std::size_t count() const EXCLUDES_LOCK(mutex_);
  /// Whether no series ever had one.
  bool were_never_used() const EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return used_ == 0;
  }
  /// Memory of all of them. Looks at each: nobody may be appending.
  std::size_t bytes() const EXCLUDES_LOCK(mutex_);

 private:
  PagedArray<std::unique_ptr<OpenHistogram>, 512, 1 << 15> slots_;
  mutable Mutex mutex_;  // A leaf.
  std::size_t used_ GUARDED_BY(mutex_) = 0;
  std::vector<Place> free_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
