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
  void add(const BucketSpan& span) {
    add((static_cast<std::uint64_t>(static_cast<std::uint32_t>(span.offset)) << 32) | span.length);
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
  mixer.add_all(layout.positive_spans);
  mixer.add_all(layout.negative_spans);
  mixer.add_all(layout.custom_bounds);
  if (const auto* integers = std::get_if<IntegerHistogram>(&histogram)) {
    mixer.add(integers->count);
    mixer.add(integers->zero_count);
    mixer.add_all(integers->positive_deltas);
    mixer.add_all(integers->negative_deltas);
  } else {
    const auto& floats = std::get<FloatHistogram>(histogram);
    mixer.add(floats.count);
    mixer.add(floats.zero_count);
    mixer.add_all(floats.positive_counts);
    mixer.add_all(floats.negative_counts);
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
