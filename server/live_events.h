#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "alerting/rule_status.h"
#include "base/http.h"
#include "base/mutex.h"
#include "base/time.h"
#include "ingest/scrape_manager.h"
#include "server/event_subscribers.h"

namespace tarsier::server {

class Router;

/// What somebody who watches wants to know at once.
struct LiveSummary {
  std::size_t alerts_firing = 0;
  std::size_t alerts_pending = 0;
  std::uint64_t alerts_version = 0;  ///< Another one when any alert is another.
  std::size_t targets_up = 0;
  std::size_t targets_down = 0;
  bool operator==(const LiveSummary&) const = default;
};
LiveSummary live_summary(const std::vector<alerting::RuleGroupStatus>& rules,
                         const std::vector<ingest::PoolSnapshot>& targets);

/// /api/tarsier/v1/events: the summary as server-sent events, at the beginning and whenever it
/// changes. Costs nothing while nobody listens. Any number of threads; `run_due` is for a
/// scheduler.
class LiveEvents final {
 public:
  /// How long a change may take to be told.
  static constexpr Duration kInterval = seconds(2);

  explicit LiveEvents(std::size_t listeners_max) : subscribers_(listeners_max) {}

  /// From now on there is something to tell.
  void begin(std::function<LiveSummary()> summary);
  HttpResponse live();
  Timestamp run_due(Timestamp now);
  void close() { subscribers_.close(); }

 private:
  static std::string json_of(const LiveSummary& summary);

  EventSubscribers subscribers_;
  Mutex mutex_;
  std::function<LiveSummary()> summary_ GUARDED_BY(mutex_);
  LiveSummary told_ GUARDED_BY(mutex_);
};

/// `events` must outlive the router's last request.
void add_event_routes(Router& router, LiveEvents& events);

}  // namespace tarsier::server
