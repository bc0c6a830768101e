#include "tsdb/compaction/series_retention.h"

#include <algorithm>

#include "tsdb/block/source_choice.h"
#include "tsdb/block/tier_writer.h"
#include "tsdb/index/select.h"

namespace tarsier::tsdb {
namespace {

/// From the first to the last sample of a series.
Result<TimeRange> span_of(const IndexReader& index, std::uint32_t ref) {
  std::vector<ChunkMeta> metas;
  const Bytes series = TRY(index.verified_series(ref));
  TRY(index.append_chunks(series, TimeRange{}, metas));
  if (metas.empty()) return TimeRange{};
  return TimeRange{metas.front().min_time, metas.back().max_time};
}

Result<bool> is_gone(const IndexReader& index, const Tombstones& tombstones, std::uint32_t ref) {
  const std::span<const TimeRange> deleted = tombstones.ranges(ref);
  if (deleted.empty()) return false;
  return is_deleted(deleted, TRY(span_of(index, ref)));
}

Result<Tombstones> without(const IndexReader& index, const Tombstones& tombstones,
                           const std::vector<std::uint32_t>& refs) {
  Tombstones more = tombstones;
  for (const std::uint32_t ref : refs) more.add(ref, TRY(span_of(index, ref)));
  return more;
}

SymbolSet symbols_of(const IndexReader& index) {
  SymbolSet symbols;
  const SymbolTable& table = index.symbols();
  for (std::size_t i = 0; i < table.size(); ++i) symbols.add(table.by_ordinal(i));
  return symbols;
}

bool is_all(const std::vector<bool>& rules) {
  return std::find(rules.begin(), rules.end(), false) == rules.end();
}
bool is_any(const std::vector<bool>& rules) {
  return std::find(rules.begin(), rules.end(), true) != rules.end();
}

}  // namespace

SeriesRetention::SeriesRetention(FileSystem& files, const Options& options,
                                 const RetainedStorage& storage, Logger& log)
    : files_(files), rules_(options), storage_(storage), log_(log) {}

SeriesRetention::RuleSet SeriesRetention::due_rules(Duration resolution, Timestamp end,
                                                    Timestamp newest) const {
  RuleSet due(rules_.size());
  for (std::size_t i = 0; i < due.size(); ++i) {
    due[i] = RetentionRules::is_due(rules_.limit(i, resolution), end, newest);
  }
  return due;
}

/// Of blocks that go as a whole none.
SeriesRetention::RuleSet SeriesRetention::due_partly(Duration resolution, Timestamp end,
                                                     Timestamp newest) const {
  RuleSet due = due_rules(resolution, end, newest);
  bool is_limited = false;
  for (std::size_t i = 0; i < due.size(); ++i) {
    is_limited = is_limited || rules_.limit(i, resolution).has_value();
  }
  return is_all(due) && is_limited ? RuleSet(due.size()) : due;
}

/// Where rows are wanted samples stay until they are sealed and downsampled.
SeriesRetention::RuleSet SeriesRetention::due_in_block(const Block& block, Timestamp newest) const {
  RuleSet due = due_rules(Duration{}, block.meta().max_time, newest);
  for (std::size_t i = 0; i < due.size(); ++i) due[i] = due[i] && !rules_.keeps_any_rows(i);
  return due;
}

Result<std::vector<std::uint32_t>> SeriesRetention::due_series(const IndexReader& index,
                                                               const Tombstones& tombstones,
                                                               const RuleSet& rules) const {
  std::vector<std::uint32_t> due;
  if (!is_any(rules)) return due;
  const auto parts = TRY(rules_.divide(index));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!rules[i]) continue;
    for (const std::uint32_t ref : parts[i]) {
      if (!TRY(is_gone(index, tombstones, ref))) due.push_back(ref);
    }
  }
  std::sort(due.begin(), due.end());
  return due;
}

bool SeriesRetention::is_known(const Ulid& ulid, const RuleSet& rules) const {
  const auto known = known_.find(ulid);
  return known != known_.end() && known->second == rules;
}

Result<bool> SeriesRetention::run_due(const std::function<Ulid()>& next_ulid) {
  TRY(remove_unused_orphans());
  if (rules_.is_simple()) return false;
  const Timestamp newest = newest_end(storage_);
  const auto sealed = storage_.sealed.blocks();
  for (const auto& block : *sealed) {
    if (TRY(drop_from_sealed(block, newest, next_ulid))) return true;
  }
  const auto tiers = storage_.tiers.blocks();
  for (const auto& rows : *tiers) {
    if (TRY(drop_from_rows(rows, newest, next_ulid))) return true;
  }
  const auto blocks = storage_.blocks.blocks();
  for (const auto& block : *blocks) {
    if (TRY(drop_from_block(block, newest))) return true;
  }
  return false;
}

/// Those of a drop that a crash kept from being one.
Status SeriesRetention::remove_unused_orphans() {
  const auto sealed = storage_.sealed.blocks();
  const auto tiers = storage_.tiers.blocks();
  for (const auto& rows : *tiers) {
    if (!rows->meta().orphans || orphans_count(*rows, *sealed)) continue;
    TRY(storage_.tiers.remove(rows->meta().ulid));
  }
  return {};
}

Result<bool> SeriesRetention::drop_from_sealed(const std::shared_ptr<const SealedBlock>& block,
                                               Timestamp newest,
                                               const std::function<Ulid()>& next_ulid) {
  const RuleSet due = due_partly(Duration{}, block->meta().max_time, newest);
  if (!is_any(due) || is_known(block->meta().ulid, due)) return false;
  if (!storage_.downsampler.is_downsampled(*block)) return false;
  const auto refs = TRY(due_series(block->index(), block->tombstones(), due));
  if (refs.empty()) {
    TRY(hide_rows(*block, due));
    known_[block->meta().ulid] = due;
    return false;
  }
  TRY(write_orphans(*block, due, refs.front(), newest, next_ulid));
  Tombstones tombstones = TRY(without(block->index(), block->tombstones(), refs));
  TRY(storage_.sealed.set_tombstones(block->meta().ulid, std::move(tombstones)));
  log_.info("Samples of series deleted by retention",
            {{"sealed", block->meta().ulid.to_string()}, {"series", std::to_string(refs.size())}});
  TRY(hide_rows(*block, due));
  return true;
}

Status SeriesRetention::write_orphans(const SealedBlock& block, const RuleSet& dropped,
                                      std::uint32_t probe, Timestamp newest,
                                      const std::function<Ulid()>& next_ulid) {
  const Ulid drop = next_ulid();
  const auto tiers = storage_.tiers.blocks();
  for (const auto& rows : *tiers) {
    if (rows->meta().sealed != block.meta().ulid || rows->meta().orphans) continue;
    RuleSet wanted = due_rules(rows->meta().resolution, rows->meta().max_time, newest);
    for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = dropped[i] && !wanted[i];
    const auto refs = TRY(due_series(rows->index(), rows->tombstones(), wanted));
    if (refs.empty()) continue;
    TierMeta meta;
    meta.ulid = next_ulid();
    meta.resolution = rows->meta().resolution;
    meta.min_time = rows->meta().min_time;
    meta.max_time = rows->meta().max_time;
    meta.sealed = rows->meta().sealed;
    meta.has_closed_windows = rows->meta().has_closed_windows;
    meta.orphans = TierOrphans{drop, probe};
    const auto writer = TRY(
        TierWriter::create(files_, storage_.tiers.directory(), meta, symbols_of(rows->index())));
    for (const std::uint32_t ref : refs) TRY(writer->copy_series(*rows, ref));
    auto orphans = TRY(writer->publish());
    TRY(storage_.tiers.add(std::move(orphans)));
  }
  return {};
}

/// They are in orphans now, or not wanted.
Status SeriesRetention::hide_rows(const SealedBlock& block, const RuleSet& dropped) {
  const auto tiers = storage_.tiers.blocks();
  for (const auto& rows : *tiers) {
    if (rows->meta().sealed != block.meta().ulid || rows->meta().orphans) continue;
    const auto refs = TRY(due_series(rows->index(), rows->tombstones(), dropped));
    if (refs.empty()) continue;
    Tombstones tombstones = TRY(without(rows->index(), rows->tombstones(), refs));
    TRY(storage_.tiers.set_tombstones(rows->meta().ulid, std::move(tombstones)));
  }
  return {};
}

Result<bool> SeriesRetention::drop_from_rows(const std::shared_ptr<const TierBlock>& rows,
                                             Timestamp newest,
                                             const std::function<Ulid()>& next_ulid) {
  const RuleSet due = due_partly(rows->meta().resolution, rows->meta().max_time, newest);
  if (!is_any(due) || is_known(rows->meta().ulid, due)) return false;
  const auto refs = TRY(due_series(rows->index(), rows->tombstones(), due));
  if (!refs.empty()) {
    Tombstones tombstones = TRY(without(rows->index(), rows->tombstones(), refs));
    TRY(storage_.tiers.set_tombstones(rows->meta().ulid, std::move(tombstones)));
    log_.info("Rows of series deleted by retention",
              {{"ulid", rows->meta().ulid.to_string()}, {"series", std::to_string(refs.size())}});
    return true;
  }
  if (TRY(rewrite(*rows, next_ulid))) return true;
  known_[rows->meta().ulid] = due;
  return false;
}

/// Gives back the space of what is deleted, when it is much.
Result<bool> SeriesRetention::rewrite(const TierBlock& rows,
                                      const std::function<Ulid()>& next_ulid) {
  std::vector<std::uint32_t> left;
  std::uint64_t gone = 0;
  for (const std::uint32_t ref : TRY(select_postings(rows.index(), {}, nullptr))) {
    if (TRY(is_gone(rows.index(), rows.tombstones(), ref))) {
      ++gone;
    } else {
      left.push_back(ref);
    }
  }
  if (gone * 20 <= rows.meta().series_count) return false;
  const auto sealed = storage_.sealed.blocks();
  const bool is_source_there = std::any_of(sealed->begin(), sealed->end(), [&](const auto& one) {
    return one->meta().ulid == rows.meta().sealed;
  });
  // Without any it would be made again.
  if (left.empty() && is_source_there && !rows.meta().orphans) return false;
  if (left.empty()) {
    TRY(storage_.tiers.remove(rows.meta().ulid));
    return true;
  }
  TierMeta meta = rows.meta();
  meta.ulid = next_ulid();
  meta.replaces = {rows.meta().ulid};
  meta.row_count = meta.series_count = meta.histogram_count = 0;
  const auto writer =
      TRY(TierWriter::create(files_, storage_.tiers.directory(), meta, symbols_of(rows.index())));
  for (const std::uint32_t ref : left) TRY(writer->copy_series(rows, ref));
  auto written = TRY(writer->publish());
  TRY(storage_.tiers.add(std::move(written)));
  return true;
}

Result<bool> SeriesRetention::drop_from_block(const std::shared_ptr<const Block>& block,
                                              Timestamp newest) {
  const RuleSet due = due_in_block(*block, newest);
  if (!is_any(due) || is_known(block->meta().ulid, due)) return false;
  const auto refs = TRY(due_series(block->index(), block->tombstones(), due));
  known_[block->meta().ulid] = due;
  if (refs.empty()) return false;
  Tombstones tombstones = TRY(without(block->index(), block->tombstones(), refs));
  TRY(storage_.blocks.set_tombstones(block->meta().ulid, std::move(tombstones)));
  log_.info("Samples of series deleted by retention",
            {{"ulid", block->meta().ulid.to_string()}, {"series", std::to_string(refs.size())}});
  return true;
}

Result<std::vector<SeriesRetention::Doom>> SeriesRetention::plan() const {
  std::vector<Doom> found;
  if (rules_.is_simple()) return found;
  const Timestamp newest = newest_end(storage_);
  const auto note = [&](Doom::Kind kind, const auto& block, const RuleSet& due) -> Status {
    const auto refs = TRY(due_series(block.index(), block.tombstones(), due));
    if (!refs.empty()) found.push_back({kind, block.meta().ulid, refs.size()});
    return {};
  };
  const auto sealed = storage_.sealed.blocks();
  for (const auto& block : *sealed) {
    if (!storage_.downsampler.is_downsampled(*block)) continue;
    TRY(note(Doom::Kind::kSealed, *block, due_partly({}, block->meta().max_time, newest)));
  }
  const auto tiers = storage_.tiers.blocks();
  for (const auto& rows : *tiers) {
    TRY(note(Doom::Kind::kTier, *rows,
             due_partly(rows->meta().resolution, rows->meta().max_time, newest)));
  }
  const auto blocks = storage_.blocks.blocks();
  for (const auto& block : *blocks) {
    TRY(note(Doom::Kind::kBlock, *block, due_in_block(*block, newest)));
  }
  return found;
}

}  // namespace tarsier::tsdb
