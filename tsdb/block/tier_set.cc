#include "tsdb/block/tier_set.h"

#include <algorithm>
#include <set>

#include "tsdb/block/block_set.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/block/replacement.h"
#include "tsdb/index/select.h"

namespace tarsier::tsdb {
namespace {

bool is_temporary(std::string_view name) {
  return name.ends_with(kCreationSuffix) || name.ends_with(kDeletionSuffix);
}
/// The whole range of every series: a row stands for time before it, too.
Result<std::optional<Tombstones>> delete_rows(const TierBlock& block,
                                              const std::vector<Matcher>& matchers,
                                              TimeRange range) {
  std::optional<Tombstones> more;
  const TimeRange reached{range.min, range.max + block.meta().resolution};
  for (const std::uint32_t ref : TRY(select_postings(block.index(), matchers, nullptr))) {
    const Bytes series = TRY(block.index().series(ref));
    if (!TRY(block.index().overlaps(series, reached))) continue;
    if (!more) more = block.tombstones();
    more->add(ref, range);
  }
  return more;
}

bool is_damage(const Status& status) {
  return status.code() != Code::kIo && status.code() != Code::kUnavailable;
}

}  // namespace

TierSet::TierSet(FileSystem& files, const std::string& data_directory, Logger& log)
    : files_(files),
      data_directory_(data_directory),
      directory_(join_path(data_directory, kTiersDirectory)),
      log_(log) {}

Result<std::unique_ptr<TierSet>> TierSet::open(FileSystem& files, const std::string& data_directory,
                                               Logger& log) {
  std::unique_ptr<TierSet> set(new TierSet(files, data_directory, log));
  TRY(set->remove_temporary_directories());
  TRY(set->reload());
  return set;
}

std::string TierSet::directory_of(const Ulid& ulid) const {
  return join_path(directory_, ulid.to_string());
}

std::shared_ptr<const TierBlockList> TierSet::blocks() const {
  const MutexLock lock(mutex_);
  return blocks_;
}

void TierSet::publish(TierBlockList blocks) {
  std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) {
    return std::pair(a->meta().min_time, a->meta().ulid) <
           std::pair(b->meta().min_time, b->meta().ulid);
  });
  auto published = std::make_shared<const TierBlockList>(std::move(blocks));
  const MutexLock lock(mutex_);
  blocks_.swap(published);
}

Status TierSet::remove_temporary_directories() {
  if (!files_.exists(directory_)) return {};
  for (const DirectoryEntry& entry : TRY(files_.list(directory_))) {
    if (!is_temporary(entry.name)) continue;
    const std::string path = join_path(directory_, entry.name);
    log_.info("Unfinished directory removed", {{"name", path}});
    TRY(files_.remove_all(path));
  }
  return {};
}

Status TierSet::reload() {
  if (!files_.exists(directory_)) return {};
  const std::shared_ptr<const TierBlockList> before = blocks();
  TierBlockList opened;
  std::set<Ulid> replaced;
  bool is_any_new = false;
  for (const DirectoryEntry& entry : TRY(files_.list(directory_))) {
    const std::string path = join_path(directory_, entry.name);
    const auto ulid = parse_ulid(entry.name);
    if (!ulid || !entry.is_directory || contains(doomed_, *ulid)) continue;
    if (auto known = find_block(*before, *ulid)) {
      opened.push_back(std::move(known));
      continue;
    }
    auto block = TierBlock::open(files_, path);
    if (block.ok() && (*block)->meta().ulid != *ulid) {
      block = corruption("meta.json says it is block " + (*block)->meta().ulid.to_string());
    }
    if (block.ok()) {
      replaced.insert((*block)->meta().replaces.begin(), (*block)->meta().replaces.end());
      opened.push_back(std::move(*block));
      is_any_new = true;
      continue;
    }
    if (!is_damage(block.status())) return block.status();
    const std::string shelf = join_path(data_directory_, kDamagedDirectory);
    TRY(files_.create_directories(shelf));
    std::string place = join_path(shelf, "tier-" + entry.name);
    while (files_.exists(place)) place += "+";
    TRY(files_.rename(path, place));
    TRY(files_.sync_directory(shelf));
    log_.error("Damaged downsampled block set aside; the others serve",
               {{"ulid", entry.name}, {"moved_to", place}, {"error", block.status().message()}});
  }
  // Whoever published one may not have come to sync its name, and others go because of it.
  if (is_any_new) TRY(files_.sync_directory(directory_));
  std::set<Ulid> seen(doomed_.begin(), doomed_.end());
  for (const auto& block : opened) {
    if (!replaced.contains(block->meta().ulid)) {
      append_replaced(block, opened, seen, doomed_);
    }
  }
  std::erase_if(opened, [&](const auto& block) { return replaced.contains(block->meta().ulid); });
  if (is_any_new) publish(std::move(opened));
  return delete_doomed();
}

Status TierSet::add(std::shared_ptr<const TierBlock> block) {
  const std::vector<Ulid> replaced = block->meta().replaces;
  TierBlockList list = *blocks();
  std::erase_if(list, [&](const auto& one) { return contains(replaced, one->meta().ulid); });
  list.push_back(std::move(block));
  publish(std::move(list));
  doomed_.insert(doomed_.end(), replaced.begin(), replaced.end());
  return delete_doomed();
}

Status TierSet::remove(const Ulid& ulid) {
  TierBlockList left = *blocks();
  std::erase_if(left, [&](const auto& block) { return block->meta().ulid == ulid; });
  publish(std::move(left));
  doomed_.push_back(ulid);
  return delete_doomed();
}

Status TierSet::delete_doomed() {
  while (!doomed_.empty()) {
    if (files_.exists(directory_of(doomed_.front()))) TRY(delete_directory(doomed_.front()));
    doomed_.erase(doomed_.begin());
  }
  return {};
}

Status TierSet::delete_directory(const Ulid& ulid) {
  const std::string doomed = directory_of(ulid) + std::string(kDeletionSuffix);
  TRY(files_.rename(directory_of(ulid), doomed));
  TRY(files_.sync_directory(directory_));
  return files_.remove_all(doomed);
}

Status TierSet::set_tombstones(const Ulid& ulid, Tombstones tombstones) {
  const std::string path = join_path(directory_of(ulid), kTombstonesFileName);
  TRY(write_file_atomically(files_, path, tombstones.encode()));
  TierBlockList list = *blocks();
  for (auto& block : list) {
    if (block->meta().ulid == ulid) block = block->with(tombstones);
  }
  publish(std::move(list));
  return {};
}

Status TierSet::delete_series(const std::vector<Matcher>& matchers, TimeRange range) {
  TRY(reload());
  TierBlockList list = *blocks();
  bool is_any_changed = false;
  Status first_error;
  for (auto& block : list) {
    if (!block->range().overlaps(range)) continue;
    const Result<std::optional<Tombstones>> more = delete_rows(*block, matchers, range);
    Status outcome = more.status();
    if (more.ok() && *more) {
      const std::string path = join_path(directory_of(block->meta().ulid), kTombstonesFileName);
      outcome = write_file_atomically(files_, path, (*more)->encode());
      if (outcome.ok()) {
        block = block->with(**more);
        is_any_changed = true;
      }
    }
    if (first_error.ok() && !outcome.ok()) {
      first_error =
          std::move(outcome).with_prefix("downsampled block " + block->meta().ulid.to_string());
    }
  }
  if (is_any_changed) publish(std::move(list));
  return first_error;
}

std::uint64_t TierSet::size_bytes() const {
  std::uint64_t bytes = 0;
  const auto list = blocks();
  for (const auto& block : *list) bytes += block->size_bytes();
  return bytes;
}

std::vector<VisiblePart> visible_parts(const TierBlockList& preferred_first,
                                       std::vector<TimeRange> covered, TimeRange wanted) {
  std::vector<VisiblePart> parts;
  for (const auto& block : preferred_first) {
    const TimeRange whole = block->range();
    if (!whole.overlaps(wanted)) continue;
    std::sort(covered.begin(), covered.end(),
              [](const TimeRange& a, const TimeRange& b) { return a.min < b.min; });
    Timestamp next = whole.min;
    for (const TimeRange& cover : covered) {
      if (cover.max < next || cover.min > whole.max) continue;
      if (cover.min > next) parts.push_back({block, {next, cover.min - milliseconds(1)}});
      next = std::max(next, cover.max + milliseconds(1));
    }
    if (next <= whole.max) parts.push_back({block, {next, whole.max}});
    covered.push_back(block->range());
  }
  std::sort(parts.begin(), parts.end(),
            [](const VisiblePart& a, const VisiblePart& b) { return a.range.min < b.range.min; });
  return parts;
}

}  // namespace tarsier::tsdb
