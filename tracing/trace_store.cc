#include "tracing/trace_store.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/mutex.h"
#include "tracing/store/block_merger.h"
#include "tracing/store/kept_log.h"
#include "tracing/store/store_snapshot.h"
#include "tracing/store/trace_block.h"
#include "tracing/store/trace_part.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kLogDirectory = "log";
constexpr std::string_view kBlocksDirectory = "blocks";
/// Fragments wait for a full group at most this many groups long; then whoever keeps encodes.
constexpr std::uint32_t kTailGroupsMax = 4;
/// After a failed write.
constexpr Duration kRetry = seconds(10);
constexpr Duration kIdle = seconds(1);

using Blocks = std::vector<std::shared_ptr<const TraceBlock>>;

/// A block before it is one. The part is replaced, never changed: snapshots share it.
struct OpenBlock {
  OpenPart part;
  std::uint64_t rows = 0;           ///< Of everything.
  std::uint64_t fragment_rows = 0;  ///< Of fragments.
  std::uint64_t log_segment_max = 0;
  std::optional<Timestamp> filed_min;
  Timestamp filed_max{0};
  std::set<TraceId> ids;
  std::set<TraceId> late;
};

}  // namespace

struct TraceStore::Impl {
  Impl(FileSystem& f, std::string d, const TraceStoreOptions& o, Logger& l)
      : files(f), directory(std::move(d)), options(o), log(l) {}

  std::string blocks_directory() const { return join_path(directory, kBlocksDirectory); }
  std::string log_directory() const { return join_path(directory, kLogDirectory); }

  Status open_blocks();
  Status open_log(Timestamp now);
  void take(std::vector<TraceFragment> fragments) REQUIRES_LOCK(mutex);
  bool is_known(TraceId id) const REQUIRES_LOCK(mutex);
  void collect_late() REQUIRES_LOCK(mutex);
  Status encode_tail(OpenBlock& block, std::uint64_t rows_least) EXCLUDES_LOCK(mutex);
  bool begin_sealing(Timestamp now, bool is_forced);
  Status write_sealing();
  Status merge_blocks();
  void remove_expired(Timestamp now);
  void remove_block(const std::shared_ptr<const TraceBlock>& block, std::string_view why);
  std::uint64_t next_sequence() REQUIRES_LOCK(mutex) { return ++sequence; }

  FileSystem& files;
  const std::string directory;
  const TraceStoreOptions options;
  Logger& log;

  /// One at a time turns fragments into groups. Before log_mutex.
  Mutex encode_mutex;
  /// The order of the log is the order of the open block. Held while the log is written: whoever
  /// keeps waits for the disk's cache, as with any log. Before mutex.
  Mutex log_mutex ACQUIRED_AFTER(encode_mutex);
  std::unique_ptr<KeptLogWriter> writer GUARDED_BY(log_mutex);
  mutable Mutex mutex ACQUIRED_AFTER(log_mutex);
  std::shared_ptr<OpenBlock> open GUARDED_BY(mutex) = std::make_shared<OpenBlock>();
  std::shared_ptr<OpenBlock> sealing GUARDED_BY(mutex);
  std::shared_ptr<const Blocks> blocks GUARDED_BY(mutex) = std::make_shared<Blocks>();
  std::set<TraceId> late GUARDED_BY(mutex);
  /// A copy for snapshots, made when one is asked for; null when `late` has changed.
  mutable std::shared_ptr<const std::set<TraceId>> late_copy GUARDED_BY(mutex);
  std::uint64_t sequence GUARDED_BY(mutex) = 0;
  // Only the maintaining thread:
  Timestamp retry_at{0};
  std::set<std::uint64_t> unmergeable;  ///< Sequences of blocks whose merge met damage.

  Counter kept_spans;
  Counter kept_traces;
  Counter late_fragments;
  Counter blocks_written;
  Counter blocks_merged;
  Counter blocks_removed;
  Counter failures;
  Counter log_bytes_lost;
  Counter blocks_damaged;
};

TraceStore::TraceStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TraceStore::~TraceStore() = default;

Result<std::unique_ptr<TraceStore>> TraceStore::open(FileSystem& files, std::string directory,
                                                     const TraceStoreOptions& options, Logger& log,
                                                     Timestamp now) {
  auto impl = std::make_unique<Impl>(files, std::move(directory), options, log);
  TRY(files.create_directories(impl->blocks_directory()));
  TRY(files.create_directories(impl->log_directory()));
  TRY(files.sync_directory(impl->directory));
  TRY(files.sync_directory(parent_path(impl->directory)));
  TRY(impl->open_blocks());
  TRY(impl->open_log(now));
  return std::unique_ptr<TraceStore>(new TraceStore(std::move(impl)));
}

Status TraceStore::Impl::open_blocks() {
  const MutexLock lock(mutex);
  Blocks found;
  for (const DirectoryEntry& entry : TRY(files.list(blocks_directory()))) {
    const std::string path = join_path(blocks_directory(), entry.name);
    if (entry.name.ends_with(".tmp")) {
      TRY(files.remove_all(path));
      continue;
    }
    const std::optional<std::uint64_t> number = block_sequence_of(entry.name);
    if (!number) continue;
    sequence = std::max(sequence, *number);
    Result<std::shared_ptr<const TraceBlock>> block = TraceBlock::open(files, path);
    if (block.ok()) {
      found.push_back(std::move(*block));
      continue;
    }
    if (block.status().code() != Code::kCorruption) return std::move(block).status();
    blocks_damaged.add();
    log.error("A block of traces is damaged and set aside", {{"err", block.status().message()}});
    TRY(files.rename(path, path + ".damaged"));
  }
  std::set<std::uint64_t> replaced;
  for (const auto& block : found) {
    replaced.insert(block->meta().replaces.begin(), block->meta().replaces.end());
  }
  auto kept = std::make_shared<Blocks>();
  for (auto& block : found) {
    if (replaced.contains(block->meta().sequence)) {
      TRY(files.remove_file(block->path()));
      continue;
    }
    kept->push_back(std::move(block));
  }
  // Merged blocks have later numbers than younger ones.
  std::sort(kept->begin(), kept->end(), [](const auto& a, const auto& b) {
    return std::pair(a->meta().filed_min, a->meta().sequence) <
           std::pair(b->meta().filed_min, b->meta().sequence);
  });
  blocks = std::move(kept);
  collect_late();
  return {};
}

Status TraceStore::Impl::open_log(Timestamp now) {
  std::uint64_t covered = 0;
  {
    const MutexLock lock(mutex);
    for (const auto& block : *blocks) {
      covered = std::max(covered, block->meta().log_segment_max);
    }
  }
  const KeptLogReplay replay = TRY(replay_kept_log(files, log_directory(), covered, log,
                                                   [this](std::vector<TraceFragment> fragments) {
                                                     const MutexLock lock(mutex);
                                                     take(std::move(fragments));
                                                   }));
  log_bytes_lost.add(replay.bytes_lost);
  TRY(remove_kept_segments(files, log_directory(), covered));
  const MutexLock log_lock(log_mutex);
  writer = TRY(KeptLogWriter::open(files, log_directory(), replay.segment_next));
  TRY(writer->sync());
  const MutexLock lock(mutex);
  if (open->rows > 0 && !open->filed_min) open->filed_min = now;
  return {};
}

bool TraceStore::Impl::is_known(TraceId id) const {
  if (open->ids.contains(id) || (sealing != nullptr && sealing->ids.contains(id))) return true;
  return std::any_of(blocks->begin(), blocks->end(),
                     [&](const auto& block) { return block->may_hold(id); });
}

void TraceStore::Impl::take(std::vector<TraceFragment> fragments) {
  for (TraceFragment& fragment : fragments) {
    if (is_known(fragment.id)) {
      late_fragments.add();
      open->late.insert(fragment.id);
      if (late.insert(fragment.id).second) late_copy.reset();
    }
    open->ids.insert(fragment.id);
    open->rows += fragment.spans.size();
    open->fragment_rows += fragment.spans.size();
    kept_spans.add(fragment.spans.size());
    kept_traces.add();
    if (!open->filed_min || fragment.filed < *open->filed_min) open->filed_min = fragment.filed;
    open->filed_max = std::max(open->filed_max, fragment.filed);
    open->part.fragments.push_back(std::make_shared<const TraceFragment>(std::move(fragment)));
  }
}

void TraceStore::Impl::collect_late() {
  late = open->late;
  if (sealing != nullptr) late.insert(sealing->late.begin(), sealing->late.end());
  for (const auto& block : *blocks) {
    late.insert(block->meta().late.begin(), block->meta().late.end());
  }
  late_copy.reset();
}

Status TraceStore::keep(std::span<const KeptTrace> traces, Timestamp now) {
  if (traces.empty()) return {};
  auto contents = std::make_shared<const std::string>(encode_kept(traces, now));
  Result<std::vector<TraceFragment>> fragments = decode_kept(contents);
  if (!fragments.ok()) return invalid(fragments.status().message());
  bool is_full = false;
  std::shared_ptr<OpenBlock> open;
  {
    const MutexLock log_lock(impl_->log_mutex);
    TRY(impl_->writer->append(*contents));
    const MutexLock lock(impl_->mutex);
    impl_->take(std::move(*fragments));
    open = impl_->open;
    is_full = open->fragment_rows > std::uint64_t{kTailGroupsMax} * impl_->options.group_rows;
  }
  // What is not encoded takes ten times the memory, so it has a bound.
  return is_full ? impl_->encode_tail(*open, impl_->options.group_rows) : Status();
}

Status TraceStore::sync() {
  const MutexLock lock(impl_->log_mutex);
  return impl_->writer->sync();
}

/// Turns the fragments of a block into groups if they have so many rows.
Status TraceStore::Impl::encode_tail(OpenBlock& block, std::uint64_t rows_least) {
  const MutexLock encode_lock(encode_mutex);
  std::vector<TraceFragment> taken;
  {
    const MutexLock lock(mutex);
    if (block.part.fragments.empty() || block.fragment_rows < rows_least) return {};
    for (const auto& fragment : block.part.fragments) taken.push_back(*fragment);
  }
  // Only who holds encode_mutex replaces the summary.
  auto summary = std::make_shared<BlockSummary>(*block.part.summary);
  std::vector<std::shared_ptr<const MemoryGroup>> groups =
      TRY(encode_groups(taken, options.group_rows, *summary));
  std::uint64_t rows = 0;
  for (const TraceFragment& fragment : taken) rows += fragment.spans.size();
  const MutexLock lock(mutex);
  auto& fragments = block.part.fragments;
  fragments.erase(fragments.begin(), fragments.begin() + static_cast<std::ptrdiff_t>(taken.size()));
  block.fragment_rows -= rows;
  block.part.summary = std::move(summary);
  for (auto& group : groups) {
    // Parts of a trace in two groups are to be united, as those in two blocks.
    block.part.groups.push_back(std::move(group));
  }
  return {};
}

/// Ends the open block if it is full or old. True when there is one to be written.
bool TraceStore::Impl::begin_sealing(Timestamp now, bool is_forced) {
  const MutexLock log_lock(log_mutex);  // Nobody adds to the open block meanwhile.
  {
    const MutexLock lock(mutex);
    if (sealing != nullptr) return true;
    if (open->rows == 0) return false;
    const bool is_due = is_forced || open->rows >= options.open_rows_max ||
                        (open->filed_min && *open->filed_min + options.open_age_max <= now);
    if (!is_due) return false;
  }
  const std::uint64_t segment = writer->segment();
  if (const Status cut = writer->cut(); !cut.ok()) {
    failures.add();
    log.error("The log of kept traces cannot be cut", {{"err", cut.message()}});
    return false;
  }
  const MutexLock lock(mutex);
  open->log_segment_max = segment;
  sealing = std::exchange(open, std::make_shared<OpenBlock>());
  return true;
}

Status TraceStore::Impl::write_sealing() {
  std::shared_ptr<OpenBlock> block;
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex);
    block = sealing;
    number = next_sequence();
  }
  TRY(encode_tail(*block, 1));
  // Nobody adds to it any more, and only this thread encodes: it is read without the lock.
  const std::unique_ptr<TraceBlockWriter> out =
      TRY(TraceBlockWriter::create(files, blocks_directory(), number));
  for (const auto& group : block->part.groups) {
    TRY(out->add_group(group->encoded.bytes, group->encoded.info, group->ids));
  }
  const TraceBlockMeta wanted{.log_segment_max = block->log_segment_max,
                              .filed_min = block->filed_min.value_or(block->filed_max),
                              .filed_max = block->filed_max,
                              .late = {block->late.begin(), block->late.end()}};
  const std::string path = TRY(out->finish(wanted, *block->part.summary));
  std::shared_ptr<const TraceBlock> written = TRY(TraceBlock::open(files, path));
  {
    const MutexLock lock(mutex);
    auto next = std::make_shared<Blocks>(*blocks);
    next->push_back(std::move(written));
    blocks = std::move(next);
    sealing.reset();
  }
  blocks_written.add();
  return remove_kept_segments(files, log_directory(), block->log_segment_max);
}

Status TraceStore::Impl::merge_blocks() {
  std::shared_ptr<const Blocks> current;
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex);
    current = blocks;
    number = sequence + 1;
  }
  const std::vector<std::size_t> chosen =
      blocks_to_merge(*current, {.count = options.merge_count,
                                 .bytes_max = options.block_bytes_max,
                                 .left_alone = unmergeable});
  if (chosen.empty()) return {};
  Blocks sources;
  for (const std::size_t i : chosen) sources.push_back((*current)[i]);
  {
    const MutexLock lock(mutex);
    sequence = std::max(sequence, number);
  }
  Result<std::shared_ptr<const TraceBlock>> outcome =
      merge_trace_blocks(files, blocks_directory(), number, sources, options.group_rows);
  if (!outcome.ok()) {
    // Damage does not go away; what can be read of these blocks is served as it is.
    if (outcome.status().code() == Code::kCorruption) {
      for (const auto& block : sources) unmergeable.insert(block->meta().sequence);
    }
    return std::move(outcome).status();
  }
  const std::shared_ptr<const TraceBlock> merged = std::move(*outcome);
  {
    const MutexLock lock(mutex);
    auto next = std::make_shared<Blocks>();
    for (const auto& block : *blocks) {
      const bool is_first = block == sources.front();
      const bool is_source = std::find(sources.begin(), sources.end(), block) != sources.end();
      if (is_first) next->push_back(merged);
      if (!is_source) next->push_back(block);
    }
    blocks = std::move(next);
  }
  blocks_merged.add(sources.size());
  for (const auto& block : sources) TRY(files.remove_file(block->path()));
  return {};
}

void TraceStore::Impl::remove_block(const std::shared_ptr<const TraceBlock>& block,
                                    std::string_view why) {
  {
    const MutexLock lock(mutex);
    auto next = std::make_shared<Blocks>(*blocks);
    std::erase(*next, block);
    blocks = std::move(next);
    collect_late();
  }
  blocks_removed.add();
  log.info("A block of traces is removed", {{"file", block->path()}, {"reason", why}});
  const Status removed = files.remove_file(block->path());
  if (!removed.ok()) {
    failures.add();
    log.error("A block of traces cannot be removed", {{"err", removed.message()}});
  }
}

void TraceStore::Impl::remove_expired(Timestamp now) {
  std::shared_ptr<const Blocks> current;
  {
    const MutexLock lock(mutex);
    current = blocks;
  }
  std::uint64_t bytes = 0;
  for (const auto& block : *current) bytes += block->size();
  for (const auto& block : *current) {
    const bool is_old =
        options.retention.ms > 0 && block->meta().filed_max < now - options.retention;
    const bool is_too_much = options.max_bytes > 0 && bytes > options.max_bytes;
    if (!is_old && !is_too_much) continue;
    bytes -= block->size();
    remove_block(block, is_old ? "age" : "size");
  }
}

Timestamp TraceStore::run_due(Timestamp now) {
  Impl& impl = *impl_;
  if (now < impl.retry_at) return impl.retry_at;
  const auto step = [&](const char* what, Status status) {
    if (status.ok()) return true;
    impl.failures.add();
    impl.log.error(what, {{"err", status.message()}});
    impl.retry_at = now + kRetry;
    return false;
  };
  std::shared_ptr<OpenBlock> open;
  {
    const MutexLock lock(impl.mutex);
    open = impl.open;
  }
  if (!step("Kept traces cannot be encoded", impl.encode_tail(*open, impl.options.group_rows))) {
    return impl.retry_at;
  }
  if (impl.begin_sealing(now, false) &&
      !step("A block of traces cannot be written", impl.write_sealing())) {
    return impl.retry_at;
  }
  impl.remove_expired(now);
  if (!step("Blocks of traces cannot be merged", impl.merge_blocks())) return impl.retry_at;
  return now + kIdle;
}

Status TraceStore::flush(Timestamp now) {
  return impl_->begin_sealing(now, true) ? impl_->write_sealing() : Status();
}

Status TraceStore::close() { return sync(); }

std::shared_ptr<const StoreSnapshot> TraceStore::snapshot() const {
  auto out = std::make_shared<StoreSnapshot>();
  const MutexLock lock(impl_->mutex);
  if (impl_->sealing != nullptr) out->open.push_back(impl_->sealing->part);
  out->open.push_back(impl_->open->part);
  out->blocks = *impl_->blocks;
  if (impl_->late_copy == nullptr) {
    impl_->late_copy = std::make_shared<const std::set<TraceId>>(impl_->late);
  }
  out->late = impl_->late_copy;
  return out;
}

void TraceStore::collect(MetricWriter& out) const {
  const Impl& impl = *impl_;
  std::uint64_t bytes = 0;
  std::uint64_t rows = 0;
  std::size_t block_count = 0;
  std::uint64_t open_rows = 0;
  {
    const MutexLock lock(impl.mutex);
    for (const auto& block : *impl.blocks) {
      bytes += block->size();
      rows += block->meta().row_count;
    }
    block_count = impl.blocks->size();
    open_rows = impl.open->rows + (impl.sealing != nullptr ? impl.sealing->rows : 0);
  }
  const auto counter = [&](const char* name, const char* help, const Counter& value) {
    out.counter(name, help, static_cast<double>(value.value()));
  };
  const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
    out.gauge(name, help, static_cast<double>(value));
  };
  counter("tarsier_trace_store_kept_spans_total", "Spans taken over for storing.", impl.kept_spans);
  counter("tarsier_trace_store_kept_traces_total", "Traces, or late parts of them, taken over.",
          impl.kept_traces);
  counter("tarsier_trace_store_late_parts_total", "Parts of traces that were stored already.",
          impl.late_fragments);
  gauge("tarsier_trace_store_blocks", "Blocks of traces on disk.", block_count);
  gauge("tarsier_trace_store_block_bytes", "Bytes of all blocks of traces.", bytes);
  gauge("tarsier_trace_store_block_spans", "Spans in all blocks of traces.", rows);
  gauge("tarsier_trace_store_open_spans", "Spans in no block yet.", open_rows);
  counter("tarsier_trace_store_blocks_written_total", "Blocks written.", impl.blocks_written);
  counter("tarsier_trace_store_blocks_merged_total", "Blocks merged into others.",
          impl.blocks_merged);
  counter("tarsier_trace_store_blocks_removed_total", "Blocks removed by retention.",
          impl.blocks_removed);
  counter("tarsier_trace_store_blocks_damaged_total", "Blocks set aside as damaged.",
          impl.blocks_damaged);
  counter("tarsier_trace_store_log_lost_bytes_total", "Bytes of the log lost to damage.",
          impl.log_bytes_lost);
  counter("tarsier_trace_store_failures_total", "Failed writes, merges and removals.",
          impl.failures);
}

}  // namespace tarsier::tracing
