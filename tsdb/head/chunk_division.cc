#include "tsdb/head/chunk_division.h"

#include <algorithm>
#include <cmath>

namespace tarsier::tsdb {
namespace {

constexpr std::uint16_t kSamplesPerChunk = 120;
/// A chunk with a quarter of its samples says how long they will take.
constexpr std::uint16_t kEstimateAtSamples = kSamplesPerChunk / 4;
/// No sample is appended to a chunk longer than this: 1024 less the worst sample.
constexpr std::size_t kBytesMax = 1005;

/// Where the chunk should end so that the window is divided evenly, given how long its first
/// samples took (`newest` is the last of them).
std::int64_t estimate_end(std::int64_t start, std::int64_t newest, std::int64_t end) {
  const double n = static_cast<double>(end - start) / (static_cast<double>(newest - start + 1) *
                                                       (kSamplesPerChunk / kEstimateAtSamples));
  if (n <= 1) return end;
  return static_cast<std::int64_t>(static_cast<double>(start) +
                                   static_cast<double>(end - start) / std::floor(n));
}

bool is_xor(const EncodedChunk& chunk) { return chunk.chunk.encoding == ChunkEncoding::kXor; }

}  // namespace

std::int64_t window_end(std::int64_t t, std::int64_t range_ms) {
  std::int64_t into = t % range_ms;
  if (into < 0) into += range_ms;
  return (Timestamp{t} + Duration{range_ms - into}).ms;
}

Status ChunkDivision::decode(std::span<const EncodedChunk> run) {
  columns_.clear();
  for (const EncodedChunk& chunk : run) {
    TRY(decode_xor_chunk(chunk.chunk.data, {}, columns_));
  }
  samples_.clear();
  samples_.reserve(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0 && columns_.times_ms[i] <= columns_.times_ms[i - 1]) return corruption("overlap");
    samples_.push_back({Timestamp{columns_.times_ms[i]}, columns_.values[i]});
  }
  return {};
}

void ChunkDivision::encode() {
  for (std::span<const Sample> left = samples_; !left.empty();) {
    XorState state;
    std::string& data = data_.emplace_back(kXorHeaderBytes, '\0');
    const auto add = [&](std::size_t offset, Bytes bytes) {
      data.resize(offset);
      data += as_text(bytes);
    };
    const std::int64_t start = left.front().t.ms;
    std::int64_t next_at = window_end(start, range_ms_);
    const XorTail first = state.append(left.front(), std::byte{});
    add(first.offset, Bytes(first.bytes).first(first.size));
    left = left.subspan(1);
    // The end is known better after a quarter of the samples.
    for (const std::uint16_t count : {kEstimateAtSamples, std::uint16_t{2 * kSamplesPerChunk}}) {
      append_xor_run(state, left,
                     {.t_end = next_at, .sample_count_max = count, .byte_count_max = kBytesMax},
                     static_cast<std::byte>(data.back()), tails_);
      if (tails_.count > 0) add(tails_.offset, Bytes(tails_.bytes).first(tails_.size));
      left = left.subspan(tails_.count);
      if (state.sample_count == kEstimateAtSamples) next_at = estimate_end(start, state.t, next_at);
    }
    write_xor_count(std::as_writable_bytes(std::span(data)), state.sample_count);
    divided_.push_back(
        {Timestamp{start}, Timestamp{state.t}, {ChunkEncoding::kXor, as_bytes(data)}});
  }
}

void ChunkDivision::divide(std::vector<EncodedChunk>& chunks) {
  const bool has_run =
      std::adjacent_find(chunks.begin(), chunks.end(), [](const auto& a, const auto& b) {
        return is_xor(a) && is_xor(b);
      }) != chunks.end();
  if (!has_run) return;
  divided_.clear();
  data_.clear();
  for (std::span<const EncodedChunk> left = chunks; !left.empty();) {
    const auto run_end = std::find_if_not(left.begin(), left.end(), is_xor);
    const auto run = left.first(static_cast<std::size_t>(run_end - left.begin()));
    if (run.size() > 1 && decode(run).ok()) {
      encode();
    } else {
      divided_.insert(divided_.end(), run.begin(), run.end());
    }
    left = left.subspan(run.size());
    if (left.empty()) break;
    divided_.push_back(left.front());
    left = left.subspan(1);
  }
  chunks.swap(divided_);
}

}  // namespace tarsier::tsdb
