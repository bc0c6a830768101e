#include "tsdb/block/block_set.h"

#include <algorithm>
#include <map>
#include <set>

#include "tsdb/block/block_upgrade.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/change_log.h"

namespace tarsier::tsdb {
namespace {

bool is_temporary(std::string_view name) {
  for (const std::string_view suffix : {kCreationSuffix, kDeletionSuffix, kLegacyTemporarySuffix}) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view stem = name.substr(0, name.size() - suffix.size());
    if (parse_ulid(stem) || stem.starts_with("chunk_snapshot.")) return true;
  }
  return false;
}

bool is_damage(const Status& status) {
  return status.code() != Code::kIo && status.code() != Code::kUnavailable;
}

/// Parents of what was opened, and what says of itself that it may go. Parents before children: who
/// says that a block is replaced must not go before it.
std::vector<Ulid> superseded(const BlockList& blocks) {
  std::set<Ulid> ulids;
  std::map<Ulid, int> levels;
  for (const auto& block : blocks) {
    const BlockMeta& meta = block->meta();
    levels[meta.ulid] = meta.compaction_level;
    for (const BlockParent& parent : meta.parents) ulids.insert(parent.ulid);
    if (meta.deletable) ulids.insert(meta.ulid);
  }
  std::vector<Ulid> sorted(ulids.begin(), ulids.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Ulid& a, const Ulid& b) { return levels[a] < levels[b]; });
  return sorted;
}

bool contains(const std::vector<Ulid>& ulids, const Ulid& ulid) {
  return std::find(ulids.begin(), ulids.end(), ulid) != ulids.end();
}

}  // namespace

std::vector<Ulid> blocks_to_expire(const BlockList& blocks, const RetentionLimits& limits) {
  BlockList newest_first = blocks;
  std::sort(newest_first.begin(), newest_first.end(),
            [](const auto& a, const auto& b) { return a->meta().max_time > b->meta().max_time; });
  const auto horizon = std::find_if(newest_first.begin(), newest_first.end(),
                                    [](const auto& block) { return block->meta().is_complete(); });
  std::vector<Ulid> expired;
  std::uint64_t bytes = 0;
  for (const auto& block : newest_first) {
    bytes += block->size_bytes();
    if (horizon != newest_first.end() && block == *horizon &&
        block->meta().max_time > limits.complete_elsewhere) {
      continue;
    }
    const Duration age = newest_first.front()->meta().max_time - block->meta().max_time;
    const bool too_old = limits.time > Duration{} && age >= limits.time;
    const bool too_much = limits.bytes > 0 && bytes > limits.bytes;
    if (too_old || too_much) expired.push_back(block->meta().ulid);
  }
  return expired;
}

Result<std::unique_ptr<BlockSet>> BlockSet::open(FileSystem& files, std::string data_directory,
                                                 Logger& log) {
  std::unique_ptr<BlockSet> set(new BlockSet(files, std::move(data_directory), log));
  TRY(files.create_directories(set->data_directory_));
  TRY(set->remove_temporary_directories());
  TRY(set->reload());
  return set;
}

std::shared_ptr<const BlockList> BlockSet::blocks() const {
  const MutexLock lock(mutex_);
  return blocks_;
}

void BlockSet::publish(BlockList blocks) {
  std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) {
    return std::pair(a->meta().min_time, a->meta().ulid) <
           std::pair(b->meta().min_time, b->meta().ulid);
  });
  auto published = std::make_shared<const BlockList>(std::move(blocks));
  const std::shared_ptr<const BlockList> now = published;
  {
    const MutexLock lock(mutex_);
    blocks_.swap(published);
  }
  note_difference(*published, *now);
}

void BlockSet::note_difference(const BlockList& before, const BlockList& now) const {
  if (changes_ == nullptr) return;
  Timestamp oldest = kMaxTimestamp;
  const auto note_missing = [&](const BlockList& blocks, const BlockList& others) {
    for (const auto& block : blocks) {
      if (std::ranges::find(others, block) == others.end()) {
        oldest = std::min(oldest, block->meta().min_time);
      }
    }
  };
  note_missing(before, now);
  note_missing(now, before);
  if (oldest != kMaxTimestamp) changes_->note(oldest);
}

Status BlockSet::remove_temporary_directories() {
  bool removed = false;
  for (const DirectoryEntry& entry : TRY(files_.list(data_directory_))) {
    if (!is_temporary(entry.name)) continue;
    log_.info("Unfinished directory removed", {{"name", entry.name}});
    TRY(files_.remove_all(join_path(data_directory_, entry.name)));
    removed = true;
  }
  return removed ? files_.sync_directory(data_directory_) : Status();
}

Status BlockSet::reload() {
  const std::shared_ptr<const BlockList> before = blocks();
  BlockList opened;
  bool is_any_new = false;
  std::vector<std::pair<std::string, Status>> damaged;
  for (const DirectoryEntry& entry : TRY(files_.list(data_directory_))) {
    const std::optional<Ulid> ulid = parse_ulid(entry.name);
    if (!ulid || !entry.is_directory) continue;
    const auto known = std::find_if(before->begin(), before->end(),
                                    [&](const auto& block) { return block->meta().ulid == *ulid; });
    if (known != before->end()) {
      opened.push_back(*known);
      continue;
    }
    const std::string directory = join_path(data_directory_, entry.name);
    if (!files_.exists(join_path(directory, kMetaFileName))) {
      if (reported_remnants_.insert(entry.name).second) {
        log_.warn("Directory is no finished block; left alone", {{"ulid", entry.name}});
      }
      continue;
    }
    if (!TRY(has_known_version(entry.name))) continue;
    auto block = Block::open(files_, directory);
    if (block.ok()) {
      opened.push_back(std::move(*block));
      is_any_new = true;
    } else if (is_damage(block.status())) {
      damaged.emplace_back(entry.name, block.status());
    } else {
      return block.status();
    }
  }
  // Whoever published it may have failed to sync its name. What happens from now on relies on it:
  // samples leave the head, deletions are written to it and no longer to its parents.
  if (is_any_new) TRY(files_.sync_directory(data_directory_));
  const std::vector<Ulid> gone = superseded(opened);
  std::erase_if(opened, [&](const auto& block) { return contains(gone, block->meta().ulid); });
  publish(std::move(opened));

  // Only now: what a crash interrupts here is done by the next start.
  for (const auto& [name, why] : damaged) {
    if (!contains(gone, *parse_ulid(name))) TRY(set_aside(name, why));
  }
  for (const Ulid& ulid : gone) {
    if (!files_.exists(join_path(data_directory_, ulid.to_string()))) continue;
    log_.info("Block deleted: its data is in a newer one", {{"ulid", ulid.to_string()}});
    TRY(delete_directory(ulid.to_string()));
  }
  return {};
}

/// Turns a mislabeled block into one of our version first.
Result<bool> BlockSet::has_known_version(const std::string& name) {
  const std::string directory = join_path(data_directory_, name);
  const MetaVersion version = TRY(look_at_meta_version(files_, directory));
  if (version == MetaVersion::kUnknown && reported_remnants_.insert(name).second) {
    log_.error("Block has a meta.json of an unknown version; left alone", {{"ulid", name}});
  }
  if (version == MetaVersion::kMislabeled) {
    log_.info("Block of Prometheus 2.1 has its version set right", {{"ulid", name}});
    const Status fixed = fix_mislabeled_block(files_, directory);
    // Damage is for whoever opens it to find.
    if (!fixed.ok() && !is_damage(fixed)) return fixed;
  }
  return version != MetaVersion::kUnknown;
}

Status BlockSet::set_aside(const std::string& name, const Status& why) {
  const std::string shelf = join_path(data_directory_, kDamagedDirectory);
  TRY(files_.create_directories(shelf));
  std::string place = join_path(shelf, name);
  for (int n = 2; files_.exists(place); ++n) {  // Damaged, restored from a backup, damaged again.
    place = join_path(shelf, name) + "." + std::to_string(n);
  }
  TRY(files_.rename(join_path(data_directory_, name), place));
  TRY(files_.sync_directory(shelf));
  TRY(files_.sync_directory(data_directory_));
  log_.error("Damaged block set aside; the others serve",
             {{"ulid", name}, {"moved_to", place}, {"error", why.message()}});
  return {};
}

Status BlockSet::delete_directory(const std::string& name) {
  const std::string directory = join_path(data_directory_, name);
  const std::string doomed = directory + std::string(kDeletionSuffix);
  TRY(files_.rename(directory, doomed));
  TRY(files_.sync_directory(data_directory_));
  return files_.remove_all(doomed);
}

Status BlockSet::mark(const Ulid& ulid, Mark mark) {
  BlockList list = *blocks();
  const auto block = std::find_if(list.begin(), list.end(),
                                  [&](const auto& one) { return one->meta().ulid == ulid; });
  if (block == list.end()) return not_found("no block " + ulid.to_string());
  BlockMeta meta = (*block)->meta();
  (mark == Mark::kDeletable ? meta.deletable : meta.compaction_failed) = true;
  TRY(write_meta(meta));
  *block = (*block)->with(std::move(meta), (*block)->tombstones());
  publish(std::move(list));
  return {};
}

Status BlockSet::set_tombstones(const Ulid& ulid, Tombstones tombstones) {
  BlockList list = *blocks();
  const auto block = std::find_if(list.begin(), list.end(),
                                  [&](const auto& one) { return one->meta().ulid == ulid; });
  if (block == list.end()) return not_found("no block " + ulid.to_string());
  BlockMeta meta = (*block)->meta();
  meta.tombstone_count = tombstones.range_count();
  const std::string directory = join_path(data_directory_, ulid.to_string());
  TRY(write_file_atomically(files_, join_path(directory, kTombstonesFileName),
                            tombstones.encode()));
  TRY(write_meta(meta));
  *block = (*block)->with(std::move(meta), std::move(tombstones));
  publish(std::move(list));
  return {};
}

Status BlockSet::write_meta(const BlockMeta& meta) {
  const std::string directory = join_path(data_directory_, meta.ulid.to_string());
  return write_file_atomically(files_, join_path(directory, kMetaFileName),
                               format_block_meta(meta));
}

Status BlockSet::remove(const Ulid& ulid) {
  BlockList left = *blocks();
  const auto block = std::find_if(left.begin(), left.end(),
                                  [&](const auto& one) { return one->meta().ulid == ulid; });
  if (block == left.end()) return not_found("no block " + ulid.to_string());
  const std::vector<BlockParent> parents = (*block)->meta().parents;
  left.erase(block);
  publish(std::move(left));
  // Those that could not be deleted before would serve again.
  for (const BlockParent& parent : parents) {
    const std::string name = parent.ulid.to_string();
    if (files_.exists(join_path(data_directory_, name))) TRY(delete_directory(name));
  }
  return delete_directory(ulid.to_string());
}

Result<BlockSet::Expired> BlockSet::apply_retention(const RetentionLimits& limits) {
  Expired expired;
  RetentionLimits by_age = limits;
  by_age.bytes = 0;
  for (const Ulid& ulid : blocks_to_expire(*blocks(), by_age)) {
    TRY(remove(ulid));
    ++expired.for_age;
    log_.info("Block deleted by retention", {{"ulid", ulid.to_string()}, {"limit", "time"}});
  }
  RetentionLimits by_size = limits;
  by_size.time = {};
  for (const Ulid& ulid : blocks_to_expire(*blocks(), by_size)) {
    TRY(remove(ulid));
    ++expired.for_size;
    log_.info("Block deleted by retention", {{"ulid", ulid.to_string()}, {"limit", "size"}});
  }
  return expired;
}

Timestamp BlockSet::complete_until() const {
  Timestamp until = kMinTimestamp;
  for (const auto& block : *blocks()) {
    if (block->meta().is_complete()) until = std::max(until, block->meta().max_time);
  }
  return until;
}

}  // namespace tarsier::tsdb
