#pragma once

#include <array>
#include <cstdint>

#include "base/metric.h"

namespace tarsier::alerting {

/// Counts of one kind of integration.
struct IntegrationMetrics {
  Counter notifications;
  Counter failed_client;  ///< Refused by the receiver.
  Counter failed_server;
  Counter failed_other;  ///< No answer, no way to ask.
  Counter requests;
  Counter requests_failed;
  HistogramMetric latency_seconds{{1, 5, 10, 15, 20}};
};

struct NotifierMetrics {
  Counter received_firing;
  Counter received_resolved;
  Counter invalid;
  Counter dead;
  Counter template_errors;
  Counter log_failures;
  std::array<IntegrationMetrics, 3> integrations;
};

/// How often notifications were held back, by reason.
struct SuppressedCounts {
  std::uint64_t inhibited = 0;
  std::uint64_t silenced = 0;
  std::uint64_t muted_by_time = 0;
};

/// What there is at one moment.
struct NotifierGauges {
  std::array<double, 3> silences{};  ///< By SilenceState.
  double active = 0;                 ///< Alerts.
  double suppressed = 0;             ///< Alerts.
  double groups = 0;
  double queued = 0;
  double dead = 0;
  SuppressedCounts held;
};

/// alertmanager_* and tarsier_notifier_*.
void write_metrics(MetricWriter& out, const NotifierMetrics& m, const NotifierGauges& now);

}  // namespace tarsier::alerting
