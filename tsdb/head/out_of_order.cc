#include "tsdb/head/out_of_order.h"

#include <algorithm>
#include <cstring>

#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/head/late_capture.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint16_t kFirstCapacity = 4;

template <typename T>
bool is_before(const T& sample, Timestamp t) {
  return sample.t < t;
}

std::size_t bytes_of(const AnyHistogram& histogram) {
  const BucketLayout& layout = layout_of(histogram);
  return sizeof(AnyHistogram) + layout.custom_bounds.size() * sizeof(double) +
         (layout.positive_spans.size() + layout.negative_spans.size()) * sizeof(BucketSpan) +
         (bucket_count(layout.positive_spans) + bucket_count(layout.negative_spans)) *
             sizeof(double);
}

}  // namespace

LateEpoch::Series& LateEpoch::series_of(Slot slot, std::uint64_t ref) {
  if (slot >= index_.size()) index_.resize(slot + 1, 0);
  std::uint32_t& position = index_[slot];
  if (position == 0) {
    series_.emplace_back().slot = slot;
    series_.back().ref = ref;
    position = static_cast<std::uint32_t>(series_.size());
  }
  return series_[position - 1];
}

void LateEpoch::note(Series& series, std::int64_t min_t, std::int64_t max_t) {
  series.min_t = std::min(series.min_t, min_t);
  series.max_t = std::max(series.max_t, max_t);
  min_t_ = std::min(min_t_, min_t);
  max_t_ = std::max(max_t_, max_t);
}

void LateEpoch::grow(Series& series) {
  const std::uint16_t capacity =
      series.capacity == 0 ? kFirstCapacity : static_cast<std::uint16_t>(2 * series.capacity);
  auto* const samples = static_cast<Sample*>(arrays_.allocate(capacity * sizeof(Sample)));
  std::copy_n(series.samples, series.count, samples);
  if (series.capacity > 0) arrays_.free(series.samples, series.capacity * sizeof(Sample));
  series.samples = samples;
  series.capacity = capacity;
}

void LateEpoch::push(Series& series, SealedChunk* chunk) {
  window_.link(*chunk, {series.newest, 0});
  series.newest = chunk;
}

void LateEpoch::seal(Series& series, TimeRange range, const Chunk& chunk) {
  NewSealedChunk sealed;
  sealed.header = {series.ref, range.min, range.max, static_cast<std::uint8_t>(chunk.encoding),
                   true};
  sealed.size = chunk.data.size();
  const auto [made, data] = window_.allocate(sealed);
  std::memcpy(data.data(), chunk.data.data(), chunk.data.size());
  push(series, made);
}

void LateEpoch::seal(Series& series) {
  XorEncoder encoder;
  for (const Sample& sample : series.open()) encoder.append(sample);
  seal(series, {series.open().front().t, series.open().back().t},
       {ChunkEncoding::kXor, encoder.bytes()});
  series.count = 0;
}

void LateEpoch::seal_histograms(Series& series) {
  std::vector<AnySample> samples;
  for (const LateHistogram& one : *series.histograms) samples.push_back({one.t, *one.value});
  encode_any_samples(samples, samples.size(),
                     [&](Timestamp min_time, Timestamp max_time, const Chunk& chunk) {
                       seal(series, {min_time, max_time}, chunk);
                     });
  for (const LateHistogram& one : *series.histograms) histogram_bytes_ -= bytes_of(*one.value);
  series.histograms->clear();
}

bool LateEpoch::insert(Slot slot, std::uint64_t ref, Sample sample) {
  Series& series = series_of(slot, ref);
  Sample* const end = series.samples + series.count;
  Sample* at = std::lower_bound(series.samples, end, sample.t, is_before<Sample>);
  if (at != end && at->t == sample.t) return false;
  if (series.has_histograms()) {
    const auto same = std::lower_bound(series.histograms->begin(), series.histograms->end(),
                                       sample.t, is_before<LateHistogram>);
    if (same != series.histograms->end() && same->t == sample.t) return false;
  }
  if (series.count == kOpenSamplesMax) {
    seal(series);
    at = series.samples;
  } else if (series.count == series.capacity) {
    const auto position = at - series.samples;
    grow(series);
    at = series.samples + position;
  }
  std::copy_backward(at, series.samples + series.count, series.samples + series.count + 1);
  *at = sample;
  ++series.count;
  note(series, sample.t.ms, sample.t.ms);
  return true;
}

bool LateEpoch::insert(Slot slot, std::uint64_t ref, Timestamp t, const AnyHistogram& histogram) {
  Series& series = series_of(slot, ref);
  if (series.histograms == nullptr) {
    series.histograms = std::make_unique<std::vector<LateHistogram>>();
  }
  std::vector<LateHistogram>& open = *series.histograms;
  auto at = std::lower_bound(open.begin(), open.end(), t, is_before<LateHistogram>);
  if (at != open.end() && at->t == t) return false;
  const std::span<const Sample> floats = series.open();
  const auto same = std::lower_bound(floats.begin(), floats.end(), t, is_before<Sample>);
  if (same != floats.end() && same->t == t) return false;
  if (open.size() == kOpenSamplesMax) {
    seal_histograms(series);
    at = open.end();
  }
  auto value = std::make_shared<AnyHistogram>(histogram);
  // Whatever came before it when it was made is not what will be before it.
  if (hint_of(*value) != CounterResetHint::kGauge) {
    std::visit([](auto& one) { one.hint = CounterResetHint::kUnknown; }, *value);
  }
  histogram_bytes_ += bytes_of(*value);
  open.insert(at, {t, std::move(value)});
  note(series, t.ms, t.ms);
  return true;
}

Result<bool> LateEpoch::erase(Slot slot, TimeRange range) {
  if (find(slot) == nullptr) return false;
  Series& series = series_[index_[slot] - 1];
  if (series.is_empty() || series.max_t < range.min.ms || series.min_t > range.max.ms) return false;
  std::vector<AnySample> samples;
  TRY(read_late(series.newest, series.open(), series.open_histograms(), TimeRange{}, samples));
  const std::size_t before = samples.size();
  std::erase_if(samples, [&](const AnySample& sample) { return range.contains(sample.t); });
  if (samples.size() == before) return false;
  // Rare enough to make everything anew.
  series.newest = nullptr;
  series.count = 0;
  for (const LateHistogram& one : series.open_histograms()) {
    histogram_bytes_ -= bytes_of(*one.value);
  }
  series.histograms.reset();
  series.min_t = INT64_MAX;
  series.max_t = INT64_MIN;
  for (const AnySample& sample : samples) {
    if (const double* v = std::get_if<double>(&sample.value)) {
      insert(slot, series.ref, {sample.t, *v});
    } else {
      insert(slot, series.ref, sample.t, std::get<AnyHistogram>(sample.value));
    }
  }
  note_all();
  return true;
}

void LateEpoch::note_all() {
  min_t_ = INT64_MAX;
  max_t_ = INT64_MIN;
  for (const Series& series : series_) {
    min_t_ = std::min(min_t_, series.min_t);
    max_t_ = std::max(max_t_, series.max_t);
  }
}

void LateEpoch::adopt(Slot slot, std::uint64_t ref, const NewSealedChunk& chunk,
                      const std::byte* entry) {
  Series& series = series_of(slot, ref);
  push(series, window_.adopt(chunk, entry));
  if (chunk.header.encoding != static_cast<std::uint8_t>(ChunkEncoding::kXor) &&
      series.histograms == nullptr) {
    series.histograms = std::make_unique<std::vector<LateHistogram>>();
  }
  note(series, chunk.header.min_time.ms, chunk.header.max_time.ms);
}

std::size_t LateEpoch::bytes() const {
  return index_.capacity() * sizeof(std::uint32_t) + series_.capacity() * sizeof(Series) +
         arrays_.bytes() + window_.bytes() + histogram_bytes_;
}

}  // namespace tarsier::tsdb
