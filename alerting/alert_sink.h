#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/alert.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

/// A place in the journal of alerts, growing with every record. Zero: nothing was written.
struct JournalPosition {
  std::uint64_t value = 0;
  auto operator<=>(const JournalPosition&) const = default;
};

/// What one evaluation has to tell: alerts that fire (first, or again after the resend delay) and
/// alerts that ended.
struct AlertBatch {
  /// Who evaluated: `/etc/rules.yml;group` for rules.
  std::string source;
  Timestamp at;  ///< The evaluation time; every alert's `updated_at`.
  /// Grows from batch to batch, also over restarts, and covers the state changes the alerts come
  /// from: they are in the journal up to here, synced.
  JournalPosition position;
  std::vector<Alert> alerts;
};

/// Who takes notifications: the sender to Alertmanagers, the built-in notifier. Delivery is at
/// least once: a batch is repeated, as later evaluations see its alerts, until deliver() took it,
/// so after a restart a sink may be told again what it already knows (same fingerprint, same
/// starts_at, state and, when resolved, ends_at). Called by evaluation threads, several at once;
/// must not wait for the network.
class AlertSink {
 public:
  virtual ~AlertSink() = default;
  /// Success: the sink answers for these alerts from now on, and if it promises durability they are
  /// synced. An error: none was taken, tell them again.
  virtual Status deliver(const AlertBatch& batch) = 0;
};

/// Several sinks as one: each gets every batch, the first error is reported after all were told.
/// Borrows them.
class AlertFanOut final : public AlertSink {
 public:
  explicit AlertFanOut(std::vector<AlertSink*> sinks) : sinks_(std::move(sinks)) {}
  Status deliver(const AlertBatch& batch) override;

 private:
  const std::vector<AlertSink*> sinks_;
};

}  // namespace tarsier::alerting
