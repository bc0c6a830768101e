#pragma once

#include <optional>
#include <string>
#include <vector>

#include "alerting/alert_history.h"
#include "alerting/backtest.h"
#include "alerting/rule.h"
#include "alerting/slo.h"
#include "base/cancel.h"
#include "base/http.h"
#include "base/result.h"
#include "query/engine.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

// Why an alert fired, or did not: /api/tarsier/v1/alerts/<id>/timeline. Pure.

/// A number for one moment of an alert.
struct TimelineTick {
  Timestamp at;
  struct Value {
    std::string name;  ///< What it is: `1h`, or the labels of a series.
    double value = 0;
    std::optional<double> threshold;
  };
  std::vector<Value> values;
  bool is_active = false;  ///< The condition held.
  Duration held{0};        ///< For so long without a break, as far as this timeline looks back.
};
/// A message to a receiver that was about the alert.
struct TimelineNotification {
  Timestamp at;
  std::string receiver;
  std::string state;    ///< "queued", "delivered", "dead".
  std::string outcome;  ///< Why not, where it was not.
};
/// Everything known of one alert in a span of time.
struct AlertTimeline {
  Fingerprint id;
  tsdb::Labels labels;
  std::string owner;
  std::string query;  ///< What is evaluated.
  Duration hold{0};
  Timestamp start;
  Timestamp end;
  std::string cause;  ///< One sentence: why it fires at the end, or does not.
  std::vector<TimelineTick> ticks;
  std::vector<AlertEvent> events;  ///< Oldest first; also starts and reloads of the process.
  std::vector<TimelineNotification> notifications;
};
HttpResponse timeline_response(const AlertTimeline& timeline);

/// Ticks of an objective's alert, and why it is as it is at the end.
Status explain_slo(tsdb::Queryable& storage, const query::Engine& engine, const Slo& slo,
                   StepClock clock, AlertTimeline& timeline, const CancelToken* cancel);
/// One sentence: why the rule's alert is as it is at the last of the ticks.
std::string rule_cause(const Rule& rule, const std::vector<TimelineTick>& ticks, Duration interval);
/// The same of an alerting rule: both sides of its comparison, where it is one.
Status explain_rule(tsdb::Queryable& storage, const query::Engine& engine, const Rule& rule,
                    Duration interval, AlertTimeline& timeline, const CancelToken* cancel);

}  // namespace tarsier::alerting
