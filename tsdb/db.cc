#include "tsdb/db.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/keyed_hash.h"
#include "tsdb/block/block_deletion.h"
#include "tsdb/block/block_export.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/sealed_set.h"
#include "tsdb/block/shipped_list.h"
#include "tsdb/block/snapshot.h"
#include "tsdb/block/source_choice.h"
#include "tsdb/block/tier_set.h"
#include "tsdb/change_log.h"
#include "tsdb/compaction/block_compaction.h"
#include "tsdb/compaction/downsampler.h"
#include "tsdb/compaction/retention.h"
#include "tsdb/compaction/sealer.h"
#include "tsdb/compaction/series_retention.h"
#include "tsdb/db_metrics.h"
#include "tsdb/follow/follower_hub.h"
#include "tsdb/head/chunk_spiller.h"
#include "tsdb/head/ended_series_cutter.h"
#include "tsdb/head/head.h"
#include "tsdb/head/head_chunk_files.h"
#include "tsdb/head/head_cutter.h"
#include "tsdb/head/head_image_keeper.h"
#include "tsdb/head/head_querier.h"
#include "tsdb/head/head_replay.h"
#include "tsdb/head/late_cutter.h"
#include "tsdb/maintenance.h"
#include "tsdb/merge_querier.h"
#include "tsdb/opening.h"
#include "tsdb/wal/checkpoint.h"
#include "tsdb/wal/group_commit_log.h"
#include "tsdb/wal_follower.h"

namespace tarsier::tsdb {
namespace {

// Names in the data directory.
constexpr std::string_view kLockName = "lock";
constexpr std::string_view kWalName = "wal";
constexpr std::string_view kWblName = "wbl";
constexpr std::string_view kHeadChunksName = "chunks_head";
constexpr std::string_view kLostName = "tarsier/lost";
constexpr std::string_view kFollowersName = "tarsier/followers";
/// Prometheus' shortcuts past the log. They are wrong as soon as somebody else wrote to it.
constexpr std::string_view kSnapshotPrefix = "chunk_snapshot.";
constexpr std::string_view kSeriesStateName = "series_state.json";

/// How often maintenance looks around.
constexpr Duration kMaintenanceInterval = minutes(1);
/// Sealing everything goes on past as many blocks that refuse.
constexpr std::uint64_t kCompactionFailuresMax = 100;

Status remove_shortcuts(FileSystem& files, const std::string& directory) {
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (!entry.is_directory || !entry.name.starts_with(kSnapshotPrefix)) continue;
    TRY(files.remove_all(join_path(directory, entry.name)));
  }
  const std::string state = join_path(join_path(directory, kWalName), kSeriesStateName);
  if (files.exists(state)) TRY(files.remove_file(state));
  return {};
}

/// Makes `directory` and what is missing above it, so that a power cut leaves it.
Status make_directory(FileSystem& files, const std::string& directory) {
  if (files.exists(directory)) return {};
  const std::string parent = parent_path(directory);
  if (parent != directory) TRY(make_directory(files, parent));
  TRY(files.create_directories(directory));
  return files.sync_directory(parent);
}

/// What is to be sealed is compacted to what sealing takes at once, and no further.
Options with_sealing(Options options) {
  if (options.seal_after == kSealNever) return options;
  options.block_range_max = std::min(options.block_range_max, Duration{9 * options.block_range.ms});
  return options;
}

double number(std::uint64_t n) { return static_cast<double>(n); }

}  // namespace

struct Db::Impl {
  Impl(FileSystem& the_files, std::string the_directory, const Options& the_options,
       Logger& the_log)
      : files(the_files),
        directory(std::move(the_directory)),
        wal_directory(join_path(directory, kWalName)),
        wbl_directory(join_path(directory, kWblName)),
        options(with_sealing(the_options)),
        log(the_log),
        maintenance(the_options.maintenance_percent) {}

  Ulid next_ulid(Timestamp now) {
    const HashKey key = draw_hash_key();
    std::array<std::byte, 10> entropy;
    std::memcpy(entropy.data(), key.words.data(), entropy.size());
    constexpr std::int64_t kUlidMax = (std::int64_t{1} << 48) - 1;
    return make_ulid(Timestamp{std::clamp<std::int64_t>(now.ms, 0, kUlidMax)}, entropy);
  }

  /// What came of looking for blocks to cut.
  enum class Cut : unsigned char { kNothing, kTruncated, kWaitsForLog };
  Result<Cut> cut_due(Timestamp now);
  /// Where the next cut ends, if one is due.
  std::optional<Timestamp> next_cut_end() const;
  /// As far as blocks of either kind have everything.
  Timestamp complete_until() const {
    return std::max(blocks->complete_until(), sealed->complete_until());
  }
  Timestamp newest_time() const;
  Status export_sealed(const std::string& target);
  Status checkpoint();
  std::optional<std::uint32_t> choose_checkpoint(std::uint32_t first, std::uint32_t active);
  Status open_followers();
  /// Cuts out-of-order samples; kWaitsForLog until what they are cut from is on the disk.
  Result<Cut> cut_late(Timestamp now);
  Status remove_late_segments(std::uint32_t end);
  void remove_head_chunks();
  Status open_wbl() EXCLUDES_LOCK(wbl_mutex);
  /// As far as the logs can be relied on.
  Head::SafePositions safe_positions() const;
  /// Writes what the write-behind log has gathered. On the thread that drives the log.
  void flush_wbl();

  FileSystem& files;
  const std::string directory;
  const std::string wal_directory;
  const std::string wbl_directory;
  const Options options;
  Logger& log;
  DbMetrics metrics;
  ReplayStatistics replay;
  std::unique_ptr<FileLock> lock;  // First in, last out.
  /// A cut that was begun: the head is frozen before `end`; what it holds is in the log up to
  /// `position`.
  struct BegunCut {
    Timestamp end;
    LogPosition position;
  };
  std::optional<BegunCut> begun_cut;  // Of the maintenance thread.
  Backoff cut_backoff;                // Likewise.
  bool log_is_writable = true;        // Of the log's thread: as last reported.
  ChangeLog changes;                  // Before those who note in it.
  std::unique_ptr<BlockSet> blocks;
  std::unique_ptr<SealedSet> sealed;
  std::unique_ptr<ShippedList> shipped;
  std::unique_ptr<BlockCompaction> compaction;
  std::unique_ptr<Sealer> sealer;
  std::unique_ptr<TierSet> tiers;
  std::unique_ptr<Downsampler> downsampler;
  std::unique_ptr<SeriesRetention> series_retention;
  RetainedStorage retained() { return {*blocks, *sealed, *tiers, *downsampler}; }
  /// Everything before is to be cut now, whatever the windows. Of the maintenance thread.
  std::optional<Timestamp> forced_cut_end;
  std::unique_ptr<GroupCommitLog> wal;
  /// Of out-of-order samples; made when they are first allowed. Read through the pointer, which is
  /// set once.
  Mutex wbl_mutex;
  std::unique_ptr<GroupCommitLog> wbl_owned GUARDED_BY(wbl_mutex);
  std::atomic<GroupCommitLog*> wbl{nullptr};
  std::unique_ptr<HeadChunkFiles> head_chunks;
  std::unique_ptr<Head> head;
  std::unique_ptr<FollowerHub> followers;
  std::unique_ptr<ChunkSpiller> spiller;
  std::unique_ptr<HeadImageKeeper> images;
  std::unique_ptr<EndedSeriesCutter> ended;
  EndedSeriesCutter::Means means_for_ended(Timestamp now) {
    return {wal->appended_position(), safe_positions(), [this, now] { return next_ulid(now); },
            [this](const EncodedChunk& chunk) { compaction->note_first(chunk); }};
  }
  HeadImageKeeper::Surroundings image_surroundings() const {
    return {complete_until(), wal->appended_position(), wal->followable_position()};
  }
  /// Late samples that are being cut.
  struct BegunLateCut {
    Head::FrozenLate frozen;
    Timestamp done_until = kMinTimestamp;
  };
  std::optional<BegunLateCut> begun_late_cut;
  bool is_late_cut_due = false;

  Timestamp work_on_blocks(Timestamp now);
  bool retain(Timestamp now);
  Status apply_out_of_order_window();
  Maintenance maintenance;
  std::atomic<std::int64_t> configured_window_ms{0};
  std::atomic<bool> is_lenient{false};
  Timestamp lenient_until;  // Of the maintenance thread.
};

std::optional<Timestamp> Db::Impl::next_cut_end() const {
  if (head->is_empty()) return std::nullopt;
  const Timestamp window_end{head->window_end(head->min_time())};
  if (forced_cut_end && Timestamp{head->min_time()} < *forced_cut_end) {
    return std::min(window_end, *forced_cut_end);
  }
  return head->is_cut_due() ? std::optional(window_end) : std::nullopt;
}

Timestamp Db::Impl::newest_time() const {
  Timestamp newest = sealed->newest_end();
  const auto list = blocks->blocks();
  for (const auto& block : *list) newest = std::max(newest, block->meta().max_time);
  return head->is_empty() ? newest : std::max(newest, Timestamp{head->max_time()});
}

/// Lets every sealed block come back below `target`.
Status Db::Impl::export_sealed(const std::string& target) {
  const auto list = sealed->blocks();
  for (const auto& block : *list) {
    for (std::size_t i = 0; i < block->meta().sources.size(); ++i) {
      const auto source =
          TRY(make_sealed_chunk_source(files, sealed->directory_of(block->meta().ulid), block, i));
      TRY(export_block(files, *source, block->meta().sources[i].segment_bytes_max, target));
    }
  }
  return {};
}

/// Cuts one block after the other until the head is short enough.
Result<Db::Impl::Cut> Db::Impl::cut_due(Timestamp now) {
  Cut done = Cut::kNothing;
  while (const std::optional<Timestamp> next = next_cut_end()) {
    const Timestamp end = *next;
    if (!begun_cut || begun_cut->end != end) {
      ended->forget();
      head->freeze_before(end);
      begun_cut = BegunCut{end, wal->appended_position()};
    }
    // A block must not outlive a commit of which the log lost the rest.
    if (wal->followable_position() < begun_cut->position) return Cut::kWaitsForLog;
    const std::optional<BlockMeta> meta =
        TRY(cut_block(*head, files, directory, next_ulid(now), end, options.chunk_segment_bytes,
                      [this](const EncodedChunk& chunk) { compaction->note_first(chunk); }));
    if (meta) {
      compaction->metrics().compactions.add();
      log.info("Block written", {{"ulid", meta->ulid.to_string()},
                                 {"min_time", std::to_string(meta->min_time.ms)},
                                 {"max_time", std::to_string(meta->max_time.ms)},
                                 {"series", std::to_string(meta->series_count)},
                                 {"samples", std::to_string(meta->sample_count)}});
      TRY(blocks->reload());
      // What memory gives up must be served by the block.
      const auto list = blocks->blocks();
      const bool is_served = std::any_of(list->begin(), list->end(), [&](const auto& block) {
        return block->meta().ulid == meta->ulid;
      });
      if (!is_served) return corruption("the block just written cannot be opened");
    }
    // A querier takes the head first and then the blocks, so at every moment it finds the samples
    // in one of them, or in both.
    head_chunks->finish_file();
    const double gc_start = monotonic_seconds();
    head->truncate_before(end);
    images->invalidate();
    metrics.head_gc_seconds.observe(monotonic_seconds() - gc_start, now);
    head->forget_deletions_before(end);
    begun_cut.reset();
    cut_backoff.succeed();
    remove_head_chunks();
    is_late_cut_due = true;
    done = Cut::kTruncated;
  }
  return done;
}

Result<Db::Impl::Cut> Db::Impl::cut_late(Timestamp now) {
  if (!begun_late_cut) {
    auto frozen = TRY(head->freeze_late());
    if (!frozen) return Cut::kNothing;
    begun_late_cut = BegunLateCut{.frozen = std::move(*frozen)};
  }
  const Head::SafePositions needed = begun_late_cut->frozen.logged_before;
  const Head::SafePositions safe = safe_positions();
  // Segments that will be removed must not be written any more: a log that has to repair the file
  // it writes would miss it.
  const std::uint32_t begun = begun_late_cut->frozen.segment.value_or(0);
  const bool has_begun = wbl.load() == nullptr || wbl.load()->active_segment() >= begun;
  if (safe.log < needed.log || safe.late_log < needed.late_log || !has_begun) {
    wal->wake();
    return Cut::kWaitsForLog;
  }
  LateCut cut;
  cut.data_directory = directory;
  cut.block_range = options.block_range;
  cut.segment_bytes_max = options.chunk_segment_bytes;
  cut.next_ulid = [&] { return next_ulid(now); };
  std::vector<Ulid> ulids;
  cut.written = [&](const BlockMeta& meta) {
    ulids.push_back(meta.ulid);
    compaction->metrics().compactions.add();
    log.info("Block of out-of-order samples written",
             {{"ulid", meta.ulid.to_string()},
              {"min_time", std::to_string(meta.min_time.ms)},
              {"max_time", std::to_string(meta.max_time.ms)},
              {"series", std::to_string(meta.series_count)},
              {"samples", std::to_string(meta.sample_count)}});
  };
  TRY(cut_late_blocks(*head, {begun_late_cut->frozen.epoch}, files, cut,
                      begun_late_cut->done_until));
  TRY(blocks->reload());
  const auto list = blocks->blocks();
  for (const Ulid& ulid : ulids) {
    const bool is_served = std::any_of(
        list->begin(), list->end(), [&](const auto& block) { return block->meta().ulid == ulid; });
    if (!is_served) return corruption("the block just written cannot be opened");
  }
  head_chunks->finish_file();
  head->drop_frozen_late();
  // Segments before files: a marker must not outlive the chunk it speaks of.
  if (begun_late_cut->frozen.segment) {
    TRY(remove_late_segments(*begun_late_cut->frozen.segment));
  }
  begun_late_cut.reset();
  remove_head_chunks();
  return Cut::kTruncated;
}

/// From the oldest on and durably one by one: Prometheus refuses a log with a gap.
Status Db::Impl::remove_late_segments(std::uint32_t end) {
  GroupCommitLog* const late_log = wbl.load();
  for (const std::uint32_t segment : TRY(list_segments(files, wbl_directory))) {
    if (segment >= end) break;
    const std::string path = join_path(wbl_directory, segment_name(segment));
    const std::uint64_t size = TRY(files.open_readable(path, Access::kRead))->size();
    TRY(files.remove_file(path));
    TRY(files.sync_directory(wbl_directory));
    late_log->metrics().storage_bytes.add(-number(size));
  }
  late_log->metrics().truncations.add();
  return {};
}

void Db::Impl::remove_head_chunks() {
  const auto removed =
      head_chunks->remove_before(head->generation()->min_time, head->oldest_late_epoch());
  if (!removed.ok()) {
    log.error("Removing head chunk files failed", {{"error", removed.status().message()}});
    return;
  }
  if (!removed->empty()) images->invalidate();
  head->retire({removed->begin(), removed->end()});
}

Status Db::Impl::open_wbl() {
  const MutexLock wbl_lock(wbl_mutex);
  if (wbl_owned != nullptr) return {};
  Options late = options;
  // What goes here went to the log before, which is bounded.
  late.wal_buffer_bytes_max = SIZE_MAX;
  wbl_owned = TRY(GroupCommitLog::open(files, wbl_directory, late));
  wbl.store(wbl_owned.get());
  head->attach_late_log(wbl_owned.get());
  return {};
}

Head::SafePositions Db::Impl::safe_positions() const {
  const GroupCommitLog* const late_log = wbl.load();
  return {wal->followable_position(),
          late_log == nullptr ? LogPosition{} : late_log->followable_position()};
}

void Db::Impl::flush_wbl() {
  GroupCommitLog* const late_log = wbl.load();
  if (late_log == nullptr) return;
  head->log_unlogged_late();
  // Failures are told to whoever waits.
  const auto flush = [&] {
    static_cast<void>(options.wal_sync == WalSync::kNone ? late_log->flush() : late_log->sync());
  };
  flush();
  if (!head->has_unlogged_late()) return;
  // The log takes again what it refused only once it has what it took before.
  head->log_unlogged_late();
  flush();
}

/// What a follower has not read stays, within bounds.
std::optional<std::uint32_t> Db::Impl::choose_checkpoint(std::uint32_t first,
                                                         std::uint32_t active) {
  const auto wanted = choose_checkpoint_end(first, active);
  const auto needed = followers->first_needed_segment();
  if (!wanted || !needed || *needed > *wanted) return wanted;
  std::uint64_t held_bytes = 0;
  std::uint32_t last = *wanted;
  for (; last >= *needed; --last) {
    const auto file =
        files.open_readable(join_path(wal_directory, segment_name(last)), Access::kRead);
    if (file.ok()) held_bytes += (*file)->size();
    if (held_bytes > options.wal_follower_bytes_max) break;
    if (last == 0) return std::nullopt;
  }
  if (last <= first) return std::nullopt;
  return last;
}

Status Db::Impl::open_followers() {
  FollowedLog followed;
  followed.wal_directory = wal_directory;
  followed.state_directory = join_path(directory, kFollowersName);
  followed.followable = [this] { return wal->followable_position(); };
  followed.appended = [this] { return wal->appended_position(); };
  followed.labels_of = [this](SeriesRef ref) {
    const auto generation = head->generation();  // Keeps what was found from being used anew.
    const SeriesTable& table = head->table();
    Slot slot = table.find(ref);
    if (slot == SeriesRefs::kNone) slot = table.find(SeriesRef{table.primary_ref(ref.value)});
    return slot == SeriesRefs::kNone ? Labels() : table.labels(slot);
  };
  followers = std::make_unique<FollowerHub>(files, std::move(followed), log);
  return followers->adjust_stored(wal->appended_position());
}

/// Condenses the older part of the log, of which the blocks have the samples now.
Status Db::Impl::checkpoint() {
  const Timestamp min_time{head->generation()->min_time};
  // Time of which everything is deleted leaves no block. The next start will read the log from
  // before it, and needs the deletions there.
  if (complete_until() < min_time) return {};
  TRY(wal->begin_segment());
  const std::vector<std::uint32_t> segments = TRY(list_segments(files, wal_directory));
  if (segments.empty()) return {};
  // Segments before the one being written are finished and synced.
  const std::uint32_t active = segment_of(wal->written_position());
  const auto last = choose_checkpoint(segments.front(), active);
  if (!last) return {};
  CheckpointPlan plan;
  plan.last_segment = *last;
  plan.min_time = min_time;
  plan.compression = options.wal_compression;
  plan.segment_bytes = options.wal_segment_bytes;
  const Result<CheckpointStatistics> written = create_checkpoint(
      files, wal_directory, plan, [this, end = wal->appended_position()](SeriesRef ref) {
        return head->has_series(ref) || followers->needs_departed(ref, end);
      });
  (written.ok() ? metrics.checkpoints : metrics.checkpoints_failed).add();
  if (!written.ok()) return written.status();
  wal->metrics().storage_bytes.add(number(written->bytes));
  images->invalidate();
  const Result<std::uint64_t> removed = remove_superseded(files, wal_directory);
  (removed.ok() ? metrics.checkpoint_deletions : metrics.checkpoint_deletions_failed).add();
  if (!removed.ok()) return removed.status();
  const std::uint64_t freed = *removed;
  wal->metrics().storage_bytes.add(-number(freed));
  wal->metrics().truncations.add();
  log.info("Log truncated",
           {{"last_segment", std::to_string(*last)}, {"bytes_freed", std::to_string(freed)}});
  return {};
}

/// One piece of work on blocks at a time, so that the head is cut in between.
Timestamp Db::Impl::work_on_blocks(Timestamp now) {
  if (const Duration rest = maintenance.rest(monotonic_seconds()); rest > Duration{}) {
    return now + std::min(rest, kMaintenanceInterval);
  }
  const auto did = [&](const char* work, const auto& piece) {
    maintenance.begin(work, now, monotonic_seconds());
    const bool is_done = piece();
    maintenance.end(is_done, monotonic_seconds());
    return is_done;
  };
  const auto new_ulid = [&] { return next_ulid(now); };
  if (did("retention", [&] { return retain(now); })) return now;
  const bool did_some =
      did("compaction",
          [&] {
            return compaction->run_due(now, next_ulid(now)) == BlockCompaction::Outcome::kDone;
          }) ||
      did("sealing",
          [&] {
            return sealer->run_due(now, newest_time(), Sealer::Scope::kDue, new_ulid) ==
                   Sealer::Outcome::kDone;
          }) ||
      did("downsampling", [&] {
        const Result<bool> downsampled = downsampler->run_due(new_ulid);
        if (!downsampled.ok() && downsampled.status().code() != Code::kCancelled) {
          log.error("Downsampling failed", {{"error", downsampled.status().message()}});
        }
        return downsampled.ok() && *downsampled;
      });
  if (!did_some) return now + kMaintenanceInterval;
  return now + std::min(maintenance.rest(monotonic_seconds()), kMaintenanceInterval);
}

/// Whether there may be more to take.
bool Db::Impl::retain(Timestamp now) {
  const auto dropped = series_retention->run_due([&] { return next_ulid(now); });
  if (dropped.ok() && *dropped) return true;
  // Rows that were not brought to safety must not go with their block.
  const auto expired = dropped.ok() ? apply_retention(retained(), retention_plan(options), log)
                                    : Result<BlockSet::Expired>(dropped.status());
  if (expired.ok()) {
    metrics.blocks_expired.add(expired->for_age + expired->for_size);
    if (expired->for_age > 0) metrics.time_retentions.add();
    if (expired->for_size > 0) metrics.size_retentions.add();
  } else {
    log.error("Deleting expired blocks failed", {{"error", expired.status().message()}});
  }
  return false;
}

/// Whatever was cut before its time, senders that are a little behind must not be refused for it.
Status Db::Impl::apply_out_of_order_window() {
  Duration window{configured_window_ms.load(std::memory_order_relaxed)};
  if (is_lenient.load(std::memory_order_relaxed)) {
    window = std::max(window, Duration{options.block_range.ms / 2});
  }
  if (window > Duration{}) TRY(open_wbl());
  head->set_out_of_order_window(window);
  return {};
}

Db::Db(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Db::~Db() = default;

const ChangeLog* Db::changes() const { return &impl_->changes; }

Result<std::unique_ptr<Db>> Db::open(FileSystem& files, const std::string& directory,
                                     const Options& options, Logger& log, ThreadPool* pool,
                                     Opening* opening) {
  Opening unwatched;
  if (opening == nullptr) opening = &unwatched;
  if (options.block_range.ms <= 0) return invalid("block_range must be positive");
  auto impl = std::make_unique<Impl>(files, directory, options, log);
  TRY(make_directory(files, directory));
  impl->metrics.was_clean = !files.exists(join_path(directory, kLockName));
  impl->lock = TRY(files.lock(join_path(directory, kLockName)));
  TRY(remove_shortcuts(files, directory));
  impl->blocks = TRY(BlockSet::open(files, directory, log));
  impl->compaction =
      std::make_unique<BlockCompaction>(files, directory, impl->options, *impl->blocks, log);
  impl->sealed = TRY(SealedSet::open(files, directory, log));
  impl->sealer =
      std::make_unique<Sealer>(files, directory, impl->options, *impl->blocks, *impl->sealed, log);
  impl->shipped = std::make_unique<ShippedList>(files, impl->options.shipping, log);
  impl->compaction->attach_shipped(impl->shipped.get());
  impl->sealer->attach_shipped(impl->shipped.get());
  impl->sealer->attach_progress(
      [maintenance = &impl->maintenance] { maintenance->count_series(); });
  impl->tiers = TRY(TierSet::open(files, directory, log));
  impl->downsampler =
      std::make_unique<Downsampler>(files, impl->options, *impl->sealed, *impl->tiers, log);
  impl->series_retention =
      std::make_unique<SeriesRetention>(files, impl->options, impl->retained(), log);
  const Timestamp served_until = impl->complete_until();
  opening->serve_blocks(
      served_until, [list = impl->blocks->blocks(), sealed = impl->sealed->blocks(),
                     tiers = impl->tiers->blocks()](TimeRange range) {
        return make_merge_querier(choose_sources({*list, *sealed, *tiers}, range));
      });
  ReplaySources sources;
  sources.wal_directory = impl->wal_directory;
  sources.wbl_directory = impl->wbl_directory;
  sources.lost_directory = join_path(directory, kLostName);
  const ImagePaths paths{directory, impl->wal_directory};
  std::string reason;
  auto image = TRY(find_head_image(files, paths, options, served_until, pool, reason));
  impl->head_chunks = TRY(HeadChunkFiles::open(
      files, join_path(directory, kHeadChunksName), sources.lost_directory, log, pool,
      image == nullptr ? HeadChunkFiles::Known() : known_chunks(image->origin())));
  sources.chunk_files = impl->head_chunks.get();
  if (image != nullptr && !matches(image->origin(), *impl->head_chunks)) {
    reason = "head chunk files are not what they were";
    image.reset();
    impl->head_chunks->find_all(pool);
  }
  if (!reason.empty()) {
    log.info("Head image discarded; the log is read from its begin", {{"reason", reason}});
  }
  sources.image = image.get();
  impl->head =
      TRY(replay_head(files, sources, options, served_until, log, pool, *opening, impl->replay));
  impl->images = std::make_unique<HeadImageKeeper>(files, paths, impl->options, *impl->head,
                                                   *impl->head_chunks, log);
  if (!reason.empty() || impl->replay.has_discarded_image) impl->images->metrics().discarded.add();
  if (image != nullptr && !impl->replay.has_discarded_image) {
    impl->images->begin_with(image->origin());
  }
  image.reset();
  impl->head_chunks->forget_found();
  impl->head->attach_changes(&impl->changes);
  impl->blocks->attach_changes(&impl->changes);
  impl->spiller = std::make_unique<ChunkSpiller>(*impl->head, *impl->head_chunks, log);
  impl->ended = std::make_unique<EndedSeriesCutter>(
      EndedSeriesCutter::Parts{files, directory, impl->options, *impl->head, *impl->head_chunks,
                               *impl->spiller, *impl->blocks, log});
  impl->wal = TRY(GroupCommitLog::open(files, impl->wal_directory, options));
  impl->head->attach_log(impl->wal.get());
  TRY(impl->open_followers());
  // What is there has to be cut one day, even if nothing is added.
  if (options.out_of_order_time_window > Duration{} || files.exists(impl->wbl_directory)) {
    TRY(impl->open_wbl());
  }
  // Late samples that chunk files have brought back.
  if (impl->head->has_unlogged_late()) impl->flush_wbl();
  impl->head->set_out_of_order_window(options.out_of_order_time_window);
  // The first wide query should not pay for sorting everything.
  std::vector<Slot> slots;
  {
    MutexLock lock(impl->head->table().mutex());
    impl->head->generation()->postings->append_all(slots);
  }
  impl->head->table().sort_by_labels(impl->head->table().order_epoch(), slots);
  log.info("Database opened", {{"blocks", std::to_string(impl->blocks->blocks()->size())},
                               {"head_series", std::to_string(impl->head->table().series_count())},
                               {"log_records", std::to_string(impl->replay.record_count)},
                               {"log_samples", std::to_string(impl->replay.sample_count)}});
  opening->finish();
  return std::unique_ptr<Db>(new Db(std::move(impl)));
}

std::unique_ptr<Appender> Db::appender() { return impl_->head->appender(); }

Result<std::unique_ptr<Querier>> Db::querier(TimeRange range) {
  // The head before the blocks: a block published in between is then seen twice, never not at all.
  auto head_querier = make_head_querier(*impl_->head, range);
  const TimeRange head_range{
      Timestamp{std::min(impl_->head->generation()->min_time, impl_->head->late_min_time())},
      kMaxTimestamp};
  const auto blocks = impl_->blocks->blocks();  // Held while it is walked: it may be replaced.
  const auto sealed = impl_->sealed->blocks();
  const auto tiers = impl_->tiers->blocks();
  std::vector<MergeSource> sources =
      choose_sources({*blocks, *sealed, *tiers, head_range.min}, range);
  sources.push_back({std::move(head_querier), head_range});
  return make_merge_querier(std::move(sources));
}

void Db::when_synced(LogPosition position, std::function<void(Status)> done) {
  if (position == LogPosition{}) return done({});
  GroupCommitLog* const wbl = impl_->wbl.load();
  if (wbl == nullptr) return impl_->wal->when_synced(position, std::move(done));
  // A commit whose out-of-order samples are in the other log is durable with both. That one is
  // brought to the disk after this one, on the same thread.
  if (impl_->head->has_unlogged_late()) {
    return done(unavailable("the log of out-of-order samples cannot be written"));
  }
  const LogPosition late = wbl->appended_position();
  impl_->wal->when_synced(position, [wbl, late, then = std::move(done)](Status status) mutable {
    if (!status.ok()) return then(std::move(status));
    wbl->when_synced(late, std::move(then));
  });
}

bool Db::sync_due() {
  const bool goes_on = impl_->wal->sync_due();
  impl_->flush_wbl();
  const Status trouble = impl_->wal->trouble();
  if (trouble.ok() != impl_->log_is_writable) {
    impl_->log_is_writable = trouble.ok();
    if (trouble.ok()) {
      impl_->log.info("The log can be written again");
    } else {
      impl_->log.error("The log cannot be written; new samples are refused",
                       {{"error", trouble.message()}});
    }
  }
  return goes_on;
}
void Db::interrupt_sync() { impl_->wal->interrupt(); }

MaintenanceStatus Db::maintenance() const { return impl_->maintenance.status(); }

void Db::pause_maintenance(bool is_paused) {
  is_paused ? impl_->maintenance.pause() : impl_->maintenance.resume();
  impl_->log.info(is_paused ? "Background work on blocks is paused"
                            : "Background work on blocks goes on");
}

Timestamp Db::run_due(Timestamp now) {
  if (impl_->is_lenient.load(std::memory_order_relaxed) && now >= impl_->lenient_until) {
    impl_->is_lenient.store(false, std::memory_order_relaxed);
    if (const Status status = impl_->apply_out_of_order_window(); !status.ok()) {
      impl_->log.error("Refusing late samples again failed", {{"error", status.message()}});
    }
  }
  impl_->head->note_growth(now);
  impl_->head->close_finished_chunks();
  impl_->metrics.maintenance_rounds.add();
  const Result<Impl::Cut> cut =
      impl_->cut_backoff.is_due(now) ? impl_->cut_due(now) : Result<Impl::Cut>(Impl::Cut::kNothing);
  if (!cut.ok()) {
    impl_->cut_backoff.fail(now);
    impl_->compaction->metrics().failed.add();
    impl_->log.error("Cutting a block from the head failed", {{"error", cut.status().message()}});
  } else if (*cut == Impl::Cut::kWaitsForLog) {
    return now + impl_->options.wal_sync_interval;
  } else if (*cut == Impl::Cut::kTruncated) {
    const double start = monotonic_seconds();
    const Status status = impl_->checkpoint();
    impl_->metrics.log_truncate_seconds.observe(monotonic_seconds() - start, now);
    if (!status.ok()) {
      impl_->wal->metrics().truncations_failed.add();
      impl_->log.error("Truncating the log failed", {{"error", status.message()}});
    }
  }
  if (impl_->is_late_cut_due) {
    const Result<Impl::Cut> late = impl_->cut_late(now);
    if (!late.ok()) {
      impl_->compaction->metrics().failed.add();
      impl_->log.error("Cutting out-of-order samples failed", {{"error", late.status().message()}});
    } else if (*late == Impl::Cut::kWaitsForLog) {
      return now + impl_->options.wal_sync_interval;
    } else {
      impl_->is_late_cut_due = false;
    }
  }
  if (impl_->ended->run_due(now, impl_->means_for_ended(now)) ==
      EndedSeriesCutter::Outcome::kWaitsForLog) {
    impl_->wal->wake();
    return now + impl_->options.wal_sync_interval;
  }
  impl_->metrics.reloads.add();
  if (const Status status = impl_->blocks->reload(); !status.ok()) {
    impl_->metrics.reloads_failed.add();
    impl_->log.error("Looking for new blocks failed", {{"error", status.message()}});
  }
  impl_->shipped->reload(*impl_->blocks->blocks());
  return impl_->work_on_blocks(now);
}

LogPosition Db::begin_compacting_everything(Timestamp now) {
  if (!impl_->head->is_empty()) {
    impl_->is_lenient.store(true, std::memory_order_relaxed);
    impl_->lenient_until = now + Duration{impl_->options.block_range.ms / 2};
    if (const Status status = impl_->apply_out_of_order_window(); !status.ok()) {
      impl_->log.error("Allowing late samples failed", {{"error", status.message()}});
    }
    impl_->forced_cut_end = Timestamp{impl_->head->max_time()} + milliseconds(1);
    impl_->head->freeze_before(*impl_->forced_cut_end);
  }
  return impl_->wal->appended_position();
}

Result<CompactionReport> Db::compact_everything(Timestamp now) {
  CompactionReport report;
  const auto measure = [&](std::uint64_t& bytes, std::uint64_t& samples) {
    const auto blocks = impl_->blocks->blocks();
    const auto sealed = impl_->sealed->blocks();
    for (const auto& block : *blocks) {
      bytes += block->size_bytes();
      samples += block->meta().sample_count;
    }
    for (const auto& block : *sealed) {
      bytes += block->size_bytes();
      samples += block->meta().sample_count;
    }
  };
  const Result<Impl::Cut> cut = impl_->cut_due(now);
  impl_->forced_cut_end.reset();
  if (!cut.ok()) return cut.status();
  if (*cut == Impl::Cut::kWaitsForLog) return unavailable("the log is not synced yet");
  const Result<Impl::Cut> late = impl_->cut_late(now);
  if (!late.ok()) return late.status();
  if (*late == Impl::Cut::kWaitsForLog) {
    impl_->is_late_cut_due = true;
    return unavailable("the log of late samples is not synced yet");
  }
  if (*cut == Impl::Cut::kTruncated) {
    if (const Status status = impl_->checkpoint(); !status.ok()) return status;
  }
  TRY(impl_->blocks->reload());
  impl_->shipped->reload(*impl_->blocks->blocks());
  measure(report.bytes_before, report.samples_before);
  impl_->maintenance.begin("compacting everything", now, monotonic_seconds());
  for (;;) {
    const auto outcome = impl_->compaction->run_due(now, impl_->next_ulid(now));
    if (outcome == BlockCompaction::Outcome::kCancelled) return cancelled("the server is ending");
    if (outcome != BlockCompaction::Outcome::kDone) break;
  }
  for (;;) {
    const auto outcome =
        impl_->sealer->run_due(now, impl_->newest_time(), Sealer::Scope::kEverything,
                               [&] { return impl_->next_ulid(now); });
    if (outcome == Sealer::Outcome::kCancelled) return cancelled("the server is ending");
    if (outcome == Sealer::Outcome::kFailed) ++report.failures;
    if (outcome == Sealer::Outcome::kNothingDue || report.failures > kCompactionFailuresMax) break;
  }
  while (TRY(impl_->downsampler->run_due([&] { return impl_->next_ulid(now); }))) {
  }
  measure(report.bytes_after, report.samples_after);
  report.bytes_downsampled = impl_->tiers->size_bytes();
  impl_->maintenance.end(true, monotonic_seconds());
  return report;
}

Result<LogPosition> Db::delete_series(const std::vector<Matcher>& matchers, TimeRange range) {
  if (range.min > range.max) return LogPosition{};
  // A cut or a compaction may have failed after its block was there. Found only later it would
  // bring back what is deleted from its parents and from the head now.
  TRY(impl_->blocks->reload());
  const auto generation = impl_->head->generation();
  const std::vector<Slot> slots = TRY(select_slots(*generation, matchers));
  const LogPosition position = TRY(impl_->head->delete_samples(slots, range));
  const auto blocks = impl_->blocks->blocks();
  Status first_error;
  for (const auto& block : *blocks) {
    Result<std::optional<Tombstones>> more = delete_in_block(*block, matchers, range);
    Status outcome = more.status();
    if (more.ok() && *more) {
      outcome = impl_->blocks->set_tombstones(block->meta().ulid, std::move(**more));
    }
    // The other blocks can do what they are asked.
    if (first_error.ok() && !outcome.ok()) {
      first_error = std::move(outcome).with_prefix("block " + block->meta().ulid.to_string());
    }
  }
  impl_->changes.note(range.min);
  const Status in_sealed = impl_->sealed->delete_series(matchers, range);
  const Status in_tiers = impl_->tiers->delete_series(matchers, range);
  TRY(std::move(first_error));
  TRY(in_sealed);
  TRY(in_tiers);
  return position;
}

Status Db::clean_tombstones(Timestamp now) {
  const auto next_ulid = [&] { return impl_->next_ulid(now); };
  impl_->shipped->reload(*impl_->blocks->blocks());
  TRY(impl_->compaction->clean_tombstones(next_ulid));
  return impl_->sealer->clean_tombstones(next_ulid);
}

Result<std::string> Db::snapshot(Timestamp now, SnapshotScope scope) {
  SnapshotRequest request;
  request.name = snapshot_name(now, draw_hash_key().words[0]);
  request.copy_head = [&](const std::string& directory) -> Status {
    TRY(impl_->export_sealed(directory));
    if (scope == SnapshotScope::kBlocksOnly) return {};
    // Late samples first: those that are cut meanwhile are in a block, perhaps twice.
    const auto generation = impl_->head->generation();
    LateCut late;
    late.data_directory = directory;
    late.block_range = impl_->options.block_range;
    late.segment_bytes_max = impl_->options.chunk_segment_bytes;
    late.next_ulid = [&] { return impl_->next_ulid(now); };
    late.written = [](const BlockMeta&) {};
    Timestamp done_until = kMinTimestamp;
    TRY(cut_late_blocks(*impl_->head, impl_->head->late_epochs(), impl_->files, late, done_until));
    return copy_head(*impl_->head, impl_->files, directory, impl_->next_ulid(now),
                     impl_->options.chunk_segment_bytes)
        .status();
  };
  TRY(write_snapshot(impl_->files, impl_->directory, *impl_->blocks->blocks(), request));
  return request.name;
}

void Db::interrupt_maintenance() {
  impl_->compaction->cancel();
  impl_->sealer->cancel();
  impl_->downsampler->cancel();
}

Timestamp Db::write_head_chunks_due(Timestamp now) {
  const Timestamp next = impl_->spiller->run_due(now, impl_->safe_positions());
  return std::min(next, impl_->images->run_due(now, impl_->image_surroundings()));
}

Status Db::set_out_of_order_time_window(Duration window) {
  impl_->configured_window_ms.store(window.ms, std::memory_order_relaxed);
  return impl_->apply_out_of_order_window();
}

Result<std::unique_ptr<WalFollower>> Db::follow(FollowerOptions options) {
  return impl_->followers->follow(std::move(options));
}

Result<std::vector<std::string>> Db::stored_followers() const { return impl_->followers->stored(); }

Status Db::forget_follower(const std::string& name) { return impl_->followers->forget(name); }

Status Db::close() {
  Status closed = impl_->wal->close();
  GroupCommitLog* const wbl = impl_->wbl.load();
  if (wbl != nullptr) {
    // Markers may come after; what is promised is synced before.
    const Status late = wbl->sync();
    if (closed.ok()) closed = late;
  }
  if (closed.ok()) {
    // So that the next start need not build the chunks again. The first call says which are safe.
    impl_->spiller->run(impl_->safe_positions());
    impl_->spiller->run(impl_->safe_positions());
    impl_->images->write_last(impl_->image_surroundings());
  }
  if (wbl != nullptr) {
    const Status late = wbl->close();
    if (closed.ok()) closed = late;
  }
  return closed;
}

void Db::set_memory_is_full(bool is_full) {
  impl_->head->table().admission().set_memory_is_full(is_full);
}

HeadStatistics Db::head_statistics(std::size_t limit) const {
  return impl_->head->statistics(limit);
}

std::vector<BlockSummary> Db::blocks() const {
  std::vector<BlockSummary> out;
  const auto blocks = impl_->blocks->blocks();  // Held while it is walked: it may be replaced.
  for (const auto& block : *blocks) {
    const BlockMeta& meta = block->meta();
    out.push_back({meta.ulid.to_string(), meta.min_time, meta.max_time, meta.sample_count,
                   meta.series_count, meta.chunk_count, block->size_bytes(),
                   meta.compaction_level});
  }
  return out;
}

std::vector<std::pair<std::string, Metadata>> Db::metadata() const {
  return impl_->head->metadata();
}

std::vector<SeriesExemplars> Db::exemplars(const std::vector<std::vector<Matcher>>& selectors,
                                           TimeRange range) const {
  return impl_->head->exemplars().select(selectors, range);
}

void Db::set_exemplars_max(std::size_t exemplars_max) {
  impl_->head->exemplars().set_capacity(exemplars_max);
}

Timestamp Db::oldest_time() const {
  Timestamp oldest = kMaxTimestamp;
  const auto blocks = impl_->blocks->blocks();  // Held while it is walked: it may be replaced.
  for (const auto& block : *blocks) {
    oldest = std::min(oldest, block->meta().min_time);
  }
  const auto sealed = impl_->sealed->blocks();
  for (const auto& block : *sealed) oldest = std::min(oldest, block->meta().min_time);
  const auto tiers = impl_->tiers->blocks();
  for (const auto& block : *tiers) oldest = std::min(oldest, block->meta().min_time);
  if (!impl_->head->is_empty()) oldest = std::min(oldest, Timestamp{impl_->head->min_time()});
  oldest = std::min(oldest, Timestamp{impl_->head->late_min_time()});
  return oldest;
}

Timestamp Db::newest_time() const { return Timestamp{impl_->head->max_time()}; }

void Db::collect(MetricWriter& out) const {
  impl_->head->collect(out);
  impl_->wal->collect(out);
  impl_->head_chunks->collect(out);
  impl_->images->collect(out);
  if (const GroupCommitLog* const wbl = impl_->wbl.load(); wbl != nullptr) {
    wbl->collect(out, "prometheus_tsdb_out_of_order_wbl_");
  }
  const auto blocks = impl_->blocks->blocks();
  std::uint64_t bytes = 0;
  for (const auto& block : *blocks) bytes += block->size_bytes();
  bytes += impl_->sealed->size_bytes();
  const DbMetrics& metrics = impl_->metrics;
  out.gauge("prometheus_tsdb_blocks_loaded", "Number of currently loaded data blocks",
            number(blocks->size()));
  out.gauge("prometheus_tsdb_storage_blocks_bytes",
            "The number of bytes that are currently used for local storage by all blocks.",
            number(bytes));
  const Timestamp oldest = oldest_time();  // While there is nothing the greatest, as Prometheus'.
  out.gauge("prometheus_tsdb_lowest_timestamp", "Lowest timestamp value stored in the database.",
            static_cast<double>(oldest.ms));
  out.gauge("prometheus_tsdb_lowest_timestamp_seconds",
            "Lowest timestamp value stored in the database.",
            static_cast<double>(oldest.ms) / 1000);
  if (!impl_->options.shipping.list_path.empty()) {
    out.gauge("tarsier_tsdb_blocks_waiting_for_upload",
              "Blocks that are not compacted or sealed before they are shipped.",
              number(impl_->shipped->waiting_count()));
  }
  impl_->compaction->collect(out);
  impl_->maintenance.collect(out);
  impl_->sealer->collect(out);
  out.gauge("tarsier_tsdb_downsampled_bytes", "What downsampled blocks take on disk.",
            number(impl_->tiers->size_bytes()));
  metrics.collect(impl_->options, out);
  out.gauge("prometheus_tsdb_data_replay_duration_seconds",
            "Time taken to replay the data on disk.", impl_->replay.seconds);
  out.counter("prometheus_tsdb_wal_corruptions_total", "Total number of WAL corruptions.",
              number(impl_->replay.damage_count));
}

}  // namespace tarsier::tsdb
