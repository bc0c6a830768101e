#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "alerting/alert.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// Of a time in an AlertRecord: it has not happened.
inline constexpr Timestamp kNotYet = kMinTimestamp;
/// A resolved alert is told to receivers for this long, then forgotten.
inline constexpr Duration kResolvedRetention = minutes(15);

/// Everything known of one alert: what the journal keeps.
struct AlertRecord {
  tsdb::Labels labels;
  Annotations annotations;
  AlertState state = AlertState::kPending;
  ResolveReason resolve_reason = ResolveReason::kNone;
  double value = 0;
  Timestamp active_at = kNotYet;
  Timestamp fired_at = kNotYet;
  Timestamp resolved_at = kNotYet;
  Timestamp keep_firing_since = kNotYet;
  Timestamp last_sent = kNotYet;
  bool operator==(const AlertRecord&) const = default;
};

/// An alert whose condition holds now.
struct ActiveAlert {
  tsdb::Labels labels;
  Annotations annotations;
  double value = 0;
};

struct AlertTiming {
  Duration hold{0};  ///< `for`
  Duration keep_firing_for{0};
};

/// What one evaluation changed. Copies: they are journalled while the table goes on.
struct AlertChanges {
  Status status;  ///< kLimit or kInvalid: the evaluation failed as a whole.
  std::vector<AlertRecord> written;
  std::vector<tsdb::Labels> erased;
};

/// The alerts of one rule (or objective) with their states: Prometheus' state machine. Knows no
/// expression and no clock. One thread at a time.
class AlertTable final {
 public:
  /// One evaluation at `ts` that found `active`. Equal label sets in `active`: kInvalid, nothing
  /// changes. More than `limit` (0: none) pending and firing alerts: kLimit, everything is
  /// forgotten.
  AlertChanges advance(std::vector<ActiveAlert> active, Timestamp ts, const AlertTiming& timing,
                       std::uint64_t limit);
  /// After `outage` without evaluations: pending alerts go on with the time that nobody looked left
  /// out, or begin anew when it was longer than `tolerance`. Firing ones go on firing.
  AlertChanges skip_outage(Duration outage, Duration tolerance);
  /// Ends one firing alert for a reason of its own, before an evaluation that no longer finds it.
  AlertChanges end(const tsdb::Labels& labels, Timestamp ts, ResolveReason reason);
  /// Ends every firing alert and drops every pending one: the rule is gone.
  AlertChanges end_all(Timestamp ts, ResolveReason reason);

  /// Alerts that receivers must be told of at `ts`: those that ended since they were last told of,
  /// and those last told of longer than `resend_delay` ago. `validity` after `ts`, a firing alert
  /// counts as over unless it is told again.
  std::vector<Alert> due_notifications(Timestamp ts, Duration resend_delay, Duration validity,
                                       const std::string& generator_url) const;
  /// Receivers were told at `ts`.
  void mark_sent(std::span<const Alert> alerts, Timestamp ts);

  /// Puts a record back, as the journal or a former group had it.
  void put(AlertRecord record);
  /// Moves the moment from which `for` counts. REQUIRES: there is such an alert.
  void set_active_at(const tsdb::Labels& labels, Timestamp active_at);

  const std::map<tsdb::Labels, AlertRecord>& records() const { return records_; }
  const AlertRecord* find(const tsdb::Labels& labels) const;
  /// The highest of its alerts.
  AlertState state() const;
  bool empty() const { return records_.empty(); }

 private:
  std::map<tsdb::Labels, AlertRecord> records_;
};

}  // namespace tarsier::alerting
