#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "tsdb/block/sealed_block.h"
#include "tsdb/block/sealed_origin.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

/// Encodes the samples again where the chunks began and ended. XOR coding is a function of the
/// samples, so the bytes are those that were sealed.
class SealedChunkSource final : public ChunkSource {
 public:
  SealedChunkSource(std::shared_ptr<const SealedBlock> block, std::size_t source,
                    OriginReader origin)
      : block_(std::move(block)),
        source_(block_->meta().sources[source]),
        origin_(std::move(origin)),
        references_(source_.segment_bytes_max) {}

  const BlockMeta& meta() const override { return source_.meta; }
  const std::string& meta_json() const override { return source_.meta_json; }
  void add_symbols(SymbolSet& symbols) const override {
    for (const Labels& labels : own_labels_) symbols.add(labels);
  }

  /// Once, before the first start: which series are the source's.
  Status find_series() {
    TRY(block_->index().append_all(all_refs_));
    std::vector<LabelView> views;
    std::vector<ChunkOrigin> chunks;
    for (const std::uint32_t ref : all_refs_) {
      TRY(origin_.next(chunks));
      if (chunks.empty()) continue;
      refs_.push_back(ref);
      const Bytes series = TRY(block_->index().series(ref));
      TRY(block_->index().decode_labels(series, views));
      own_labels_.push_back(Labels::from_sorted(views));
    }
    return {};
  }

  Status start() override {
    references_ = ReferenceCounter(source_.segment_bytes_max);
    origin_.rewind();
    at_ = 0;
    at_all_ = 0;
    return load();
  }
  Status step() override {
    TRY(chunks());  // Their references count on.
    ++at_;
    return load();
  }
  bool done() const override { return at_ == refs_.size(); }
  const Labels& labels() const override { return own_labels_[at_]; }
  std::span<const TimeRange> deleted() const override {
    return block_->tombstones().ranges(refs_[at_]);
  }

  Result<std::span<const StoredChunk>> chunks() override {
    if (!is_made_) TRY(make_chunks());
    is_made_ = true;
    return std::span<const StoredChunk>(chunks_);
  }

 private:
  /// Finds what the origin says of the current series.
  Status load() {
    is_made_ = false;
    if (done()) return {};
    for (;; ++at_all_) {
      if (at_all_ == all_refs_.size()) return mismatch("the series is not in the origin");
      TRY(origin_.next(origins_));
      if (all_refs_[at_all_] != refs_[at_]) continue;
      ++at_all_;
      return {};
    }
  }

  Status make_chunks() {
    const TimeRange range{source_.meta.min_time, source_.meta.max_time - milliseconds(1)};
    metas_.clear();
    const Bytes series = TRY(block_->index().series(refs_[at_]));
    TRY(block_->index().append_chunks(series, range, metas_));
    floats_.clear();
    kept_.clear();
    copies_.clear();
    for (const ChunkMeta& meta : metas_) {
      std::vector<StoredChunk> chunks;
      if (!TRY(block_->columns().read_chunks(meta.ref, copies_.emplace_back(), chunks))) {
        TRY(block_->columns().read(meta.ref, {range, floats_, nullptr}));
        continue;
      }
      std::copy_if(chunks.begin(), chunks.end(), std::back_inserter(kept_),
                   [&](const StoredChunk& chunk) { return range.contains(chunk.meta.min_time); });
    }
    chunks_.clear();
    bytes_.clear();
    std::size_t next_float = 0;
    std::size_t next_kept = 0;
    for (const ChunkOrigin& origin : origins_) {
      StoredChunk& chunk = chunks_.emplace_back();
      std::string& bytes = bytes_.emplace_back();
      if (origin.float_count == 0) {
        if (next_kept == kept_.size()) return mismatch("a chunk is missing");
        chunk = kept_[next_kept++];
        bytes = as_text(chunk.chunk.data);
      } else {
        if (origin.float_count > floats_.size() - next_float)
          return mismatch("samples are missing");
        const std::size_t end = next_float + origin.float_count;
        chunk.meta.min_time.ms = floats_.times_ms[next_float];
        chunk.meta.max_time.ms = floats_.times_ms[end - 1];
        chunk.chunk.encoding = ChunkEncoding::kXor;
        XorEncoder encoder;
        for (; next_float < end; ++next_float) {
          encoder.append({Timestamp{floats_.times_ms[next_float]}, floats_.values[next_float]});
        }
        bytes = as_text(encoder.bytes());
        if (origin.has_surplus_byte) bytes.push_back('\0');
      }
      chunk.chunk.data = as_bytes(bytes);
      chunk.meta.ref = references_.next(bytes.size());
    }
    if (next_float != floats_.size() || next_kept != kept_.size()) {
      return mismatch("there is more than the origin says");
    }
    return {};
  }

  Status mismatch(std::string_view what) const {
    return corruption(fmt::format("sealed block {}, source {}: {}", block_->meta().ulid.to_string(),
                                  source_.meta.ulid.to_string(), what));
  }

  const std::shared_ptr<const SealedBlock> block_;
  const SealedSource& source_;
  OriginReader origin_;
  ReferenceCounter references_;
  std::vector<std::uint32_t> all_refs_;  // Of the whole block.
  std::vector<std::uint32_t> refs_;      // Of the source.
  std::vector<Labels> own_labels_;       // Parallel to refs_.
  std::size_t at_ = 0;
  std::size_t at_all_ = 0;
  bool is_made_ = false;
  std::vector<ChunkOrigin> origins_;
  std::vector<ChunkMeta> metas_;
  SampleColumns floats_;
  std::vector<StoredChunk> kept_;
  std::deque<std::string> copies_;
  std::deque<std::string> bytes_;
  std::vector<StoredChunk> chunks_;
};

}  // namespace

Result<std::unique_ptr<ChunkSource>> make_sealed_chunk_source(
    FileSystem& files, const std::string& directory, std::shared_ptr<const SealedBlock> block,
    std::size_t source) {
  OriginReader origin = TRY(OriginReader::open(files, directory, source));
  auto made = std::make_unique<SealedChunkSource>(std::move(block), source, std::move(origin));
  TRY(made->find_series());
  return std::unique_ptr<ChunkSource>(std::move(made));
}

}  // namespace tarsier::tsdb
