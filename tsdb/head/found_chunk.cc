#include "tsdb/head/found_chunk.h"

#include <bit>
#include <utility>

#include "tsdb/block/chunk_files.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/head/open_histograms.h"

namespace tarsier::tsdb {
namespace {

/// Chunks of histograms may be big; nobody writes bigger ones.
constexpr std::size_t kChunkBytesMax = std::size_t{16} << 20;

}  // namespace

std::optional<NewSealedChunk> adoptable(const HeadChunkEntry& entry) {
  const ChunkEncoding encoding{entry.header.encoding};
  const bool is_float = encoding == ChunkEncoding::kXor;
  if (!is_float && encoding != ChunkEncoding::kHistogram &&
      encoding != ChunkEncoding::kFloatHistogram) {
    return {};
  }
  if (entry.data.size() < (is_float ? kXorHeaderBytes : kHistogramHeaderBytes)) return {};
  if (entry.data.size() > (is_float ? std::size_t{0xffff} : kChunkBytesMax)) return {};
  // The head computes where data begins: a length written in more bytes than it takes is not ours.
  if (entry.size != head_chunk_entry_bytes(entry.data.size())) return {};
  NewSealedChunk chunk;
  chunk.header = entry.header;
  chunk.size = entry.data.size();
  if (load_be<std::uint16_t>(entry.data.data()) == 0) return {};
  return chunk;
}

std::optional<LastSample> last_sample(const HeadChunkEntry& entry) {
  std::optional<LastSample> last;
  if (entry.header.encoding == static_cast<std::uint8_t>(ChunkEncoding::kXor)) {
    XorIterator samples(entry.data);
    while (samples.next()) last = LastSample{samples.sample(), {}};
    if (!samples.status().ok()) return {};
  } else {
    const auto take = [&](HistogramIterator& it) {
      AnyHistogram histogram = it.histogram();
      const bool is_valid =
          std::visit([](auto& one) { return prepare_for_storage(one).ok(); }, histogram);
      if (!is_valid && !it.is_stale()) return false;
      if (it.header() == ChunkResetHeader::kGauge) {
        std::visit([](auto& one) { one.hint = CounterResetHint::kGauge; }, histogram);
      }
      const auto print = std::bit_cast<double>(fingerprint(histogram));
      last = LastSample{{it.t(), print}, std::move(histogram), it.header()};
      return true;
    };
    HistogramIterator it(ChunkEncoding{entry.header.encoding}, entry.data);
    std::size_t left = it.sample_count();
    while (it.next()) {
      if (--left == 0 && !take(it)) return {};
    }
    if (!it.status().ok()) return {};
  }
  if (!last || last->sample.t != entry.header.max_time) return {};
  return last;
}

}  // namespace tarsier::tsdb
