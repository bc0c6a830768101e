#include "tsdb/block/sealed_block.h"

namespace tarsier::tsdb {

Result<std::shared_ptr<const SealedBlock>> SealedBlock::open(FileSystem& files,
                                                             const std::string& directory) {
  std::shared_ptr<SealedBlock> block(new SealedBlock());
  block->meta_ = TRY(read_sealed_meta(files, directory));
  block->index_ = TRY(IndexReader::open(files, join_path(directory, kIndexFileName)));
  block->columns_ = TRY(SealedColumnsReader::open(files, directory));
  block->tombstones_ = TRY(read_tombstones(files, directory));
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (entry.is_directory) continue;
    block->size_bytes_ +=
        TRY(files.open_readable(join_path(directory, entry.name), Access::kRead))->size();
  }
  return std::shared_ptr<const SealedBlock>(std::move(block));
}

std::shared_ptr<const SealedBlock> SealedBlock::with(Tombstones tombstones) const {
  std::shared_ptr<SealedBlock> block(new SealedBlock());
  block->meta_ = meta_;
  block->index_ = index_;
  block->columns_ = columns_;
  block->tombstones_ = std::move(tombstones);
  block->size_bytes_ = size_bytes_;
  return block;
}

}  // namespace tarsier::tsdb
