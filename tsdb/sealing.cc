#include "tsdb/sealing.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>

#include "base/check.h"
#include "base/duration.h"
#include "base/keyed_hash.h"
#include "base/read_only_files.h"
#include "tsdb/block/block_export.h"
#include "tsdb/block/sealed_set.h"
#include "tsdb/block/tier_set.h"
#include "tsdb/compaction/retention.h"
#include "tsdb/compaction/seal.h"
#include "tsdb/compaction/series_retention.h"
#include "tsdb/ship/bucket_export.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kLockName = "lock";

Ulid next_ulid(Timestamp now) {
  const HashKey key = draw_hash_key();
  std::array<std::byte, 10> entropy;
  std::memcpy(entropy.data(), key.words.data(), entropy.size());
  constexpr std::int64_t kUlidMax = (std::int64_t{1} << 48) - 1;
  return make_ulid(Timestamp{std::clamp<std::int64_t>(now.ms, 0, kUlidMax)}, entropy);
}

void note(TierSummary& tier, Timestamp min_time, Timestamp max_time) {
  ++tier.blocks;
  tier.min_time = std::min(tier.min_time, min_time);
  tier.max_time = std::max(tier.max_time, max_time);
}

Result<std::uint64_t> size_of(FileSystem& files, const std::string& path) {
  const auto file = TRY(files.open_readable(path, Access::kRead));
  return file->size();
}

/// Names of the blocks in a directory, oldest first.
Result<std::vector<std::string>> list_blocks(FileSystem& files, const std::string& directory) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (entry.is_directory && parse_ulid(entry.name)) names.push_back(entry.name);
  }
  return names;
}

}  // namespace

namespace {

/// Rows whose samples are gone.
Status export_rows_alone(FileSystem& files, const ExportRequest& request, const SealedSet& sealed,
                         Logger& log, std::uint64_t& done, std::uint64_t& skipped) {
  const auto tiers = TRY(TierSet::open(files, request.data_directory, log));
  const auto list = tiers->blocks();
  const auto samples = sealed.blocks();
  std::vector<std::shared_ptr<const TierBlock>> alone;
  for (const auto& rows : *list) {
    const TierMeta& meta = rows->meta();
    // A bucket knows two resolutions; a third would stop its compactor.
    const bool is_wanted = std::find(request.downsampled.begin(), request.downsampled.end(),
                                     meta.resolution) != request.downsampled.end() &&
                           meta.range().overlaps(request.range) && !meta.orphans;
    const bool has_samples = std::any_of(samples->begin(), samples->end(), [&](const auto& block) {
      return TimeRange{block->meta().min_time, block->meta().max_time - milliseconds(1)}.overlaps(
          meta.range());
    });
    if (is_wanted && !has_samples) alone.push_back(rows);
  }
  const std::uint64_t total = done + alone.size();
  for (const auto& rows : alone) {
    TRY(export_rows(files, *rows,
                    {request.target, request.downsampled, request.thanos_labels, request.now},
                    skipped));
    ++done;
    if (request.progress) request.progress(rows->meta().ulid.to_string(), done, total);
  }
  return {};
}

}  // namespace

Result<std::uint64_t> export_blocks(FileSystem& files, const ExportRequest& request, Logger& log) {
  if (!files.exists(request.data_directory)) {
    return not_found(request.data_directory + ": there is no such directory");
  }
  const auto lock = TRY(files.lock(join_path(request.data_directory, kLockName)));
  const auto sealed = TRY(SealedSet::open(files, request.data_directory, log));
  TRY(files.create_directories(request.target));
  const bool is_in_place = request.target == request.data_directory;
  CHECK(!is_in_place || request.thanos_labels.empty());
  const auto list = sealed->blocks();
  const auto is_wanted = [&](const SealedSource& source) {
    return TimeRange{source.meta.min_time, source.meta.max_time - milliseconds(1)}.overlaps(
        request.range);
  };
  std::uint64_t total = 0;
  for (const auto& block : *list) {
    const auto& sources = block->meta().sources;
    total += static_cast<std::uint64_t>(std::count_if(sources.begin(), sources.end(), is_wanted));
  }
  std::uint64_t done = 0;
  std::uint64_t skipped = 0;
  for (const auto& block : *list) {
    const auto& sources = block->meta().sources;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (!is_wanted(sources[i])) continue;
      const auto source =
          TRY(make_sealed_chunk_source(files, sealed->directory_of(block->meta().ulid), block, i));
      TRY(export_block(files, *source, sources[i].segment_bytes_max, request.target));
      const std::string name = sources[i].meta.ulid.to_string();
      const std::string directory = join_path(request.target, name);
      TRY(Block::open(files, directory));
      if (!request.thanos_labels.empty()) {
        TRY(describe_for_thanos(files, directory, request.thanos_labels, Duration{}, request.now));
        if (!request.downsampled.empty()) {
          TRY(export_downsampled(
              files, *source,
              {request.target, request.downsampled, request.thanos_labels, request.now}, skipped));
        }
      }
      ++done;
      if (request.progress) request.progress(name, done, total);
    }
    const bool is_whole = std::all_of(sources.begin(), sources.end(), is_wanted);
    if (is_in_place && is_whole) TRY(sealed->remove(block->meta().ulid));
  }
  if (!request.downsampled.empty()) {
    TRY(export_rows_alone(files, request, *sealed, log, done, skipped));
  }
  if (request.skipped_series != nullptr) *request.skipped_series = skipped;
  return done;
}

Result<ImportReport> import_blocks(FileSystem& files, const ImportRequest& request, Logger& log) {
  ImportReport report;
  const std::vector<std::string> names = TRY(list_blocks(files, request.from));
  TRY(files.create_directories(request.data_directory));
  const auto lock = TRY(files.lock(join_path(request.data_directory, kLockName)));
  const auto sealed = TRY(SealedSet::open(files, request.data_directory, log));
  std::uint64_t done = 0;
  for (const std::string& name : names) {
    ++done;
    if (sealed->has_source(*parse_ulid(name))) {
      ++report.known;
      continue;
    }
    const std::string directory = join_path(request.from, name);
    const auto import_one = [&]() -> Result<std::shared_ptr<const SealedBlock>> {
      auto block = TRY(Block::open(files, directory));
      std::vector<std::unique_ptr<ChunkSource>> sources;
      sources.push_back(TRY(make_block_chunk_source(files, directory, std::move(block))));
      return seal_blocks(
          files, {sealed->directory(), next_ulid(request.now), {}, ColumnProfile::kSmallest},
          sources, nullptr);
    };
    auto block = import_one();
    if (!block.ok() && block.status().code() == Code::kIo) return block.status();
    if (!block.ok()) {
      ++report.refused;
      log.error("A block cannot be sealed", {{"ulid", name}, {"error", block.status().message()}});
      continue;
    }
    ++report.imported;
    report.samples += (*block)->meta().sample_count;
    report.bytes += (*block)->size_bytes();
    TRY(sealed->add(std::move(*block)));
    if (request.progress) request.progress(name, done, names.size());
  }
  return report;
}

Result<std::vector<TierSummary>> summarize_tiers(FileSystem& files,
                                                 const std::string& data_directory) {
  TierSummary blocks{.name = "blocks"};
  for (const std::string& name : TRY(list_blocks(files, data_directory))) {
    const std::string directory = join_path(data_directory, name);
    const auto block = Block::open(files, directory);
    if (!block.ok()) continue;
    const BlockMeta& meta = (*block)->meta();
    note(blocks, meta.min_time, meta.max_time);
    blocks.series += meta.series_count;
    blocks.samples += meta.sample_count;
    blocks.bytes += (*block)->size_bytes();
    blocks.index_bytes += TRY(size_of(files, join_path(directory, kIndexFileName)));
  }
  TierSummary sealed{.name = "sealed"};
  const std::string shelf = join_path(data_directory, kSealedDirectory);
  if (files.exists(shelf)) {
    for (const std::string& name : TRY(list_blocks(files, shelf))) {
      const std::string directory = join_path(shelf, name);
      const auto block = SealedBlock::open(files, directory);
      if (!block.ok()) continue;
      const SealedMeta& meta = (*block)->meta();
      note(sealed, meta.min_time, meta.max_time);
      sealed.series += meta.series_count;
      sealed.samples += meta.sample_count;
      sealed.bytes += (*block)->size_bytes();
      sealed.index_bytes += TRY(size_of(files, join_path(directory, kIndexFileName)));
    }
  }
  std::vector<TierSummary> tiers{blocks, sealed};
  const std::string rows_shelf = join_path(data_directory, kTiersDirectory);
  if (!files.exists(rows_shelf)) return tiers;
  std::map<Duration, TierSummary> by_resolution;
  for (const std::string& name : TRY(list_blocks(files, rows_shelf))) {
    const std::string directory = join_path(rows_shelf, name);
    const auto block = TierBlock::open(files, directory);
    if (!block.ok()) continue;
    const TierMeta& meta = (*block)->meta();
    TierSummary& rows = by_resolution[meta.resolution];
    rows.name = format_duration(meta.resolution);
    note(rows, meta.min_time, meta.max_time);
    rows.series += meta.series_count;
    rows.samples += meta.row_count + meta.histogram_count;
    rows.bytes += (*block)->size_bytes();
    rows.index_bytes += TRY(size_of(files, join_path(directory, kIndexFileName)));
  }
  for (auto& [resolution, rows] : by_resolution) tiers.push_back(std::move(rows));
  return tiers;
}

Result<std::vector<DoomedSummary>> plan_retention(FileSystem& all_files,
                                                  const std::string& data_directory,
                                                  const Options& options, Logger& log) {
  ReadOnlyFiles files(all_files);  // A server may be using the directory.
  if (!files.exists(data_directory)) {
    return not_found(data_directory + ": there is no such directory");
  }
  NullLogger quiet;  // What is out of order is the server's to put in order, and to tell.
  const auto blocks = TRY(BlockSet::open(files, data_directory, quiet));
  const auto sealed = TRY(SealedSet::open(files, data_directory, quiet));
  const auto tiers = TRY(TierSet::open(files, data_directory, quiet));
  const Downsampler downsampler(files, options, *sealed, *tiers, log);
  const RetainedStorage storage{*blocks, *sealed, *tiers, downsampler};
  const RetentionPlan plan = retention_plan(options);
  std::vector<DoomedSummary> found;
  const auto sealed_list = sealed->blocks();
  const auto tier_list = tiers->blocks();
  const auto list = blocks->blocks();
  std::set<Ulid> whole;
  const auto add = [&](const auto& block, std::string path, std::string tier,
                       const SeriesRetention::Doom& doom) {
    if (block->meta().ulid != doom.ulid) return;
    found.push_back({std::move(path), std::move(tier), "time", block->meta().min_time,
                     block->meta().max_time, block->size_bytes(), doom.series_count});
  };
  for (const DoomedBlock& doomed : choose_doomed(storage, plan)) {
    whole.insert(doomed.ulid);
    DoomedSummary& summary = found.emplace_back();
    summary.limit = doomed.is_for_age ? "time" : "size";
    const auto note_block = [&](const auto& block, std::string path, std::string tier) {
      if (block->meta().ulid != doomed.ulid) return;
      summary.path = std::move(path);
      summary.tier = std::move(tier);
      summary.min_time = block->meta().min_time;
      summary.max_time = block->meta().max_time;
      summary.bytes = block->size_bytes();
    };
    for (const auto& block : *sealed_list) {
      note_block(block, sealed->directory_of(doomed.ulid), "sealed");
    }
    for (const auto& block : *tier_list) {
      note_block(block, tiers->directory_of(doomed.ulid),
                 format_duration(block->meta().resolution));
    }
  }
  for (const Ulid& ulid : blocks_to_expire(*list, plan.samples)) {
    for (const auto& block : *list) {
      if (block->meta().ulid != ulid) continue;
      whole.insert(ulid);
      found.push_back({join_path(data_directory, ulid.to_string()), "blocks", "time",
                       block->meta().min_time, block->meta().max_time, block->size_bytes()});
    }
  }
  for (const auto& doom : TRY(SeriesRetention(files, options, storage, log).plan())) {
    if (whole.contains(doom.ulid)) continue;
    const std::string name = doom.ulid.to_string();
    for (const auto& block : *sealed_list)
      add(block, sealed->directory_of(doom.ulid), "sealed", doom);
    for (const auto& block : *tier_list) {
      add(block, tiers->directory_of(doom.ulid), format_duration(block->meta().resolution), doom);
    }
    for (const auto& block : *list) add(block, join_path(data_directory, name), "blocks", doom);
  }
  return found;
}

}  // namespace tarsier::tsdb
