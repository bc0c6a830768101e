#include "tsdb/head/out_of_order.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint16_t kFirstCapacity = 4;

bool is_before(const Sample& sample, Timestamp t) { return sample.t < t; }

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
  chunk->previous = series.newest;
  series.newest = chunk;
}

void LateEpoch::seal(Series& series) {
  XorEncoder encoder;
  for (const Sample& sample : series.open()) encoder.append(sample);
  const Bytes bytes = encoder.bytes();
  NewSealedChunk chunk;
  chunk.header = {series.ref, series.open().front().t, series.open().back().t,
                  static_cast<std::uint8_t>(ChunkEncoding::kXor), true};
  chunk.size = bytes.size();
  const auto [made, data] = window_.allocate(chunk);
  std::memcpy(data.data(), bytes.data(), bytes.size());
  push(series, made);
  series.count = 0;
}

bool LateEpoch::insert(Slot slot, std::uint64_t ref, Sample sample) {
  Series& series = series_of(slot, ref);
  Sample* const end = series.samples + series.count;
  Sample* at = std::lower_bound(series.samples, end, sample.t, is_before);
  if (at != end && at->t == sample.t) return false;
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

Result<bool> LateEpoch::erase(Slot slot, TimeRange range) {
  if (find(slot) == nullptr) return false;
  Series& series = series_[index_[slot] - 1];
  if (series.is_empty() || series.max_t < range.min.ms || series.min_t > range.max.ms) return false;
  SampleColumns columns;
  TRY(read_late(series.newest, series.open(), TimeRange{}, columns));
  const std::size_t before = columns.size();
  const TimeRange gone[] = {range};
  remove_deleted(gone, 0, columns);
  if (columns.size() == before) return false;
  // Rare enough to make everything anew.
  series.newest = nullptr;
  series.count = 0;
  series.min_t = INT64_MAX;
  series.max_t = INT64_MIN;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    insert(slot, series.ref, {Timestamp{columns.times_ms[i]}, columns.values[i]});
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
                      const std::byte* data) {
  Series& series = series_of(slot, ref);
  push(series, window_.adopt(chunk, data));
  note(series, chunk.header.min_time.ms, chunk.header.max_time.ms);
}

std::size_t LateEpoch::bytes() const {
  return index_.capacity() * sizeof(std::uint32_t) + series_.capacity() * sizeof(Series) +
         arrays_.bytes() + window_.bytes();
}

void merge_columns(std::size_t begin, std::size_t from, SampleColumns& columns) {
  if (from == begin || from == columns.size()) return;
  if (columns.times_ms[from - 1] < columns.times_ms[from]) return;
  SampleColumns added;
  const auto offset = static_cast<std::ptrdiff_t>(from);
  added.times_ms.assign(columns.times_ms.begin() + offset, columns.times_ms.end());
  added.values.assign(columns.values.begin() + offset, columns.values.end());
  // From the back, in place: what is already at its place is never touched. Samples of the same
  // time leave holes at the front of the merged part, closed at the end.
  std::size_t a = from;
  std::size_t b = added.size();
  std::size_t out = columns.size();
  while (b > 0) {
    if (a > begin && columns.times_ms[a - 1] >= added.times_ms[b - 1]) {
      if (columns.times_ms[a - 1] == added.times_ms[b - 1]) --b;
      --a;
      --out;
      columns.times_ms[out] = columns.times_ms[a];
      columns.values[out] = columns.values[a];
    } else {
      --b;
      --out;
      columns.times_ms[out] = added.times_ms[b];
      columns.values[out] = added.values[b];
    }
  }
  const auto hole_begin = static_cast<std::ptrdiff_t>(a);
  const auto hole_end = static_cast<std::ptrdiff_t>(out);
  columns.times_ms.erase(columns.times_ms.begin() + hole_begin,
                         columns.times_ms.begin() + hole_end);
  columns.values.erase(columns.values.begin() + hole_begin, columns.values.begin() + hole_end);
}

Status read_late(const SealedChunk* newest, std::span<const Sample> open, TimeRange range,
                 SampleColumns& out) {
  std::vector<const SealedChunk*> chunks;
  for (const SealedChunk* chunk = newest; chunk != nullptr; chunk = chunk->previous) {
    if (chunk->max_t < range.min.ms || chunk->min_t() > range.max.ms) continue;
    chunks.push_back(chunk);
  }
  const std::size_t begin = out.size();
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    const std::size_t from = out.size();
    TRY(decode_xor_chunk((*chunk)->bytes(), range, out));
    merge_columns(begin, from, out);
  }
  const std::size_t from = out.size();
  for (const Sample& sample : open) {
    if (range.min <= sample.t && sample.t <= range.max) out.push_back(sample.t, sample.v);
  }
  merge_columns(begin, from, out);
  return {};
}

std::span<const LateCapture::Part> LateCapture::of(std::size_t index) const {
  const auto before = [](const Part& part, std::size_t i) { return part.index < i; };
  const auto first = std::lower_bound(parts.begin(), parts.end(), index, before);
  const auto last = std::lower_bound(first, parts.end(), index + 1, before);
  return {first, last};
}

}  // namespace tarsier::tsdb
