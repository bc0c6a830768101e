#include "tsdb/head/open_histograms.h"

#include <bit>

namespace tarsier::tsdb {
namespace {

/// Mixes 64-bit words; a round of the finalizer of MurmurHash3.
class Mixer final {
 public:
  void add(std::uint64_t word) {
    state_ ^= word + 0x9e3779b97f4a7c15;
    state_ ^= state_ >> 33;
    state_ *= 0xff51afd7ed558ccd;
    state_ ^= state_ >> 29;
  }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value)); }
  void add(std::int64_t value) { add(static_cast<std::uint64_t>(value)); }
  template <typename T>
  void add_all(const std::vector<T>& values) {
    add(static_cast<std::uint64_t>(values.size()));
    for (const T& value : values) add(value);
  }
  /// Counts as they are, or as differences to the left neighbour.
  void add_buckets(const std::vector<BucketSpan>& spans, const std::vector<double>& counts) {
    std::size_t i = 0;
    std::int64_t bucket = 0;
    for (const BucketSpan& span : spans) {
      bucket += span.offset;
      for (std::uint32_t k = 0; k < span.length; ++k, ++bucket, ++i) {
        if (counts[i] == 0) continue;
        add(bucket);
        add(counts[i]);
      }
    }
  }
  void add_buckets(const std::vector<BucketSpan>& spans, const std::vector<std::int64_t>& deltas) {
    std::size_t i = 0;
    std::int64_t bucket = 0;
    std::uint64_t count = 0;
    for (const BucketSpan& span : spans) {
      bucket += span.offset;
      for (std::uint32_t k = 0; k < span.length; ++k, ++bucket, ++i) {
        count += static_cast<std::uint64_t>(deltas[i]);
        if (count == 0) continue;
        add(bucket);
        add(count);
      }
    }
  }
  std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_ = 0x746172736965722e;
};

}  // namespace

std::uint64_t fingerprint(const AnyHistogram& histogram) {
  Mixer mixer;
  mixer.add(static_cast<std::uint64_t>(histogram.index()));
  mixer.add(sum_of(histogram));
  if (is_stale_marker(sum_of(histogram))) return mixer.state();
  const BucketLayout& layout = layout_of(histogram);
  mixer.add(std::int64_t{layout.schema});
  mixer.add(layout.zero_threshold);
  mixer.add_all(layout.custom_bounds);
  if (const auto* integers = std::get_if<IntegerHistogram>(&histogram)) {
    mixer.add(integers->count);
    mixer.add(integers->zero_count);
    mixer.add_buckets(layout.positive_spans, integers->positive_deltas);
    mixer.add(std::uint64_t{1});  // Between the two sides.
    mixer.add_buckets(layout.negative_spans, integers->negative_deltas);
  } else {
    const auto& floats = std::get<FloatHistogram>(histogram);
    mixer.add(floats.count);
    mixer.add(floats.zero_count);
    mixer.add_buckets(layout.positive_spans, floats.positive_counts);
    mixer.add(std::uint64_t{1});
    mixer.add_buckets(layout.negative_spans, floats.negative_counts);
  }
  return mixer.state();
}

OpenHistograms::Place OpenHistograms::begin(ChunkEncoding encoding) {
  auto made = std::make_unique<OpenHistogram>(encoding);
  MutexLock lock(mutex_);
  Place place;
  if (!free_.empty()) {
    place = free_.back();
    free_.pop_back();
  } else {
    place = static_cast<Place>(used_++);
    slots_.grow_to(used_);
  }
  slots_[place] = std::move(made);
  return place;
}

void OpenHistograms::free(Place place) {
  std::unique_ptr<OpenHistogram> gone;
  MutexLock lock(mutex_);
  gone = std::move(slots_[place]);
  free_.push_back(place);
}

std::size_t OpenHistograms::count() const {
  MutexLock lock(mutex_);
  return used_ - free_.size();
}

std::size_t OpenHistograms::bytes() const {
  MutexLock lock(mutex_);
  std::size_t sum = slots_.bytes();
  for (std::size_t i = 0; i < used_; ++i) {
    if (slots_[i] != nullptr) sum += slots_[i]->encoder.memory_bytes();
  }
  return sum;
}

}  // namespace tarsier::tsdb
