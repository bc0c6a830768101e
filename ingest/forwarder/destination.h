#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/time.h"
#include "ingest/forward_config.h"
#include "ingest/forwarder.h"
#include "ingest/forwarder/forward_log.h"
#include "ingest/forwarder/forward_metrics.h"
#include "ingest/forwarder/shard.h"
#include "tsdb/wal_follower.h"

namespace tarsier::ingest {

/// One receiver: reads the log, relabels series, spreads samples over shards by series, and stores
/// as its position what every shard has dealt with. One thread; answers come on others.
class ForwardDestination final {
 public:
  ForwardDestination(ForwardConfig config, tsdb::Labels external_labels,
                     std::unique_ptr<tsdb::WalFollower> follower, const ForwardDoor& door);
  ~ForwardDestination();

  const ForwardConfig& config() const { return config_; }
  const tsdb::Labels& external_labels() const { return external_labels_; }
  Timestamp run_due(Timestamp now);
  /// Nothing new is sent from here on.
  void retire() { is_retired_ = true; }
  /// No request is on its way.
  bool is_idle() const;
  /// Stores the position reached.
  Status store_position();
  const ForwardMetrics& metrics() const { return metrics_; }

 private:
  /// What requests on their way lead back to; outlives the destination.
  struct Answers {
    struct Answer {
      std::size_t shard = 0;  ///< kMetadata: of metadata.
      Result<HttpResponse> response = unavailable("none");
    };
    Mutex mutex;
    std::vector<Answer> waiting GUARDED_BY(mutex);
    std::function<void()> wake;
  };
  static constexpr std::size_t kMetadata = SIZE_MAX;
  struct Read {
    tsdb::LogPosition end;
    std::uint64_t outstanding = 0;
    std::vector<tsdb::SeriesRef> ended;
  };

  void take_answers(Timestamp now);
  bool read_more(Timestamp now);
  bool has_room() const;
  void meet(const tsdb::FollowedSeries& series);
  void distribute(tsdb::FollowedBatch& batch, Timestamp now);
  void note_done(std::uint64_t read);
  void forget_finished_reads();
  void send(HttpFetch fetch, std::size_t shard);
  Timestamp send_metadata(Timestamp now);
  void adjust_shards(Timestamp now);
  void update_gauges();

  const ForwardConfig config_;
  const std::shared_ptr<const HttpClientConfig> http_;
  const tsdb::Labels external_labels_;
  const ForwardDoor& door_;
  ForwardLog log_;
  ForwardMetrics metrics_;
  std::unique_ptr<tsdb::WalFollower> follower_;
  tsdb::FollowedBatch batch_;
  const tsdb::LogPosition
      replay_end_;  // The log when we began: some of it may have been sent before.
  std::uint64_t replayed_until_ = 0;  // The last read before it.
  std::unordered_map<std::uint64_t, std::unique_ptr<ForwardSeries>> series_;  // Null: dropped.
  std::unordered_map<std::string, tsdb::Metadata> metadata_by_name_;  // Of series in memory.
  std::vector<std::unique_ptr<ForwardShard>> shards_;
  std::size_t wanted_shards_;
  std::deque<Read> reads_;
  std::uint64_t first_read_ = 1;  // Number of reads_.front().
  tsdb::LogPosition reached_;
  tsdb::LogPosition stored_;
  Timestamp store_due_;
  Timestamp adjust_due_;
  Timestamp adjusted_at_;
  bool was_behind_ = false;
  std::uint64_t lost_counted_ = 0;
  bool is_retired_ = false;

  Timestamp metadata_due_;
  std::vector<std::pair<std::string, tsdb::Metadata>> metadata_left_;
  std::size_t metadata_in_flight_ = 0;
  std::size_t metadata_bytes_in_flight_ = 0;

  std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
  std::vector<Answers::Answer> taken_;
};

}  // namespace tarsier::ingest
