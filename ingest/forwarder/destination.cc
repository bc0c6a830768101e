#include "ingest/forwarder/destination.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/compression.h"

namespace tarsier::ingest {
namespace {

constexpr Duration kPollInterval = milliseconds(200);
/// How much may be sent twice after a crash; each store costs two syncs.
constexpr Duration kStoreInterval = milliseconds(250);
constexpr Duration kAdjustInterval = seconds(10);
constexpr std::size_t kSamplesPerRead = 2000;
/// Of one call: the thread is shared with other destinations.
constexpr int kReadsPerRound = 20;
/// About, for a metric.
constexpr double kSegmentBytes = 128.0 * 1024 * 1024;

}  // namespace

ForwardDestination::ForwardDestination(ForwardConfig config, tsdb::Labels external_labels,
                                       std::unique_ptr<tsdb::WalFollower> follower,
                                       const ForwardDoor& door)
    : config_(std::move(config)),
      http_(std::make_shared<const HttpClientConfig>(config_.http)),
      external_labels_(std::move(external_labels)),
      door_(door),
      log_(door.log, config_.url),
      follower_(std::move(follower)),
      replay_end_(follower_->log_end()),
      wanted_shards_(config_.queue.min_shards),
      reached_(follower_->position()),
      stored_(reached_) {
  answers_->wake = door_.wake;
}

ForwardDestination::~ForwardDestination() = default;

bool ForwardDestination::is_idle() const {
  return metadata_in_flight_ == 0 &&
         std::none_of(shards_.begin(), shards_.end(),
                      [](const auto& shard) { return shard->is_sending(); });
}

Timestamp ForwardDestination::run_due(Timestamp now) {
  take_answers(now);
  Timestamp next = now + kPollInterval;
  if (is_retired_) return next;
  if (adjust_due_ <= now) adjust_shards(now);
  if (shards_.empty()) {
    for (std::size_t i = 0; i < wanted_shards_; ++i) {
      shards_.push_back(std::make_unique<ForwardShard>(config_, http_, metrics_, log_));
    }
  }
  // Samples of a series must stay in order: another number of shards waits until all is sent.
  const bool is_changing = shards_.size() != wanted_shards_;
  if (is_changing && std::all_of(shards_.begin(), shards_.end(),
                                 [](const auto& shard) { return shard->size() == 0; })) {
    shards_.clear();
    return now;
  }
  if (!is_changing && read_more(now)) next = now;
  const auto done = [this](std::uint64_t read) { note_done(read); };
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    ForwardShard& shard = *shards_[i];
    if (std::optional<HttpFetch> request = shard.next_request(now, done)) {
      send(std::move(*request), i);
    }
    next = std::min(next, shard.due(now));
  }
  next = std::min(next, send_metadata(now));
  forget_finished_reads();
  if (store_due_ <= now && stored_ < reached_) {
    store_due_ = now + kStoreInterval;
    if (const Status stored = store_position(); !stored.ok()) {
      log_.cannot_store(now, stored.message());
    }
  }
  update_gauges();
  return next;
}

void ForwardDestination::take_answers(Timestamp now) {
  {
    const MutexLock lock(answers_->mutex);
    taken_.swap(answers_->waiting);
  }
  const auto done = [this](std::uint64_t read) { note_done(read); };
  for (const Answers::Answer& answer : taken_) {
    if (answer.shard != kMetadata) {
      shards_[answer.shard]->on_answer(answer.response, now, replayed_until_, done);
      continue;
    }
    const SendVerdict verdict = judge_answer(answer.response, config_, now);
    if (verdict.kind == SendVerdict::Kind::kDone) {
      metrics_.metadata.add(metadata_in_flight_);
      metrics_.metadata_bytes.add(metadata_bytes_in_flight_);
    } else {
      metrics_.metadata_failed.add(metadata_in_flight_);
      metadata_left_.clear();  // The next interval sends it again.
    }
    metadata_in_flight_ = 0;
  }
  taken_.clear();
  forget_finished_reads();
}

void ForwardDestination::send(HttpFetch fetch, std::size_t shard) {
  door_.client.fetch(std::move(fetch), [answers = answers_, shard](Result<HttpResponse> response) {
    {
      const MutexLock lock(answers->mutex);
      answers->waiting.push_back({shard, std::move(response)});
    }
    if (answers->wake) answers->wake();
  });
}

bool ForwardDestination::has_room() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [this](const auto& shard) { return shard->size() < config_.queue.capacity; });
}

/// Whether there is more that could be read at once.
bool ForwardDestination::read_more(Timestamp now) {
  for (int i = 0; i < kReadsPerRound; ++i) {
    if (!has_room()) {
      metrics_.enqueue_retries.add();
      was_behind_ = true;
      return false;
    }
    const Status read = follower_->read(kSamplesPerRead, batch_);
    if (!read.ok()) {
      metrics_.read_errors.add();
      log_.cannot_read(now, read.message());
      return false;
    }
    if (batch_.empty() && batch_.end == reached_) return false;
    distribute(batch_, now);
    if (follower_->position() >= follower_->log_end()) return false;
  }
  return true;
}

void ForwardDestination::meet(const tsdb::FollowedSeries& series) {
  tsdb::LabelsBuilder labels(series.labels);
  for (const tsdb::LabelView& label : external_labels_) {
    if (labels.get(label.name).empty()) labels.set(label.name, label.value);
  }
  std::unique_ptr<ForwardSeries>& out = series_[series.ref.value];
  if (!apply_relabel_rules(config_.write_relabel_rules, labels)) return;
  auto made = std::make_unique<ForwardSeries>();
  made->labels = labels.build();
  if (made->labels.empty()) return;
  if (config_.protocol == WriteProtocol::kVersion1) {
    made->wire_labels = encode_wire_labels(made->labels);
  } else {
    const auto found = metadata_by_name_.find(std::string(series.labels.get("__name__")));
    if (found != metadata_by_name_.end()) made->metadata = found->second;
  }
  out = std::move(made);
}

void ForwardDestination::distribute(tsdb::FollowedBatch& batch, Timestamp now) {
  const std::uint64_t read = first_read_ + reads_.size();
  if (follower_->position() <= replay_end_) replayed_until_ = read;
  reads_.push_back({batch.end, 0, std::move(batch.ended)});
  Read& current = reads_.back();
  for (const tsdb::FollowedSeries& series : batch.series) meet(series);
  Timestamp newest = kMinTimestamp;
  const auto add = [&](tsdb::SeriesRef ref, ForwardMetrics::Kind& kind, ForwardEntry entry) {
    const auto found = series_.find(ref.value);
    if (found == series_.end() || found->second == nullptr) {
      kind.dropped_relabelled.add();
      return;
    }
    entry.series = found->second.get();
    entry.read = read;
    newest = std::max(newest, entry.t);
    ++current.outstanding;
    shards_[ref.value % shards_.size()]->add(std::move(entry), now);
  };
  for (const tsdb::FollowedMetadata& one : batch.metadata) {
    const auto found = series_.find(one.ref.value);
    if (found != series_.end() && found->second) found->second->metadata = one.metadata;
  }
  for (const tsdb::FollowedSample& s : batch.samples) {
    ForwardEntry entry;
    entry.t = s.t;
    entry.v = s.v;
    add(s.ref, metrics_.samples, std::move(entry));
  }
  if (config_.send_native_histograms || config_.protocol == WriteProtocol::kVersion2) {
    for (tsdb::FollowedHistogram& h : batch.histograms) {
      ForwardEntry entry;
      entry.t = h.t;
      entry.histogram = std::make_unique<const tsdb::AnyHistogram>(std::move(h.histogram));
      add(h.ref, metrics_.histograms, std::move(entry));
    }
  }
  if (config_.send_exemplars) {
    for (tsdb::FollowedExemplar& e : batch.exemplars) {
      ForwardEntry entry;
      entry.t = e.exemplar.t;
      entry.exemplar = std::make_unique<const tsdb::Exemplar>(std::move(e.exemplar));
      add(e.ref, metrics_.exemplars, std::move(entry));
    }
  }
  if (newest > kMinTimestamp) {
    const double newest_seconds = static_cast<double>(newest.ms) * 1e-3;
    metrics_.highest_read_seconds.set(
        std::max(newest_seconds, metrics_.highest_read_seconds.value()));
  }
  metrics_.segments_lost.add(follower_->segments_lost() - lost_counted_);
  lost_counted_ = follower_->segments_lost();
  forget_finished_reads();
}

void ForwardDestination::note_done(std::uint64_t read) {
  CHECK(read >= first_read_ && read - first_read_ < reads_.size());
  --reads_[static_cast<std::size_t>(read - first_read_)].outstanding;
}

/// The position is what everything before was dealt with.
void ForwardDestination::forget_finished_reads() {
  while (!reads_.empty() && reads_.front().outstanding == 0) {
    reached_ = reads_.front().end;
    for (const tsdb::SeriesRef ref : reads_.front().ended) series_.erase(ref.value);
    reads_.pop_front();
    ++first_read_;
  }
}

Status ForwardDestination::store_position() {
  if (stored_ == reached_) return {};
  TRY(follower_->store(reached_));
  stored_ = reached_;
  return {};
}

Timestamp ForwardDestination::send_metadata(Timestamp now) {
  if (!config_.metadata.send && config_.protocol == WriteProtocol::kVersion1) return kNever;
  if (metadata_due_ <= now && metadata_left_.empty() && metadata_in_flight_ == 0) {
    metadata_due_ = now + config_.metadata.send_interval;
    std::vector<std::pair<std::string, tsdb::Metadata>> all = door_.metadata();
    if (config_.protocol == WriteProtocol::kVersion2) {
      // Goes with the samples: what series made from now on will need, and no more than that.
      metadata_by_name_.clear();
      for (auto& [name, one] : all) metadata_by_name_[name] = std::move(one);
      return metadata_due_;
    }
    metadata_left_ = std::move(all);
  }
  if (metadata_in_flight_ == 0 && !metadata_left_.empty()) {
    const std::size_t count = std::min<std::size_t>(
        metadata_left_.size(), std::max<std::uint64_t>(config_.metadata.max_samples_per_send, 1));
    const auto part = std::span(metadata_left_).last(count);
    std::string body;
    snappy_compress(as_bytes(encode_metadata_request(part)), body);
    metadata_left_.resize(metadata_left_.size() - count);
    metadata_in_flight_ = count;
    metadata_bytes_in_flight_ = body.size();
    send(make_write_request(config_, http_, std::move(body), 0), kMetadata);
  }
  return metadata_due_;
}

/// As many shards as were busy in the last interval, with room to spare; twice as many as long as
/// the log is ahead of us.
void ForwardDestination::adjust_shards(Timestamp now) {
  adjust_due_ = now + kAdjustInterval;
  Duration busy{0};
  for (const auto& shard : shards_) busy = busy + shard->take_busy(now);
  const Duration since = now - std::exchange(adjusted_at_, now);
  const bool is_behind = std::exchange(was_behind_, false);
  if (shards_.empty() || since.ms > 3 * kAdjustInterval.ms) return;
  const double needed =
      static_cast<double>(busy.ms) / static_cast<double>(std::max<std::int64_t>(since.ms, 1));
  const double desired = std::ceil(needed * (is_behind ? 2.0 : 1.3));
  metrics_.shards_desired.set(desired);
  const double current = static_cast<double>(shards_.size());
  // Small changes are not worth the pause.
  if (desired > 0.7 * current && desired < 1.3 * current) return;
  if (desired < current && is_behind) return;
  wanted_shards_ = std::clamp<std::size_t>(static_cast<std::size_t>(desired),
                                           config_.queue.min_shards, config_.queue.max_shards);
}

void ForwardDestination::update_gauges() {
  std::size_t pending = 0;
  for (const auto& shard : shards_) pending += shard->size();
  metrics_.pending.set(static_cast<double>(pending));
  metrics_.shards.set(static_cast<double>(shards_.size()));
  const tsdb::LogPosition end = follower_->log_end();
  const std::uint64_t segments = (end.value >> 32) - (reached_.value >> 32);
  const double offsets = static_cast<double>(end.value & 0xFFFFFFFF) -
                         static_cast<double>(reached_.value & 0xFFFFFFFF);
  metrics_.segment.set(static_cast<double>(follower_->position().value >> 32));
  metrics_.bytes_behind.set(std::max(0.0, static_cast<double>(segments) * kSegmentBytes + offsets));
}

}  // namespace tarsier::ingest
