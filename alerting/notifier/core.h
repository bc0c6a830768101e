#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "alerting/notifier.h"
#include "alerting/notifier/attempt.h"
#include "alerting/notifier/dispatcher.h"
#include "alerting/notifier/metrics.h"
#include "alerting/notifier/state.h"
#include "base/keyed_hash.h"

namespace tarsier::alerting {

/// An attempt that is to be made now.
struct Attempt {
  Message message;
  std::shared_ptr<const NotifierConfig> config;  // Keeps the next one alive.
  const IntegrationConfig* integration = nullptr;
};

/// An attempt's end.
struct Completion {
  std::string id;
  Result<HttpResponse> answer;
  double seconds = 0;
};

/// Everything behind the notifier's mutex: what is known, and what follows from it. No I/O, no
/// clock; one thread at a time.
class NotifierCore final {
 public:
  NotifierCore(const NotifierOptions& options, NotifierState loaded)
      : state(std::move(loaded)),
        dispatcher(state, {.external_url = options.external_url, .retention = options.retention}),
        options_(options) {}

  /// What was true when we went away need not be over because nobody could tell us.
  void extend_alerts(Timestamp now, Changes& changes);
  void configure(std::shared_ptr<const NotifierConfig> next,
                 std::shared_ptr<const NotificationTemplates> templates, Timestamp now,
                 Changes& changes);

  /// Takes an attempt's end into account.
  void complete(const Completion& completion, NotifierMetrics& metrics, Timestamp now,
                Changes& changes, std::vector<std::string>& log_lines);
  /// Chooses what is sent now and marks it as under way.
  std::vector<Attempt> take_attempts(NotifierMetrics& metrics, Timestamp now, Changes& changes,
                                     std::vector<std::string>& log_lines);
  Timestamp next_attempt() const;
  void forget_old(Timestamp now, Changes& changes);

  Result<std::string> set_silence(Silence silence, Timestamp now, Changes& changes);
  Status expire_silence(const std::string& id, Timestamp now, Changes& changes);
  AlertStatus status_of(const Alert& alert, Timestamp now);
  NotifierGauges gauges(Timestamp now);

  NotifierState state;
  Dispatcher dispatcher;
  std::shared_ptr<const NotifierConfig> config;

 private:
  const IntegrationConfig* find_integration(const std::string& name) const;
  void bury(const std::string& id, std::string reason, NotifierMetrics& metrics, Timestamp now,
            Changes& changes, std::vector<std::string>& log_lines);

  const NotifierOptions options_;
  std::map<std::string, std::size_t> in_flight_;  // By integration.
  std::set<std::string> disabled_;                // Integrations that answered 410.
  Timestamp next_forget_{0};
};

}  // namespace tarsier::alerting
