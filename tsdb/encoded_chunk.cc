#include "tsdb/encoded_chunk.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/chunk/histogram_encoder.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kSamplesPerChunk = 120;

/// Floats [first, end) as XOR chunks.
void encode_floats(const SampleColumns& floats, std::size_t first, std::size_t end,
                   std::vector<TransferChunk>& chunks) {
  for (; first < end; first += kSamplesPerChunk) {
    const std::size_t last = std::min(end, first + kSamplesPerChunk) - 1;
    XorEncoder encoder;
    for (std::size_t i = first; i <= last; ++i) {
      encoder.append({Timestamp{floats.times_ms[i]}, floats.values[i]});
    }
    chunks.push_back({floats.times_ms[first], floats.times_ms[last],
                      static_cast<std::uint8_t>(ChunkEncoding::kXor),
                      std::string(as_text(encoder.bytes()))});
  }
}

/// Histograms [first, end) as chunks of float histograms; `encoder` knows what came before.
void encode_histograms(const HistogramColumns& histograms, std::size_t first, std::size_t end,
                       HistogramEncoder& encoder, std::vector<TransferChunk>& chunks) {
  std::size_t begun = first;
  const auto finish = [&](std::size_t next) {
    if (next == begun) return;
    chunks.push_back({histograms.times_ms[begun], histograms.times_ms[next - 1],
                      static_cast<std::uint8_t>(encoder.encoding()),
                      std::string(as_text(encoder.bytes()))});
    begun = next;
  };
  for (std::size_t i = first; i < end; ++i) {
    AnyHistogram histogram = histograms.at(i);
    const HistogramEncoder::Fit fit = encoder.fit(histogram);
    if (i == first || !fit.fits || encoder.sample_count() >= kSamplesPerChunk) {
      finish(i);
      encoder.begin(fit.header);
    }
    encoder.append(Timestamp{histograms.times_ms[i]}, std::move(histogram));
  }
  finish(end);
}

}  // namespace

std::vector<TransferChunk> encode_chunks(const SampleColumns& floats,
                                         const HistogramColumns& histograms) {
  std::vector<TransferChunk> chunks;
  HistogramEncoder encoder(ChunkEncoding::kFloatHistogram);
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  std::size_t f = 0;
  std::size_t h = 0;
  // Runs of one kind, each up to where the other goes on.
  while (f < floats.size() || h < histograms.size()) {
    const std::int64_t next_histogram = h < histograms.size() ? histograms.times_ms[h] : kEnd;
    const auto behind_run = [](const std::vector<std::int64_t>& times, std::size_t from,
                               std::int64_t limit) {
      const auto begin = times.begin() + static_cast<std::ptrdiff_t>(from);
      return static_cast<std::size_t>(std::lower_bound(begin, times.end(), limit) - times.begin());
    };
    const std::size_t float_end = behind_run(floats.times_ms, f, next_histogram);
    encode_floats(floats, f, float_end, chunks);
    f = float_end;
    const std::int64_t next_float = f < floats.size() ? floats.times_ms[f] : kEnd;
    const std::size_t histogram_end = behind_run(histograms.times_ms, h, next_float);
    encode_histograms(histograms, h, histogram_end, encoder, chunks);
    h = histogram_end;
  }
  return chunks;
}

Status decode_transfer_chunk(std::uint8_t encoding, Bytes data, TimeRange range,
                             SampleColumns& floats, HistogramColumns& histograms) {
  const auto known = static_cast<ChunkEncoding>(encoding);
  if (is_float_encoding(known)) return decode_float_chunk(known, data, range, floats);
  if (is_histogram_encoding(known)) {
    return decode_histogram_chunk(known, data, range, histograms);
  }
  return corruption("a chunk of unknown encoding " + std::to_string(encoding));
}

}  // namespace tarsier::tsdb
