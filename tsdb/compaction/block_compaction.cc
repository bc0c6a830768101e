#include "tsdb/compaction/block_compaction.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "tsdb/compaction/compactor.h"
#include "tsdb/compaction/planner.h"

namespace tarsier::tsdb {
namespace {

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

bool has_block(const BlockSet& blocks, const Ulid& ulid) {
  const auto list = blocks.blocks();
  return std::any_of(list->begin(), list->end(),
                     [&](const auto& block) { return block->meta().ulid == ulid; });
}

/// Whether trying again with the same inputs would end the same way.
bool is_fault_of_inputs(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kInvalid;
}

bool overlap(const BlockList& blocks) {
  Timestamp end = kMinTimestamp;
  for (const auto& block : blocks) {
    if (block->meta().min_time < end) return true;
    end = std::max(end, block->meta().max_time);
  }
  return false;
}

std::string names_of(const BlockList& blocks) {
  std::string names;
  for (const auto& block : blocks) {
    if (!names.empty()) names += ',';
    names += block->meta().ulid.to_string();
  }
  return names;
}

}  // namespace

BlockCompaction::BlockCompaction(FileSystem& files, std::string data_directory,
                                 const Options& options, BlockSet& blocks, Logger& log)
    : files_(files),
      data_directory_(std::move(data_directory)),
      ranges_(compaction_ranges(options.block_range, options.block_range_max)),
      segment_bytes_max_(options.chunk_segment_bytes),
      reserve_bytes_(2 * options.wal_segment_bytes),
      blocks_(blocks),
      log_(log) {}

BlockList BlockCompaction::plan() const {
  const auto list = blocks_.blocks();
  std::vector<BlockMeta> metas;
  for (const auto& block : *list) {
    // Compacting around it would leave single blocks in between.
    if (waits_for_upload(*block)) break;
    metas.push_back(block->meta());
  }
  BlockList inputs;
  for (const Ulid& ulid : plan_compaction(std::move(metas), ranges_)) {
    inputs.push_back(*std::find_if(list->begin(), list->end(),
                                   [&](const auto& block) { return block->meta().ulid == ulid; }));
  }
  return inputs;
}

/// A compaction must not fill the disk: a log that cannot be written stops everything.
Status BlockCompaction::check_room(const BlockList& inputs) const {
  std::uint64_t needed = reserve_bytes_;
  for (const auto& input : inputs) needed += input->size_bytes();
  const std::uint64_t free = TRY(files_.free_bytes(data_directory_));
  if (free >= needed) return {};
  return limit_exceeded(fmt::format("{} bytes are free, compaction may need {}", free, needed));
}

Status BlockCompaction::compact(const BlockList& inputs, const Ulid& ulid) {
  TRY(check_room(inputs));
  metrics_.is_populating.store(true, std::memory_order_relaxed);
  auto written =
      compact_blocks(files_, data_directory_, inputs, ulid, segment_bytes_max_, &cancel_);
  metrics_.is_populating.store(false, std::memory_order_relaxed);
  const auto meta = TRY(std::move(written));
  if (!meta) {
    if (holds_horizon(inputs)) {
      return unavailable(
          "no sample is left, but the newest block is needed to know where the log begins");
    }
    // Marked first: should only some be gone when the power goes, the next start sees to the rest.
    for (const auto& input : inputs) {
      TRY(blocks_.mark(input->meta().ulid, BlockSet::Mark::kDeletable));
    }
    for (const auto& input : inputs) TRY(blocks_.remove(input->meta().ulid));
    log_.info("Blocks without samples deleted", {{"ulids", names_of(inputs)}});
    return {};
  }
  TRY(blocks_.reload());  // Opens the new block and drops its parents in one step.
  if (!has_block(blocks_, ulid)) return corruption("the block just written cannot be opened");
  log_.info("Blocks compacted", {{"ulid", ulid.to_string()},
                                 {"inputs", std::to_string(inputs.size())},
                                 {"min_time", std::to_string(meta->min_time.ms)},
                                 {"max_time", std::to_string(meta->max_time.ms)},
                                 {"series", std::to_string(meta->series_count)},
                                 {"samples", std::to_string(meta->sample_count)}});
  return {};
}

/// Whether the log would be read again from an earlier time if these blocks went.
bool BlockCompaction::holds_horizon(const BlockList& inputs) const {
  return std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) {
    return input->meta().is_complete() && input->meta().max_time >= blocks_.complete_until();
  });
}

Status BlockCompaction::clean_tombstones(const std::function<Ulid()>& next_ulid) {
  const double start = seconds_now();
  const auto list = blocks_.blocks();
  for (const auto& block : *list) {
    if (block->tombstones().empty() || waits_for_upload(*block)) continue;
    const Status status = compact({block}, next_ulid());
    if (status.ok() || status.code() == Code::kUnavailable) continue;
    return status;
  }
  metrics_.cleanup_seconds.observe(seconds_now() - start);
  return {};
}

void BlockCompaction::mark_failed(const BlockList& inputs) {
  for (const auto& input : inputs) {
    const Status status = blocks_.mark(input->meta().ulid, BlockSet::Mark::kCompactionFailed);
    if (!status.ok()) {
      log_.error("Marking a block as not to be compacted failed",
                 {{"ulid", input->meta().ulid.to_string()}, {"error", status.message()}});
    }
  }
}

BlockCompaction::Outcome BlockCompaction::run_due(Timestamp now, const Ulid& ulid) {
  if (cancel_.is_cancelled()) return Outcome::kCancelled;
  if (!backoff_.is_due(now)) return Outcome::kNothingDue;
  const BlockList inputs = plan();
  if (inputs.empty()) return Outcome::kNothingDue;
  const double start = seconds_now();
  const Status status = compact(inputs, ulid);
  if (status.ok()) {
    backoff_.succeed();
    metrics_.compactions.add();
    if (overlap(inputs)) metrics_.vertical.add();
    metrics_.seconds.observe(seconds_now() - start);
    return Outcome::kDone;
  }
  if (status.code() == Code::kCancelled) return Outcome::kCancelled;
  if (status.code() == Code::kUnavailable) {
    backoff_.fail(now);
    return Outcome::kNothingDue;
  }
  metrics_.failed.add();
  log_.error("Compacting blocks failed",
             {{"ulids", names_of(inputs)}, {"error", status.message()}});
  if (is_fault_of_inputs(status)) mark_failed(inputs);
  backoff_.fail(now);
  return Outcome::kFailed;
}

void BlockCompaction::note_first(const EncodedChunk& chunk) {
  metrics_.chunk_bytes.observe(static_cast<double>(chunk.chunk.data.size()));
  // Every encoding begins with the number of samples.
  metrics_.chunk_samples.observe(load_be<std::uint16_t>(chunk.chunk.data.data()));
  metrics_.chunk_range.observe(static_cast<double>((chunk.max_time - chunk.min_time).ms));
}

void BlockCompaction::collect(MetricWriter& out) const {
  out.counter("prometheus_tsdb_compactions_total",
              "Total number of compactions that were executed for the partition.",
              static_cast<double>(metrics_.compactions.value()));
  out.counter("prometheus_tsdb_compactions_failed_total",
              "Total number of compactions that failed for the partition.",
              static_cast<double>(metrics_.failed.value()));
  out.counter("prometheus_tsdb_vertical_compactions_total",
              "Total number of compactions done on overlapping blocks.",
              static_cast<double>(metrics_.vertical.value()));
  out.histogram("prometheus_tsdb_compaction_duration_seconds", "Duration of compaction runs",
                metrics_.seconds);
  out.histogram("prometheus_tsdb_compaction_chunk_size_bytes",
                "Final size of chunks on their first compaction", metrics_.chunk_bytes);
  out.histogram("prometheus_tsdb_compaction_chunk_samples",
                "Final number of samples on their first compaction", metrics_.chunk_samples);
  out.histogram("prometheus_tsdb_compaction_chunk_range_seconds",
                "Final time range of chunks on their first compaction", metrics_.chunk_range);
  out.gauge("prometheus_tsdb_compaction_populating_block",
            "Set to 1 when a block is currently being written to the disk.",
            metrics_.is_populating.load(std::memory_order_relaxed) ? 1 : 0);
  out.histogram("prometheus_tsdb_tombstone_cleanup_seconds",
                "The time taken to recompact blocks to remove tombstones.",
                metrics_.cleanup_seconds);
}

}  // namespace tarsier::tsdb
