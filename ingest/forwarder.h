#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "ingest/forward_config.h"
#include "tsdb/labels.h"
#include "tsdb/wal_follower.h"

namespace tarsier::ingest {

class ForwardDestination;

/// What the forwarder needs of others. The functions are for its thread, `newest` for any.
struct ForwardDoor {
  HttpClient& client;
  std::function<Result<std::unique_ptr<tsdb::WalFollower>>(tsdb::FollowerOptions)> follow;
  std::function<Result<std::vector<std::string>>()> stored_followers;
  std::function<Status(const std::string&)> forget_follower;
  /// Of the series in memory, by metric name.
  std::function<std::vector<std::pair<std::string, tsdb::Metadata>>()> metadata;
  std::function<Timestamp()> newest;  ///< Time of the newest sample; kMinTimestamp: none.
  std::function<void()> wake;         ///< Has run_due called soon. Any thread.
  Logger& log;
};

/// Remote write out: sends what was committed to the receivers of `remote_write`, by following the
/// log from a position that is stored. So a receiver that is down costs no memory, a restart goes
/// on where sending stopped (what was acknowledged just before a crash may be sent twice), and
/// nothing is lost while the log is kept (tsdb/wal_follower.h). A sample is given up only when its
/// receiver refuses it for good. Driven by one thread; `apply` hands over from any, `collect` is
/// for any.
class Forwarder final {
 public:
  explicit Forwarder(ForwardDoor door);
  ~Forwarder();

  /// What to send to whom from now on. A destination whose settings changed goes on where it was;
  /// one that is not named any more is forgotten.
  void apply(std::vector<ForwardConfig> configs, const tsdb::Labels& external_labels);
  Timestamp run_due(Timestamp now);
  /// Begins no request any more. Call run_due until is_idle; then positions are stored.
  void begin_stop();
  bool is_idle() const;
  void collect(MetricWriter& out) const;

 private:
  /// One destination, and what it is to become.
  struct Slot {
    std::shared_ptr<ForwardDestination> current;
    std::shared_ptr<const ForwardConfig> wanted;  ///< Null: none.
    tsdb::Labels external_labels;
    Timestamp retry_at{0};
  };
  struct Wanted {
    std::vector<ForwardConfig> configs;
    tsdb::Labels external_labels;
  };

  void take_wanted();
  void forget_strangers();
  Timestamp run_slot(const std::string& key, Slot& slot, Timestamp now);

  const ForwardDoor door_;
  std::map<std::string, Slot> slots_;
  bool is_stopping_ = false;
  /// Nothing is forgotten before it is known what is wanted.
  bool has_forgotten_ = true;
  mutable Mutex mutex_;
  std::unique_ptr<Wanted> wanted_ GUARDED_BY(mutex_);
  /// For collect.
  std::vector<std::pair<std::string, std::shared_ptr<ForwardDestination>>> published_
      GUARDED_BY(mutex_);
};

}  // namespace tarsier::ingest
