#include "alerting/notifier/metrics.h"

#include <string_view>

#include "alerting/notifier_config.h"
#include "alerting/silence.h"

namespace tarsier::alerting {

void write_metrics(MetricWriter& out, const NotifierMetrics& m, const NotifierGauges& now) {
  const auto count = [](const Counter& counter) { return static_cast<double>(counter.value()); };
  constexpr std::array kKinds = {IntegrationKind::kWebhook, IntegrationKind::kSlack,
                                 IntegrationKind::kPagerduty};
  const auto each = [&](const auto& write) {
    for (const IntegrationKind kind : kKinds) {
      write(integration_kind_name(kind), m.integrations[static_cast<std::size_t>(kind)]);
    }
  };
  out.gauge("alertmanager_alerts", "How many alerts by state.", now.active, {{"state", "active"}});
  out.gauge("alertmanager_alerts", "How many alerts by state.", now.suppressed,
            {{"state", "suppressed"}});
  constexpr std::string_view kReceived = "alertmanager_alerts_received_total";
  out.counter(kReceived, "The total number of received alerts.", count(m.received_firing),
              {{"status", "firing"}, {"version", "v2"}});
  out.counter(kReceived, "The total number of received alerts.", count(m.received_resolved),
              {{"status", "resolved"}, {"version", "v2"}});
  out.counter("alertmanager_alerts_invalid_total",
              "The total number of received alerts that were invalid.", count(m.invalid),
              {{"version", "v2"}});
  out.gauge("alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups",
            now.groups);
  each([&](std::string_view name, const IntegrationMetrics& own) {
    out.counter("alertmanager_notifications_total", "The total number of attempted notifications.",
                count(own.notifications), {{"integration", name}});
  });
  each([&](std::string_view name, const IntegrationMetrics& own) {
    constexpr std::string_view kFailed = "alertmanager_notifications_failed_total";
    constexpr std::string_view kHelp = "The total number of failed notifications.";
    out.counter(kFailed, kHelp, count(own.failed_client),
                {{"integration", name}, {"reason", "clientError"}});
    out.counter(kFailed, kHelp, count(own.failed_server),
                {{"integration", name}, {"reason", "serverError"}});
    out.counter(kFailed, kHelp, count(own.failed_other),
                {{"integration", name}, {"reason", "other"}});
  });
  each([&](std::string_view name, const IntegrationMetrics& own) {
    out.counter("alertmanager_notification_requests_total",
                "The total number of attempted notification requests.", count(own.requests),
                {{"integration", name}});
  });
  each([&](std::string_view name, const IntegrationMetrics& own) {
    out.counter("alertmanager_notification_requests_failed_total",
                "The total number of failed notification requests.", count(own.requests_failed),
                {{"integration", name}});
  });
  each([&](std::string_view name, const IntegrationMetrics& own) {
    out.histogram("alertmanager_notification_latency_seconds",
                  "The latency of notifications in seconds.", own.latency_seconds,
                  {{"integration", name}});
  });
  constexpr std::string_view kHeld = "alertmanager_notifications_suppressed_total";
  constexpr std::string_view kHeldHelp =
      "The total number of notifications suppressed for being silenced, inhibited, outside of "
      "active time intervals or within muted time intervals.";
  out.counter(kHeld, kHeldHelp, static_cast<double>(now.held.inhibited),
              {{"reason", "inhibition"}});
  out.counter(kHeld, kHeldHelp, static_cast<double>(now.held.silenced), {{"reason", "silence"}});
  out.counter(kHeld, kHeldHelp, static_cast<double>(now.held.muted_by_time),
              {{"reason", "mute_time_interval"}});
  for (const SilenceState state :
       {SilenceState::kActive, SilenceState::kExpired, SilenceState::kPending}) {
    out.gauge("alertmanager_silences", "How many silences by state.",
              now.silences[static_cast<std::size_t>(state)],
              {{"state", silence_state_name(state)}});
  }
  out.gauge("tarsier_notifier_queued_messages", "Notifications decided and not yet delivered.",
            now.queued);
  out.gauge("tarsier_notifier_dead_letters",
            "Notifications that were given up and can be replayed.", now.dead);
  out.counter("tarsier_notifier_dead_letters_total", "Notifications given up.", count(m.dead));
  out.counter("tarsier_notifier_template_errors_total",
              "Texts of notifications whose template failed.", count(m.template_errors));
  out.counter("tarsier_notifier_log_failures_total",
              "Whether storing notifications has failed since the start.", count(m.log_failures));
}

}  // namespace tarsier::alerting
