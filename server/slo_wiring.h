#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/alert_timeline.h"
#include "alerting/event_history.h"
#include "alerting/notifier.h"
#include "alerting/slo_api.h"
#include "alerting/slo_rules.h"
#include "alerting/slo_runner.h"
#include "base/cancel.h"
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "query/engine.h"
#include "server/alerting_wiring.h"
#include "server/config.h"
#include "server/scheduler.h"
#include "tsdb/db.h"
#include "tsdb/wal_follower.h"

namespace tarsier::server {

class Flags;
class Router;
struct Doors;

/// Objectives with the thread they run on, fed by a follower of the log. Made by the composition
/// after rules, whose journal and receivers they share, ended before them.
class SloWiring final {
 public:
  struct Doors {
    const Flags& flags;
    FileSystem& files;
    tsdb::Db& db;
    const query::Engine& engine;
    const AlertingWiring& rules;
    /// What receivers were told; may be empty.
    std::function<std::vector<alerting::NotificationStatus>()> notifications;
    /// Told which services' traces are to be kept at least with which probability; may be empty.
    std::function<void(std::vector<std::pair<std::string, double>>)> boost;
    Logger& log;
    std::string external_url;  ///< Without a slash at its end.
  };
  explicit SloWiring(Doors doors);
  ~SloWiring();

  /// Puts a configuration and its objectives in force.
  void apply(const Config& config, std::vector<std::shared_ptr<const alerting::Slo>> slos);
  void stop();

  HttpResponse list(const HttpRequest& request) const;
  HttpResponse show(const HttpRequest& request, const std::string& id) const;
  /// What objectives count, as queries: they read it as it is stored.
  std::vector<std::string> indicators() const;
  /// The objective as a file of our own form has it; empty where that has no words for it.
  HttpResponse file(const std::string& id) const;
  /// `start` and `end`; by default the last period.
  HttpResponse backtest(const HttpRequest& request, const std::string& id) const;
  /// The same of what is not configured yet, `slo`, a file's text (all of it, or `id`), or `expr`
  /// with `for`, `keep_firing_for`, `interval`; and of the alerting rules that are named `rule`.
  HttpResponse simulate(const HttpRequest& request) const;
  /// What is known of an alert, by its fingerprint, by the id of an objective (its page) or by the
  /// name of an alerting rule.
  HttpResponse timeline(const HttpRequest& request, const std::string& id) const;
  void collect(MetricWriter& out) const;
  /// Objectives as groups of rules, for /api/v1/rules.
  std::vector<alerting::RuleGroupStatus> rule_groups() const;

 private:
  /// Tells the sampler of services that burn, when that has changed.
  void carry_burning();
  Result<alerting::NamedBacktest> backtest_of(const HttpRequest& request,
                                              const alerting::Slo& slo) const;
  Result<std::vector<alerting::NamedBacktest>> simulate_file(const HttpRequest& request,
                                                             std::string_view text) const;
  Result<std::vector<alerting::NamedBacktest>> replay_rules(const HttpRequest& request,
                                                            std::string_view name) const;
  Result<std::vector<alerting::NamedBacktest>> simulate_rule(const HttpRequest& request) const;
  /// What the journal has of an alert, and of the process in that time.
  alerting::AlertTimeline remembered(alerting::Fingerprint id, TimeRange span) const;
  std::optional<tsdb::Labels> labels_of_slo_alert(std::string_view id, std::string& owner) const;
  HttpResponse explained_rule(const HttpRequest& request, alerting::AlertTimeline& out,
                              std::string_view id) const;
  void add_notifications(alerting::AlertTimeline& timeline) const;
  Status pull(alerting::SloTaps& taps);
  void follow(const std::vector<std::vector<tsdb::Matcher>>& selectors);
  Status read_follower(alerting::SloTaps& taps);

  const Doors doors_;
  mutable alerting::SloRules rules_;
  std::unique_ptr<alerting::EventHistory> history_;
  std::unique_ptr<alerting::SloRunner> runner_;
  // Of the scheduler's thread.
  std::unique_ptr<tsdb::WalFollower> follower_;
  tsdb::FollowedBatch batch_;
  std::vector<std::pair<std::string, alerting::Severity>> burning_;
  std::uint64_t segments_lost_ = 0;
  bool is_stopped_ = false;
  bool is_started_ = false;
  Scheduler scheduler_{"slos"};  // Last: it drives everything above.
};

/// Adds /api/tarsier/v1/slos*, /api/tarsier/v1/backtest and /api/tarsier/v1/alerts/*/timeline.
/// `wiring` gives the objectives once the router is ready.
void add_slo_routes(Router& router, const struct Doors& doors,
                    std::function<const SloWiring*()> wiring);

}  // namespace tarsier::server
