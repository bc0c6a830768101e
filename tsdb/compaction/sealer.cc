#include "tsdb/compaction/sealer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include <fmt/format.h>

#include "tsdb/block/block_export.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/compaction/compactor.h"

namespace tarsier::tsdb {
namespace {

/// Where blocks lie that are folded; its suffix has it removed at the next start.
constexpr std::string_view kFoldDirectory = "fold.tmp-for-creation";
/// Sealing takes this many block ranges at once: what the planner compacts them to.
constexpr std::int64_t kRangesPerWindow = 9;
constexpr std::int64_t kLadderFactor = 3;
/// A share of the retention: a block goes as a whole, and so late by up to its length.
constexpr std::int64_t kRetentionParts = 5;
constexpr Duration kRangeMax = days(31);

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

/// Whether trying again with the same inputs would end the same way.
bool is_fault_of_inputs(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kInvalid ||
         status.code() == Code::kNotFound;
}

/// [begin, end)
struct Span {
  Timestamp begin;
  Timestamp end;
  bool overlaps(Span other) const { return begin < other.end && other.begin < end; }
};
Span span_of(const BlockMeta& meta) { return {meta.min_time, meta.max_time}; }

/// Whether it has out-of-order samples of a time the head has still to cut. Merged with others it
/// loses the hint, and the next start would take the log of that time for old.
bool waits_for_head(const BlockMeta& meta, Timestamp complete_until) {
  return meta.has_hint(kHintOutOfOrder) && meta.max_time > complete_until;
}
/// Whether a start reads the log from its end.
bool holds_horizon(const BlockMeta& meta, Timestamp complete_until) {
  return meta.is_complete() && meta.max_time >= complete_until;
}

/// The aligned window of that length in which `begin` lies.
Span window_of(Timestamp begin, Duration length) {
  std::int64_t number = begin.ms / length.ms;
  if (begin.ms % length.ms < 0) --number;
  const Timestamp start{number * length.ms};
  return {start, start + length};
}

std::string names_of(const std::vector<Ulid>& ulids) {
  std::string names;
  for (const Ulid& ulid : ulids) names += (names.empty() ? "" : ",") + ulid.to_string();
  return names;
}
template <typename Blocks>
std::vector<Ulid> ulids_of(const Blocks& blocks) {
  std::vector<Ulid> ulids;
  for (const auto& block : blocks) ulids.push_back(block->meta().ulid);
  return ulids;
}

}  // namespace

/// A source of a sealed block.
struct Sealer::Part {
  std::shared_ptr<const SealedBlock> block;
  std::size_t source = 0;
  const BlockMeta& meta() const { return block->meta().sources[source].meta; }
};

/// What is brought together and sealed anew.
struct Sealer::Fold {
  BlockList blocks;            // Interchange blocks that overlap ...
  std::vector<Part> affected;  // ... these parts of sealed blocks; or of which much is deleted.
  std::vector<Part> others;    // The other parts of the same sealed blocks.
  SealedBlockList replaced;
  bool empty() const { return affected.empty(); }
};

Sealer::Sealer(FileSystem& files, std::string data_directory, const Options& options,
               BlockSet& blocks, SealedSet& sealed, Logger& log)
    : files_(files),
      data_directory_(std::move(data_directory)),
      seal_after_(options.seal_after),
      window_{options.block_range.ms * kRangesPerWindow},
      range_max_(options.retention > Duration{}
                     ? std::min(kRangeMax, Duration{options.retention.ms / kRetentionParts})
                     : kRangeMax),
      segment_bytes_max_(options.chunk_segment_bytes),
      reserve_bytes_(2 * options.wal_segment_bytes),
      blocks_(blocks),
      sealed_(sealed),
      log_(log) {}

Timestamp Sealer::complete_until() const {
  return std::max(blocks_.complete_until(), sealed_.complete_until());
}

Status Sealer::drop_contained() {
  TRY(sealed_.reload());
  const auto list = blocks_.blocks();
  for (const auto& block : *list) {
    if (!sealed_.has_source(block->meta().ulid)) continue;
    TRY(blocks_.remove(block->meta().ulid));
    log_.info("Block deleted: it is sealed", {{"ulid", block->meta().ulid.to_string()}});
  }
  return {};
}

/// The blocks of the oldest window that is due. One block that overlaps another waits: those are
/// compacted first.
BlockList Sealer::plan_sealing(Timestamp horizon, Scope scope) const {
  const auto list = blocks_.blocks();
  const auto is_apart = [&](const auto& block) {
    return std::none_of(list->begin(), list->end(), [&](const auto& other) {
      return other != block && span_of(other->meta()).overlaps(span_of(block->meta()));
    });
  };
  const Timestamp until = complete_until();
  std::map<Timestamp, BlockList> windows;
  std::set<Timestamp> incomplete;
  for (const auto& block : *list) {
    const Span span = span_of(block->meta());
    if (waits_for_upload(*block)) {
      incomplete.insert(window_of(span.begin, window_).begin);
      continue;
    }
    if (is_left_alone(block->meta().ulid) || !is_apart(block)) continue;
    if (waits_for_head(block->meta(), until)) continue;
    if (scope == Scope::kDue && span.end > horizon) continue;
    const Span window = window_of(span.begin, window_);
    const bool is_inside = span.end <= window.end;
    if (scope == Scope::kDue && is_inside && window.end > horizon) continue;
    if (!is_inside) return {block};
    windows[window.begin].push_back(block);
  }
  if (scope == Scope::kDue) {
    for (const Timestamp begin : incomplete) windows.erase(begin);
  }
  return windows.empty() ? BlockList() : windows.begin()->second;
}

/// The sealed blocks of the shortest window that holds several.
SealedBlockList Sealer::plan_merging(Timestamp horizon, Scope scope) const {
  const auto list = sealed_.blocks();
  for (Duration length{window_.ms * kLadderFactor}; length <= range_max_;
       length = Duration{length.ms * kLadderFactor}) {
    std::map<Timestamp, SealedBlockList> windows;
    for (const auto& block : *list) {
      const Span window = window_of(block->meta().min_time, length);
      if (block->meta().max_time > window.end || is_left_alone(block->meta().ulid)) continue;
      if (scope == Scope::kDue && window.end > horizon) continue;
      windows[window.begin].push_back(block);
    }
    for (const auto& [begin, blocks] : windows) {
      if (blocks.size() > 1) return blocks;
    }
  }
  return {};
}

Sealer::Fold Sealer::plan_folding(Timestamp horizon, Scope scope) const {
  Fold fold;
  const Timestamp until = complete_until();
  BlockList list = *blocks_.blocks();
  std::erase_if(list, [&](const auto& block) {
    return waits_for_head(block->meta(), until) || waits_for_upload(*block);
  });
  const auto sealed = sealed_.blocks();
  std::vector<Part> parts;
  std::optional<Span> reach;
  const auto extend = [&](Span span) {
    reach = reach ? Span{std::min(reach->begin, span.begin), std::max(reach->end, span.end)} : span;
  };
  for (const auto& block : *sealed) {
    for (std::size_t i = 0; i < block->meta().sources.size(); ++i) parts.push_back({block, i});
  }
  for (const auto& block : list) {
    const Span span = span_of(block->meta());
    if (reach || is_left_alone(block->meta().ulid)) continue;
    if (scope == Scope::kDue && span.end > horizon) continue;
    const bool overlaps = std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
      return span_of(part.meta()).overlaps(span);
    });
    if (overlaps) extend(span);
  }
  for (const auto& block : *sealed) {
    // Rewriting pays when much is deleted, as for other blocks.
    const std::size_t deleted = block->tombstones().range_count();
    const bool is_much =
        scope == Scope::kEverything ? deleted > 0 : deleted * 20 > block->meta().series_count;
    if (reach || !is_much || is_left_alone(block->meta().ulid)) continue;
    extend({block->meta().min_time, block->meta().max_time});
  }
  if (!reach) return fold;
  for (bool grows = true; grows;) {  // Whatever reaches over an end moves it.
    const Span before = *reach;
    for (const Part& part : parts) {
      if (span_of(part.meta()).overlaps(*reach)) extend(span_of(part.meta()));
    }
    for (const auto& block : list) {
      if (span_of(block->meta()).overlaps(*reach)) extend(span_of(block->meta()));
    }
    grows = before.begin != reach->begin || before.end != reach->end;
  }
  for (const auto& block : list) {
    if (span_of(block->meta()).overlaps(*reach)) fold.blocks.push_back(block);
  }
  for (const auto& block : *sealed) {
    if (Span{block->meta().min_time, block->meta().max_time}.overlaps(*reach)) {
      fold.replaced.push_back(block);
    }
  }
  for (const Part& part : parts) {
    if (std::find(fold.replaced.begin(), fold.replaced.end(), part.block) == fold.replaced.end()) {
      continue;
    }
    (span_of(part.meta()).overlaps(*reach) ? fold.affected : fold.others).push_back(part);
  }
  const auto waits = [&](const auto& input) {
    return waits_for_head(input.meta(), until) ||
           (held_horizon_ == until && holds_horizon(input.meta(), until));
  };
  const bool is_waiting = std::any_of(fold.affected.begin(), fold.affected.end(), waits) ||
                          std::any_of(fold.blocks.begin(), fold.blocks.end(),
                                      [&](const auto& block) { return waits(*block); });
  return is_waiting ? Fold() : fold;
}

/// A log that cannot be written stops everything.
Status Sealer::check_room(std::uint64_t input_bytes) const {
  const std::uint64_t free = TRY(files_.free_bytes(data_directory_));
  if (free >= input_bytes + reserve_bytes_) return {};
  return limit_exceeded(
      fmt::format("{} bytes are free, sealing may need {}", free, input_bytes + reserve_bytes_));
}

/// Seals and serves.
Status Sealer::take(SealRequest request, const std::vector<std::unique_ptr<ChunkSource>>& sources) {
  request.progress = progress_;
  auto block = TRY(seal_blocks(files_, request, sources, &cancel_));
  const SealedMeta meta = block->meta();
  const std::uint64_t bytes = block->size_bytes();
  TRY(sealed_.add(std::move(block)));
  metrics_.samples.add(meta.sample_count);
  log_.info("Blocks sealed", {{"ulid", meta.ulid.to_string()},
                              {"sources", std::to_string(meta.sources.size())},
                              {"min_time", std::to_string(meta.min_time.ms)},
                              {"max_time", std::to_string(meta.max_time.ms)},
                              {"series", std::to_string(meta.series_count)},
                              {"samples", std::to_string(meta.sample_count)},
                              {"bytes", std::to_string(bytes)}});
  return {};
}

Status Sealer::seal(const BlockList& inputs, const Ulid& ulid, ColumnProfile profile) {
  std::uint64_t bytes = 0;
  for (const auto& block : inputs) bytes += block->size_bytes();
  TRY(check_room(bytes));
  std::vector<std::unique_ptr<ChunkSource>> sources;
  for (const auto& block : inputs) {
    const std::string directory = join_path(data_directory_, block->meta().ulid.to_string());
    sources.push_back(TRY(make_block_chunk_source(files_, directory, block)));
  }
  TRY(take({sealed_.directory(), ulid, {}, profile}, sources));
  return drop_contained();
}

Status Sealer::merge(const SealedBlockList& inputs, const Ulid& ulid) {
  std::uint64_t bytes = 0;
  std::vector<std::unique_ptr<ChunkSource>> sources;
  for (const auto& block : inputs) {
    bytes += block->size_bytes();
    for (std::size_t i = 0; i < block->meta().sources.size(); ++i) {
      sources.push_back(TRY(
          make_sealed_chunk_source(files_, sealed_.directory_of(block->meta().ulid), block, i)));
    }
  }
  TRY(check_room(bytes));
  return take({sealed_.directory(), ulid, ulids_of(inputs), ColumnProfile::kSmallest}, sources);
}

/// The affected parts come back as blocks, are compacted with what is new, and the result takes
/// their place.
Status Sealer::fold(const Fold& fold, const std::function<Ulid()>& next_ulid) {
  std::uint64_t bytes = 0;
  for (const auto& block : fold.blocks) bytes += block->size_bytes();
  for (const auto& block : fold.replaced) bytes += 4 * block->size_bytes();
  TRY(check_room(bytes));
  const std::string workshop = join_path(sealed_.directory(), kFoldDirectory);
  TRY(files_.remove_all(workshop));
  TRY(files_.create_directories(workshop));
  BlockList inputs;
  for (const Part& part : fold.affected) {
    const auto source = TRY(make_sealed_chunk_source(
        files_, sealed_.directory_of(part.block->meta().ulid), part.block, part.source));
    TRY(export_block(files_, *source, part.block->meta().sources[part.source].segment_bytes_max,
                     workshop));
    inputs.push_back(TRY(Block::open(files_, join_path(workshop, part.meta().ulid.to_string()))));
  }
  inputs.insert(inputs.end(), fold.blocks.begin(), fold.blocks.end());
  std::sort(inputs.begin(), inputs.end(), [](const auto& a, const auto& b) {
    return std::pair(a->meta().min_time, a->meta().ulid) <
           std::pair(b->meta().min_time, b->meta().ulid);
  });
  const Timestamp until = complete_until();
  const bool is_horizon = std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) {
    return holds_horizon(input->meta(), until);
  });
  const Ulid folded = next_ulid();
  const auto meta =
      TRY(compact_blocks(files_, workshop, inputs, folded, segment_bytes_max_, &cancel_));
  if (is_horizon && !(meta && holds_horizon(*meta, until))) {
    held_horizon_ = until;
    TRY(files_.remove_all(workshop));
    return unavailable("the newest block is needed to know where the log begins");
  }
  std::vector<std::unique_ptr<ChunkSource>> sources;
  for (const Part& part : fold.others) {
    sources.push_back(TRY(make_sealed_chunk_source(
        files_, sealed_.directory_of(part.block->meta().ulid), part.block, part.source)));
  }
  if (meta) {
    const std::string directory = join_path(workshop, folded.to_string());
    auto block = TRY(Block::open(files_, directory));
    sources.push_back(TRY(make_block_chunk_source(files_, directory, std::move(block))));
  }
  std::sort(sources.begin(), sources.end(),
            [](const auto& a, const auto& b) { return a->meta().min_time < b->meta().min_time; });
  if (!sources.empty()) {
    TRY(take({sealed_.directory(), next_ulid(), ulids_of(fold.replaced), ColumnProfile::kSmallest},
             sources));
  } else {
    for (const auto& block : fold.replaced) TRY(sealed_.remove(block->meta().ulid));
  }
  for (const auto& block : fold.blocks) TRY(blocks_.remove(block->meta().ulid));
  return files_.remove_all(workshop);
}

Sealer::Outcome Sealer::finish(Timestamp now, const Status& status,
                               const std::vector<Ulid>& inputs) {
  if (status.ok()) {
    backoff_.succeed();
    metrics_.runs.add();
    return Outcome::kDone;
  }
  if (status.code() == Code::kCancelled) return Outcome::kCancelled;
  metrics_.failed.add();
  log_.error("Sealing failed; the blocks stay as they are",
             {{"ulids", names_of(inputs)}, {"error", status.message()}});
  if (is_fault_of_inputs(status)) {
    metrics_.left_alone.add(inputs.size());
    left_alone_.insert(inputs.begin(), inputs.end());
  } else {
    backoff_.fail(now);
  }
  return Outcome::kFailed;
}

Sealer::Outcome Sealer::run_due(Timestamp now, Timestamp newest, Scope scope,
                                const std::function<Ulid()>& next_ulid) {
  if (cancel_.is_cancelled()) return Outcome::kCancelled;
  if (scope == Scope::kDue && !backoff_.is_due(now)) return Outcome::kNothingDue;
  if (const Status status = drop_contained(); !status.ok()) return finish(now, status, {});
  if (scope == Scope::kDue && seal_after_ == kSealNever) return Outcome::kNothingDue;
  const Timestamp horizon = std::min(now, newest) - seal_after_;
  const double start = seconds_now();
  const auto done = [&](const Status& status, std::vector<Ulid> inputs) {
    metrics_.seconds.observe(seconds_now() - start);
    return finish(now, status, inputs);
  };
  if (const Fold folding = plan_folding(horizon, scope); !folding.empty()) {
    std::vector<Ulid> inputs = ulids_of(folding.blocks);
    if (inputs.empty()) inputs = ulids_of(folding.replaced);
    const Status status = fold(folding, next_ulid);
    // It is not planned again before the head is cut; there may be other work.
    if (is_held(status)) return Outcome::kDone;
    return done(status, inputs);
  }
  if (const BlockList inputs = plan_sealing(horizon, scope); !inputs.empty()) {
    const auto profile = scope == Scope::kDue ? ColumnProfile::kPacked : ColumnProfile::kSmallest;
    const Status status = seal(inputs, next_ulid(), profile);
    // One that cannot be sealed must not keep the others of its window from it.
    if (inputs.size() > 1 && is_fault_of_inputs(status)) {
      for (const auto& input : inputs) {
        const Status alone = seal({input}, next_ulid(), profile);
        if (!alone.ok()) finish(now, alone, {input->meta().ulid});
      }
      return Outcome::kDone;
    }
    return done(status, ulids_of(inputs));
  }
  if (const SealedBlockList inputs = plan_merging(horizon, scope); !inputs.empty()) {
    return done(merge(inputs, next_ulid()), ulids_of(inputs));
  }
  return Outcome::kNothingDue;
}

Status Sealer::clean_tombstones(const std::function<Ulid()>& next_ulid) {
  for (;;) {
    const Fold folding = plan_folding(kMinTimestamp, Scope::kEverything);
    if (folding.empty()) return {};
    const Status status = fold(folding, next_ulid);
    if (!is_held(status)) TRY(status);
  }
}

void Sealer::collect(MetricWriter& out) const {
  out.counter("tarsier_tsdb_seals_total", "Sealed blocks written.",
              static_cast<double>(metrics_.runs.value()));
  out.counter("tarsier_tsdb_seals_failed_total", "Attempts to seal that failed.",
              static_cast<double>(metrics_.failed.value()));
  out.counter("tarsier_tsdb_seal_blocks_left_alone_total",
              "Blocks that do not come back from a seal to the byte and stay as they are.",
              static_cast<double>(metrics_.left_alone.value()));
  out.counter("tarsier_tsdb_sealed_samples_total", "Samples written into sealed blocks.",
              static_cast<double>(metrics_.samples.value()));
  out.histogram("tarsier_tsdb_seal_duration_seconds", "How long sealing took.", metrics_.seconds);
  const auto list = sealed_.blocks();
  std::uint64_t samples = 0;
  for (const auto& block : *list) samples += block->meta().sample_count;
  out.gauge("tarsier_tsdb_sealed_blocks", "Sealed blocks.", static_cast<double>(list->size()));
  out.gauge("tarsier_tsdb_sealed_bytes", "What sealed blocks take on disk.",
            static_cast<double>(sealed_.size_bytes()));
  out.gauge("tarsier_tsdb_sealed_samples", "Samples in sealed blocks.",
            static_cast<double>(samples));
}

}  // namespace tarsier::tsdb
