#include "tsdb/compaction/sample_encoder.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

/// A chunk of big histograms ends at this size, though it has fewer samples than it may have.
constexpr std::size_t kHistogramChunkBytesMax = std::size_t{64} << 10;

void set_hint(AnyHistogram& histogram, CounterResetHint hint) {
  std::visit([&](auto& one) { one.hint = hint; }, histogram);
}

/// Where a run of floats ends that begins at the front.
std::size_t float_run(std::span<const AnySample> samples, std::size_t count_max) {
  std::size_t count = 0;
  while (count < std::min(samples.size(), count_max) && samples[count].value.index() == 0) ++count;
  return count;
}

void encode_floats(std::span<const AnySample> samples, const ChunkSink& sink) {
  XorEncoder encoder;
  for (const AnySample& sample : samples) {
    encoder.append({sample.t, std::get<double>(sample.value)});
  }
  sink(samples.front().t, samples.back().t, {ChunkEncoding::kXor, encoder.bytes()});
}

/// The histograms of one chunk after the other. Floats in between make it forget what it knows.
class HistogramRun final {
 public:
  HistogramRun(std::size_t samples_max, const ChunkSink& sink)
      : samples_max_(samples_max), sink_(sink) {}

  void append(Timestamp t, const AnyHistogram& histogram) {
    if (encoder_ && !encoder_->takes(histogram)) forget();
    if (!encoder_) {
      encoder_ = std::make_unique<HistogramEncoder>(
          histogram.index() == 0 ? ChunkEncoding::kHistogram : ChunkEncoding::kFloatHistogram);
    }
    const HistogramEncoder::Fit fit = encoder_->fit(histogram);
    const bool is_full = encoder_->sample_count() >= samples_max_ ||
                         encoder_->bytes().size() >= kHistogramChunkBytesMax;
    if (!fit.fits || is_full) finish();
    if (encoder_->sample_count() == 0) {
      encoder_->begin(fit.header);
      first_ = t;
    }
    encoder_->append(t, histogram);
  }
  void forget() {
    finish();
    encoder_.reset();
  }

 private:
  void finish() {
    if (!encoder_ || encoder_->sample_count() == 0) return;
    sink_(first_, encoder_->newest_time(), {encoder_->encoding(), encoder_->bytes()});
    encoder_->begin(encoder_->is_gauge() ? ChunkResetHeader::kGauge : ChunkResetHeader::kUnknown);
  }

  const std::size_t samples_max_;
  const ChunkSink& sink_;
  std::unique_ptr<HistogramEncoder> encoder_;  // Null: nothing before counts.
  Timestamp first_;
};

}  // namespace

Status decode_any_chunk(const Chunk& chunk, TimeRange range, HeaderReset header_reset,
                        std::vector<AnySample>& out) {
  if (is_float_encoding(chunk.encoding)) {
    SampleColumns columns;
    TRY(decode_float_chunk(chunk.encoding, chunk.data, range, columns));
    for (std::size_t i = 0; i < columns.size(); ++i) {
      out.push_back({Timestamp{columns.times_ms[i]}, columns.values[i]});
    }
    return {};
  }
  HistogramIterator it(chunk.encoding, chunk.data);
  for (bool is_first = true; it.next(); is_first = false) {
    if (it.t() > range.max) return {};
    if (it.t() < range.min) continue;
    AnyHistogram histogram = it.histogram();
    if (it.header() != ChunkResetHeader::kGauge) {
      const bool is_reset =
          is_first && header_reset == HeaderReset::kKept && it.header() == ChunkResetHeader::kReset;
      set_hint(histogram, is_reset ? CounterResetHint::kReset : CounterResetHint::kUnknown);
    }
    out.push_back({it.t(), std::move(histogram)});
  }
  return it.status();
}

void merge_any_samples(std::vector<AnySample>& samples, std::vector<AnySample>& added) {
  if (samples.empty() || added.empty() || samples.back().t < added.front().t) {
    samples.insert(samples.end(), std::make_move_iterator(added.begin()),
                   std::make_move_iterator(added.end()));
    return;
  }
  std::vector<AnySample> out;
  out.reserve(samples.size() + added.size());
  std::size_t a = 0;
  std::size_t b = 0;
  while (a < samples.size() || b < added.size()) {
    const bool take_a = b == added.size() || (a < samples.size() && samples[a].t <= added[b].t);
    if (take_a && b < added.size() && samples[a].t == added[b].t) ++b;
    out.push_back(std::move(take_a ? samples[a++] : added[b++]));
  }
  samples.swap(out);
}

void encode_any_samples(std::span<const AnySample> samples, std::size_t samples_max,
                        const ChunkSink& sink) {
  HistogramRun histograms(samples_max, sink);
  while (!samples.empty()) {
    const std::size_t floats = float_run(samples, samples_max);
    if (floats > 0) {
      histograms.forget();
      encode_floats(samples.first(floats), sink);
      samples = samples.subspan(floats);
      continue;
    }
    histograms.append(samples.front().t, std::get<AnyHistogram>(samples.front().value));
    samples = samples.subspan(1);
  }
  histograms.forget();
}

}  // namespace tarsier::tsdb
