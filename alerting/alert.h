#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// Where an alert stands. Stored in the journal: never renumber.
enum class AlertState : unsigned char {
  kInactive = 0,  ///< It fired and is over; receivers are still told for a while.
  kPending = 1,   ///< Its condition holds, not yet for long enough.
  kFiring = 2,
};
/// "inactive", "pending", "firing".
std::string_view alert_state_name(AlertState state);

/// Why an alert ended. Stored in the journal: never renumber.
enum class ResolveReason : unsigned char {
  kNone = 0,           ///< It has not ended.
  kConditionOver = 1,  ///< The expression no longer gives it.
  kRuleRemoved = 2,    ///< Its rule or objective is no longer configured.
  kDataStopped = 3,    ///< Its objective has had no events for too long to say.
};
/// "", "condition over", "rule removed", "data stopped".
std::string_view resolve_reason_text(ResolveReason reason);

/// Sorted by name; unlike labels, a value may be empty.
using Annotations = std::vector<std::pair<std::string, std::string>>;

/// FNV-1a over the sorted labels: the id of an alert everywhere, equal to Alertmanager's.
struct Fingerprint {
  std::uint64_t value = 0;
  auto operator<=>(const Fingerprint&) const = default;
  /// 16 lower-case hex digits.
  std::string to_string() const;
};
Fingerprint fingerprint_of(const tsdb::Labels& labels);
/// Of 16 hex digits.
std::optional<Fingerprint> parse_fingerprint(std::string_view text);

/// One alert as its receivers see it: a condition that holds for one label set, with the times of
/// this occurrence. A value; made by whoever evaluates (rules, objectives) or by a client of the
/// API, handed on through an AlertSink.
struct Alert {
  tsdb::Labels labels;  ///< With `alertname`. They are the identity.
  Annotations annotations;
  AlertState state = AlertState::kFiring;  ///< kFiring or kInactive where alerts are delivered.
  double value = 0;                        ///< Of the expression, at the last evaluation it held.
  Timestamp active_at;                     ///< When the condition began to hold.
  Timestamp starts_at;                     ///< When it began to fire; also of a resolved one.
  /// Of a firing alert: when it counts as over unless it is sent again. Of a resolved one: when it
  /// ended.
  Timestamp ends_at;
  Timestamp updated_at;  ///< The evaluation that gave all this.
  std::string generator_url;
  ResolveReason resolve_reason = ResolveReason::kNone;
  /// Of its labels before receivers' were added, noted by who sends it on; 0: not noted.
  Fingerprint origin = {};

  Fingerprint fingerprint() const { return fingerprint_of(labels); }
  bool is_resolved_at(Timestamp now) const { return ends_at.ms != 0 && ends_at <= now; }
  bool operator==(const Alert&) const = default;
};

}  // namespace tarsier::alerting
