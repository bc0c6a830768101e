#include "tsdb/head/replay_ahead.h"

#include <utility>

#include "base/check.h"
#include "tsdb/wal/commit_group.h"

namespace tarsier::tsdb {
namespace {

/// A batch is full when it has either.
constexpr std::size_t kBatchRecords = 64;
constexpr std::size_t kBatchSamples = 32'768;

Status decode(Bytes record, DecodedRecord& out) {
  out.type = record_type(record);
  switch (out.type) {
    case RecordType::kSeries: return decode_series(record, out.series);
    case RecordType::kSamples:
    case RecordType::kSamplesV2: return decode_samples(record, out.samples);
    case RecordType::kMetadata: return decode_metadata(record, out.metadata);
    case RecordType::kTombstones: return decode_tombstones(record, out.tombstones);
    case RecordType::kExemplars: return decode_exemplars(record, out.exemplars);
    default:
      return is_histogram_record(out.type) ? decode_histograms(record, out.histograms) : Status();
  }
}

}  // namespace

ReplayAhead::ReplayAhead(std::unique_ptr<LogReader> reader, ThreadPool* pool) {
  shared_->reader = std::move(reader);
  is_ahead_ = pool != nullptr && pool->try_submit([shared = shared_] { run(*shared); });
}

ReplayAhead::~ReplayAhead() = default;

void ReplayAhead::fill(Shared& shared, ReplayBatch& batch) {
  LogReader& reader = *shared.reader;
  batch.count = 0;
  batch.segment.reset();
  std::size_t sample_count = 0;
  Shared::Group& group = shared.group;
  // A group is never divided between batches.
  while (group.missing > 0 || (batch.count < kBatchRecords && sample_count < kBatchSamples)) {
    if (!reader.next()) {
      batch.is_last = true;
      if (!reader.damage() && !reader.status().ok()) {
        shared.outcome = reader.status();
        return;
      }
      shared.outcome = reader.damage();
      if (group.missing == 0) return;
      // Nobody was promised a commit of which something is missing.
      batch.count = group.begin;
      if (reader.damage()) group.if_unfinished.kind = reader.damage()->kind;
      shared.outcome = std::optional(group.if_unfinished);
      return;
    }
    if (const auto record_count = decode_commit_group(reader.record())) {
      group = {*record_count, batch.count, reader.segment(),
               reader.damage_in_record("a commit without its last records")};
      group.if_unfinished.kind = LogDamage::Kind::kTornTail;
      continue;
    }
    // One that goes on in another segment was left there by somebody who does not know groups.
    if (group.missing > 0 && reader.segment() != group.segment) group.missing = 0;
    if (group.missing > 0) --group.missing;
    if (batch.count == batch.records.size()) batch.records.emplace_back();
    DecodedRecord& record = batch.records[batch.count];
    if (const Status status = decode(reader.record(), record); !status.ok()) {
      batch.is_last = true;
      shared.outcome = std::optional(reader.damage_in_record(status.message()));
      return;
    }
    sample_count += record.samples.size();
    ++batch.count;
    if (!reader.in_checkpoint()) batch.segment = reader.segment();
  }
}

void ReplayAhead::run(Shared& shared) {
  for (std::size_t i = 0;; ++i) {
    {
      MutexLock lock(shared.mutex);
      while (i - shared.taken == kBatchesAhead) shared.changed.wait(shared.mutex);
    }
    ReplayBatch& batch = shared.ring[i % kBatchesAhead];
    fill(shared, batch);
    const bool is_last = batch.is_last;  // The caller's from here on.
    {
      MutexLock lock(shared.mutex);
      ++shared.filled;
    }
    shared.changed.notify_one();
    if (is_last) return;
  }
}

const ReplayBatch& ReplayAhead::next() {
  if (!is_ahead_) {
    CHECK(!shared_->ring[0].is_last);
    fill(*shared_, shared_->ring[0]);
    return shared_->ring[0];
  }
  std::size_t at = 0;
  {
    MutexLock lock(shared_->mutex);
    if (std::exchange(has_batch_, true)) ++shared_->taken;
    at = shared_->taken;
  }
  shared_->changed.notify_one();
  MutexLock lock(shared_->mutex);
  while (shared_->filled == at) shared_->changed.wait(shared_->mutex);
  return shared_->ring[at % kBatchesAhead];
}

}  // namespace tarsier::tsdb
