#include "server/live_events.h"

#include <utility>

#include "alerting/alert.h"
#include "base/json_writer.h"
#include "server/handlers.h"
#include "server/router.h"

namespace tarsier::server {

LiveSummary live_summary(const std::vector<alerting::RuleGroupStatus>& rules,
                         const std::vector<ingest::PoolSnapshot>& targets) {
  LiveSummary out;
  for (const alerting::RuleGroupStatus& group : rules) {
    for (const alerting::RuleStatus& rule : group.rules) {
      for (const alerting::AlertRecord& alert : rule.alerts) {
        const bool fires = alert.state == alerting::AlertState::kFiring;
        ++(fires ? out.alerts_firing : out.alerts_pending);
        // A sum, for the order of alerts says nothing.
        out.alerts_version += alerting::fingerprint_of(alert.labels).value * (fires ? 3 : 1);
      }
    }
  }
  for (const ingest::PoolSnapshot& pool : targets) {
    for (const ingest::ActiveTarget& target : pool.active) {
      const ingest::TargetHealth health = target.status.health;
      if (health == ingest::TargetHealth::kUp) ++out.targets_up;
      if (health == ingest::TargetHealth::kDown) ++out.targets_down;
    }
  }
  return out;
}

std::string LiveEvents::json_of(const LiveSummary& summary) {
  std::string text;
  JsonWriter json(text);
  json.begin_object()
      .field("alertsFiring", std::uint64_t{summary.alerts_firing})
      .field("alertsPending", std::uint64_t{summary.alerts_pending})
      .field("alertsVersion", std::to_string(summary.alerts_version))
      .field("targetsUp", std::uint64_t{summary.targets_up})
      .field("targetsDown", std::uint64_t{summary.targets_down})
      .end_object();
  return text;
}

void LiveEvents::begin(std::function<LiveSummary()> summary) {
  const MutexLock lock(mutex_);
  summary_ = std::move(summary);
}

HttpResponse LiveEvents::live() {
  std::string first;
  const MutexLock lock(mutex_);  // Until it listens: a change in between would be lost.
  if (summary_) {
    // What the others were told: they all hear of the next change together.
    if (subscribers_.is_empty()) told_ = summary_();
    first = EventSubscribers::event_of(json_of(told_));
  }
  return subscribers_.open(std::move(first));
}

Timestamp LiveEvents::run_due(Timestamp now) {
  const MutexLock lock(mutex_);
  if (summary_ && !subscribers_.is_empty()) {
    const LiveSummary summary = summary_();
    if (summary != told_) {
      told_ = summary;
      subscribers_.tell(json_of(summary));
    }
  }
  return now + kInterval;
}

void add_event_routes(Router& router, LiveEvents& events) {
  router.add({.path = "/api/tarsier/v1/events",
              .handler = inline_handler([&events](const HttpRequest&) { return events.live(); }),
              .compress = false});
}

}  // namespace tarsier::server
