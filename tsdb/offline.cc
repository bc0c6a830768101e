#include "tsdb/offline.h"

#include <algorithm>
#include <set>
#include <utility>

#include "tsdb/block/block.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/sealed_block.h"
#include "tsdb/head/head_querier.h"
#include "tsdb/head/head_replay.h"
#include "tsdb/merge_querier.h"

namespace tarsier::tsdb {
namespace {

Result<BlockList> open_blocks(FileSystem& files, const std::string& directory, Logger& log) {
  BlockList blocks;
  std::set<Ulid> parents;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (!entry.is_directory || !parse_ulid(entry.name)) continue;
    Result<std::shared_ptr<const Block>> block =
        Block::open(files, join_path(directory, entry.name));
    if (!block.ok()) {
      log.warn("A block cannot be read",
               {{"ulid", entry.name}, {"error", block.status().message()}});
      continue;
    }
    for (const BlockParent& parent : (*block)->meta().parents) parents.insert(parent.ulid);
    blocks.push_back(std::move(*block));
  }
  std::erase_if(blocks, [&](const auto& block) { return parents.contains(block->meta().ulid); });
  std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) {
    return std::pair(a->meta().min_time, a->meta().ulid) <
           std::pair(b->meta().min_time, b->meta().ulid);
  });
  return blocks;
}

Result<SealedBlockList> open_sealed(FileSystem& files, const std::string& directory, Logger& log) {
  SealedBlockList blocks;
  const std::string shelf = join_path(directory, kSealedDirectory);
  if (!files.exists(shelf)) return blocks;
  std::set<Ulid> replaced;
  for (const DirectoryEntry& entry : TRY(files.list(shelf))) {
    if (!entry.is_directory || !parse_ulid(entry.name)) continue;
    auto block = SealedBlock::open(files, join_path(shelf, entry.name));
    if (!block.ok()) {
      log.warn("A sealed block cannot be read",
               {{"ulid", entry.name}, {"error", block.status().message()}});
      continue;
    }
    replaced.insert((*block)->meta().replaces.begin(), (*block)->meta().replaces.end());
    blocks.push_back(std::move(*block));
  }
  std::erase_if(blocks, [&](const auto& block) { return replaced.contains(block->meta().ulid); });
  std::sort(blocks.begin(), blocks.end(),
            [](const auto& a, const auto& b) { return a->meta().min_time < b->meta().min_time; });
  return blocks;
}

}  // namespace

struct OfflineDb::Impl {
  BlockList blocks;
  SealedBlockList sealed;
  std::unique_ptr<Head> head;  // Null: only blocks were asked for.
};

OfflineDb::OfflineDb(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OfflineDb::~OfflineDb() = default;

Result<std::unique_ptr<OfflineDb>> OfflineDb::open(FileSystem& files, const std::string& directory,
                                                   Scope scope, Logger& log) {
  auto impl = std::make_unique<Impl>();
  impl->blocks = TRY(open_blocks(files, directory, log));
  impl->sealed = TRY(open_sealed(files, directory, log));
  // What is sealed may be there still, if nobody came to remove it.
  std::erase_if(impl->blocks, [&](const auto& block) {
    return std::any_of(impl->sealed.begin(), impl->sealed.end(), [&](const auto& sealed) {
      return sealed->meta().has_source(block->meta().ulid);
    });
  });
  const std::string wal = join_path(directory, "wal");
  if (scope == Scope::kBlocksAndLog && files.exists(wal)) {
    Timestamp complete_until = kMinTimestamp;
    for (const auto& block : impl->blocks) {
      if (!block->meta().is_complete()) continue;
      complete_until = std::max(complete_until, block->meta().max_time);
    }
    for (const auto& block : impl->sealed) {
      for (const SealedSource& source : block->meta().sources) {
        if (!source.meta.is_complete()) continue;
        complete_until = std::max(complete_until, source.meta.max_time);
      }
    }
    ReplaySources sources;
    sources.wal_directory = wal;
    sources.wbl_directory = join_path(directory, "wbl");
    impl->head = TRY(read_head(files, sources, Options(), complete_until, log));
  }
  return std::unique_ptr<OfflineDb>(new OfflineDb(std::move(impl)));
}

std::vector<BlockSummary> OfflineDb::blocks() const {
  std::vector<BlockSummary> out;
  for (const auto& block : impl_->blocks) {
    const BlockMeta& meta = block->meta();
    BlockSummary& summary = out.emplace_back();
    summary.ulid = meta.ulid.to_string();
    summary.min_time = meta.min_time;
    summary.max_time = meta.max_time;
    summary.sample_count = meta.sample_count;
    summary.series_count = meta.series_count;
    summary.chunk_count = meta.chunk_count;
    summary.bytes = block->size_bytes();
    summary.compaction_level = meta.compaction_level;
  }
  return out;
}

Result<std::unique_ptr<Querier>> OfflineDb::querier(TimeRange range) {
  std::vector<MergeSource> sources;
  for (const auto& block : impl_->sealed) {
    if (!block->range().overlaps(range)) continue;
    sources.push_back({make_sealed_querier(block, range), block->range()});
  }
  for (const auto& block : impl_->blocks) {
    if (!block->range().overlaps(range)) continue;
    sources.push_back({make_block_querier(block, range), block->range()});
  }
  if (impl_->head) {
    const TimeRange head_range{
        Timestamp{std::min(impl_->head->generation()->min_time, impl_->head->late_min_time())},
        kMaxTimestamp};
    sources.push_back({make_head_querier(*impl_->head, range), head_range});
  }
  return make_merge_querier(std::move(sources));
}

}  // namespace tarsier::tsdb
