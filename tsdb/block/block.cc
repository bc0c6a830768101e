#include "tsdb/block/block.h"

#include <fmt/format.h>

namespace tarsier::tsdb {
namespace {

std::string_view last_component(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Result<std::shared_ptr<const Block>> Block::open(FileSystem& files, const std::string& directory) {
  std::shared_ptr<Block> block(new Block());
  block->meta_ = TRY(read_block_meta(files, directory));
  if (block->meta_.ulid.to_string() != last_component(directory)) {
    return corruption(fmt::format("{}: {} says it is block {}", directory, kMetaFileName,
                                  block->meta_.ulid.to_string()));
  }
  block->index_ = TRY(IndexReader::open(files, join_path(directory, kIndexFileName)));
  block->chunks_ = TRY(ChunkFilesReader::open(files, directory));
  block->tombstones_ = TRY(read_tombstones(files, directory));
  block->measure();
  return std::shared_ptr<const Block>(std::move(block));
}

/// The two small files are what they would be if written now, near enough for retention by size.
void Block::measure() {
  size_bytes_ = index_->size_bytes() + chunks_->size_bytes() + format_block_meta(meta_).size() +
                tombstones_.encode().size();
}

std::shared_ptr<const Block> Block::with(BlockMeta meta, Tombstones tombstones) const {
  std::shared_ptr<Block> block(new Block());
  block->meta_ = std::move(meta);
  block->index_ = index_;
  block->chunks_ = chunks_;
  block->tombstones_ = std::move(tombstones);
  block->measure();
  return block;
}

}  // namespace tarsier::tsdb
