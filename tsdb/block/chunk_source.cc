#include "tsdb/block/chunk_source.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace tarsier::tsdb {
namespace {

constexpr std::uint64_t kMetaBytesMax = 16 << 20;
// As in chunk_files.cc: what is around a chunk's data.
constexpr std::uint64_t kSegmentHeaderBytes = 8;
constexpr std::uint64_t kFrameBytesMax = 5 + 1 + 4;
constexpr std::uint64_t kUsualSegmentBytes = std::uint64_t{512} << 20;

std::uint64_t frame_bytes(std::uint64_t data_bytes) {
  const auto bits = static_cast<std::uint64_t>(std::bit_width(data_bytes | 1));
  return (bits + 6) / 7 + 1 + data_bytes + 4;
}

class BlockChunkSource final : public ChunkSource {
 public:
  BlockChunkSource(std::shared_ptr<const Block> block, std::string meta_json)
      : block_(std::move(block)), meta_json_(std::move(meta_json)) {}

  const BlockMeta& meta() const override { return block_->meta(); }
  const std::string& meta_json() const override { return meta_json_; }
  void add_symbols(SymbolSet& symbols) const override {
    const SymbolTable& table = block_->index().symbols();
    for (std::size_t i = 0; i < table.size(); ++i) symbols.add(table.by_ordinal(i));
  }

  Status start() override {
    refs_.clear();
    labels_ = {};
    TRY(block_->index().append_all(refs_));
    return step_to(0);
  }
  Status step() override { return step_to(at_ + 1); }
  bool done() const override { return at_ == refs_.size(); }
  const Labels& labels() const override { return labels_; }
  std::span<const TimeRange> deleted() const override {
    return block_->tombstones().ranges(refs_[at_]);
  }

  Result<std::span<const StoredChunk>> chunks() override {
    metas_.clear();
    chunks_.clear();
    bytes_.clear();
    TRY(block_->index().append_chunks(series_, TimeRange{}, metas_));
    if (metas_.empty()) return corruption("series " + labels_.to_string() + " has no chunks");
    std::vector<std::size_t> begins;
    for (std::span<const ChunkMeta> rest = metas_; !rest.empty();) {
      const std::size_t count = TRY(block_->chunks().read(rest, buffer_));
      for (std::size_t i = 0; i < count; ++i) {
        begins.push_back(bytes_.size());
        bytes_ += as_text(buffer_.chunks[i].data);
        chunks_.push_back({rest[i], {buffer_.chunks[i].encoding, {}}});
      }
      rest = rest.subspan(count);
    }
    begins.push_back(bytes_.size());
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      chunks_[i].chunk.data = as_bytes(bytes_).subspan(begins[i], begins[i + 1] - begins[i]);
    }
    return std::span<const StoredChunk>(chunks_);
  }

 private:
  Status step_to(std::size_t position) {
    at_ = position;
    if (done()) return {};
    series_ = TRY(block_->index().series(refs_[at_]));
    TRY(block_->index().decode_labels(series_, views_));
    Labels next = Labels::from_sorted(views_);
    if (at_ > 0 && next <= labels_) {
      return corruption(fmt::format("block {}: series {} is out of order", meta().ulid.to_string(),
                                    next.to_string()));
    }
    labels_ = std::move(next);
    return {};
  }

  const std::shared_ptr<const Block> block_;
  const std::string meta_json_;
  std::vector<std::uint32_t> refs_;
  std::size_t at_ = 0;
  Bytes series_;
  std::vector<LabelView> views_;
  Labels labels_;
  std::vector<ChunkMeta> metas_;
  ChunkBuffer buffer_;
  std::string bytes_;
  std::vector<StoredChunk> chunks_;
};

}  // namespace

Result<std::unique_ptr<ChunkSource>> make_block_chunk_source(FileSystem& files,
                                                             const std::string& directory,
                                                             std::shared_ptr<const Block> block) {
  std::string json = TRY(read_file(files, join_path(directory, kMetaFileName), kMetaBytesMax));
  return std::unique_ptr<ChunkSource>(new BlockChunkSource(std::move(block), std::move(json)));
}

void SegmentSizes::add(std::uint64_t ref, std::uint64_t data_bytes) {
  const std::uint64_t segment = ref >> 32;
  const std::uint64_t offset = ref & 0xFFFFFFFFu;
  const std::uint64_t counted = kFrameBytesMax + data_bytes;
  if (segment != last_segment_) {
    exceeds_ = std::min(exceeds_, last_end_ + counted);
  } else if (offset > kSegmentHeaderBytes) {
    fits_ = std::max(fits_, offset + counted);
  }
  last_segment_ = segment;
  last_end_ = offset + frame_bytes(data_bytes);
}

std::optional<std::uint64_t> SegmentSizes::bytes_max() const {
  if (fits_ >= exceeds_) return std::nullopt;
  if (fits_ <= kUsualSegmentBytes && kUsualSegmentBytes < exceeds_) return kUsualSegmentBytes;
  return fits_;
}

std::uint64_t ReferenceCounter::next(std::uint64_t data_bytes) {
  const std::uint64_t counted = kFrameBytesMax + data_bytes;
  if (offset_ == 0) {
    offset_ = kSegmentHeaderBytes;
  } else if (offset_ + counted > segment_bytes_max_ && offset_ > kSegmentHeaderBytes) {
    ++segment_;
    offset_ = kSegmentHeaderBytes;
  }
  const std::uint64_t ref = segment_ << 32 | offset_;
  offset_ += frame_bytes(data_bytes);
  return ref;
}

}  // namespace tarsier::tsdb
