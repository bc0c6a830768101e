#include "tsdb/head/late_capture.h"

#include <algorithm>
#include <utility>

#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

/// Those of the list that may have samples in `range`, in the order in which they were sealed.
std::vector<const SealedChunk*> chunks_in(const SealedChunk* newest, TimeRange range) {
  std::vector<const SealedChunk*> chunks;
  for (const SealedChunk* chunk = newest; chunk != nullptr; chunk = chunk->previous().chunk) {
    if (chunk->max_t() < range.min.ms || chunk->min_t() > range.max.ms) continue;
    chunks.push_back(chunk);
  }
  std::reverse(chunks.begin(), chunks.end());
  return chunks;
}

FloatHistogram as_floats(const AnyHistogram& histogram) {
  if (const auto* integers = std::get_if<IntegerHistogram>(&histogram)) return to_float(*integers);
  return std::get<FloatHistogram>(histogram);
}

}  // namespace

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
  const std::size_t begin = out.size();
  for (const SealedChunk* chunk : chunks_in(newest, range)) {
    if (!is_float_encoding(ChunkEncoding{chunk->encoding()})) continue;
    const std::size_t from = out.size();
    TRY(decode_xor_chunk(chunk->bytes(), range, out));
    merge_columns(begin, from, out);
  }
  const std::size_t from = out.size();
  for (const Sample& sample : open) {
    if (range.contains(sample.t)) out.push_back(sample.t, sample.v);
  }
  merge_columns(begin, from, out);
  return {};
}

Status read_late(const LateCapture& late, const LateCapture::Part& part, TimeRange range,
                 SampleColumns& floats, HistogramColumns& histograms, MixedMerge& merge) {
  for (const SealedChunk* chunk : chunks_in(part.newest, range)) {
    const ChunkEncoding encoding{chunk->encoding()};
    if (is_float_encoding(encoding)) {
      TRY(decode_float_chunk(encoding, chunk->bytes(), range, floats));
    } else {
      TRY(decode_histogram_chunk(encoding, chunk->bytes(), range, histograms));
    }
    merge.add_source();
  }
  for (const Sample& sample : late.open(part)) {
    if (range.contains(sample.t)) floats.push_back(sample.t, sample.v);
  }
  for (const LateHistogram& one : late.open_histograms(part)) {
    if (range.contains(one.t)) histograms.push_back(one.t, as_floats(*one.value));
  }
  merge.add_source();
  return {};
}

Status read_late(const SealedChunk* newest, std::span<const Sample> open,
                 std::span<const LateHistogram> open_histograms, TimeRange range,
                 std::vector<AnySample>& out) {
  std::vector<AnySample> added;
  for (const SealedChunk* chunk : chunks_in(newest, range)) {
    added.clear();
    TRY(decode_any_chunk({ChunkEncoding{chunk->encoding()}, chunk->bytes()}, range,
                         HeaderReset::kForgotten, added));
    merge_any_samples(out, added);
  }
  added.clear();
  for (const Sample& sample : open) {
    if (range.contains(sample.t)) added.push_back({sample.t, sample.v});
  }
  merge_any_samples(out, added);
  added.clear();
  for (const LateHistogram& one : open_histograms) {
    if (range.contains(one.t)) added.push_back({one.t, *one.value});
  }
  merge_any_samples(out, added);
  return {};
}

std::span<const LateCapture::Part> LateCapture::of(std::size_t index) const {
  const auto before = [](const Part& part, std::size_t i) { return part.index < i; };
  const auto first = std::lower_bound(parts.begin(), parts.end(), index, before);
  const auto last = std::lower_bound(first, parts.end(), index + 1, before);
  return {first, last};
}

bool LateCapture::has_histograms(std::size_t index) const {
  const std::span<const Part> its = of(index);
  return std::any_of(its.begin(), its.end(), [](const Part& part) { return part.has_histograms; });
}

}  // namespace tarsier::tsdb
