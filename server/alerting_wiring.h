#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alerting/alert_journal.h"
#include "alerting/alert_labelling.h"
#include "alerting/alert_sink.h"
#include "alerting/alertmanager_sender.h"
#include "alerting/rule_runner.h"
#include "base/cancel.h"
#include "base/dns.h"
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "ingest/discovery.h"
#include "query/engine.h"
#include "server/config.h"
#include "server/scheduler.h"
#include "tsdb/db.h"

namespace tarsier::server {

class Flags;

/// The rules that a configuration names, ready to run; kInvalid with everything that is wrong in
/// their files.
Result<std::vector<alerting::RuleGroup>> load_rules(const Flags& flags, FileSystem& files,
                                                    const Config& config);

/// Rules, the journal of their alerts and the senders of notifications, with the threads they run
/// on: one scheduler, and a pool for evaluations. Made by the composition after storage, engine and
/// HTTP client, ended before them.
class AlertingWiring final {
 public:
  struct Doors {
    const Flags& flags;
    FileSystem& files;
    tsdb::Db& db;
    tsdb::Queryable& storage;  ///< What rules read: `db`, and maybe others behind it.
    const query::Engine& engine;
    HttpClient& client;
    DnsResolver& dns;
    /// Expires the token at that moment.
    std::function<void(const std::shared_ptr<CancelToken>&, Timestamp)> expire_at;
    Logger& log;
    std::string external_url;  ///< Without a slash at its end.
    /// Is told as the Alertmanagers are, with the same labels; may be null.
    alerting::AlertSink* notifier = nullptr;
  };
  /// A journal that cannot be opened is reported; alerts then go on without one.
  explicit AlertingWiring(Doors doors);
  ~AlertingWiring();

  /// Puts a configuration and its rules in force.
  void apply(const Config& config, std::vector<alerting::RuleGroup> groups);
  /// What objectives share with rules. The journal is null where it could not be opened.
  alerting::AlertJournal* journal() const { return journal_.get(); }
  alerting::AlertSink& sink() const { return *sinks_; }

  /// Ends evaluations, then sends what can be sent. The HTTP client must still be there.
  void stop();

  /// Groups of others (objectives) that the API shows with those of rules. Before `rules` is asked.
  void show_also(std::function<std::vector<alerting::RuleGroupStatus>()> groups) {
    others_ = std::move(groups);
  }
  /// What ids of alerts are made by.
  std::shared_ptr<const alerting::AlertLabelling> labelling() const { return labelling_.get(); }
  HttpResponse rules(const HttpRequest& request) const;
  HttpResponse alerts() const;
  HttpResponse alertmanagers() const;
  HttpResponse history(const HttpRequest& request) const;
  /// What Alertmanagers answered for the alert with these own labels.
  std::vector<alerting::SentOutcome> sent_outcomes(alerting::Fingerprint origin) const {
    return sender_->outcomes(origin);
  }
  std::vector<alerting::RuleGroupStatus> rule_status() const { return runner_->status(); }
  void collect(MetricWriter& out) const;

 private:
  std::vector<alerting::RuleGroupStatus> shown() const;
  /// Looks for Alertmanagers that came or went.
  Timestamp run_discovery(Timestamp now);
  void apply_targets();

  const Doors doors_;
  std::function<std::vector<alerting::RuleGroupStatus>()> others_;
  std::unique_ptr<alerting::AlertJournal> journal_;
  std::unique_ptr<alerting::AlertmanagerSender> sender_;
  alerting::CurrentLabelling labelling_;
  std::unique_ptr<alerting::LabellingSink> notifier_;  ///< Null: there is none.
  std::unique_ptr<alerting::AlertFanOut> sinks_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<alerting::RuleRunner> runner_;
  std::unique_ptr<ingest::DiscoveryManager> discovery_;
  // Of the scheduler's thread.
  GlobalConfig global_;
  AlertingConfig alerting_config_;
  std::uint64_t discovered_version_ = 0;
  bool is_stopped_ = false;
  Scheduler scheduler_{"alerting"};  // Last: it drives everything above.
};

/// Where users reach this server, without a slash at its end; `port` is the one listened on.
Result<std::string> external_url_text(const Flags& flags, const std::string& port);

}  // namespace tarsier::server
