#include <vector>

#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tsdb/chunk/histogram_encoder.h"
#include "tsdb/chunk/histogram_iterator.h"

namespace tarsier {
namespace {

using namespace tsdb;

/// Whatever decodes decodes the same in both ways, and what is valid of it can be encoded again.
void check_histograms(ChunkEncoding encoding, Bytes chunk) {
  HistogramIterator it(encoding, chunk);
  HistogramEncoder encoder(it.is_float() ? ChunkEncoding::kFloatHistogram
                                         : ChunkEncoding::kHistogram);
  std::size_t count = 0;
  for (; it.next(); ++count) {
    AnyHistogram histogram = it.histogram();
    const bool is_valid =
        std::visit([](auto& one) { return prepare_for_storage(one).ok(); }, histogram);
    if (!is_valid) continue;
    const HistogramEncoder::Fit fit = encoder.fit(histogram);
    if (!fit.fits || encoder.sample_count() == 0) encoder.begin(fit.header);
    encoder.append(it.t(), histogram);
  }
  HistogramColumns columns;
  const Status status = decode_histogram_chunk(encoding, chunk, {}, columns);
  CHECK(status.ok() == it.status().ok());
  CHECK(columns.size() == count);
  if (encoder.sample_count() == 0) return;
  HistogramColumns again;
  CHECK(decode_histogram_chunk(encoder.encoding(), encoder.bytes(), {}, again).ok());
  CHECK(again.size() == encoder.sample_count());
}

}  // namespace

/// The first byte is the encoding, the rest a chunk.
void fuzz_one(Bytes input) {
  if (input.empty()) return;
  const auto encoding = static_cast<ChunkEncoding>(static_cast<unsigned>(input[0]) % 8);
  const std::vector<std::byte> chunk(input.begin() + 1, input.end());  // So that overreads show.
  if (is_histogram_encoding(encoding)) check_histograms(encoding, chunk);
  SampleColumns columns;
  if (is_float_encoding(encoding)) (void)decode_float_chunk(encoding, chunk, {}, columns).ok();
}

}  // namespace tarsier
