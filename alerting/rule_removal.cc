#include "alerting/group_runner.h"

namespace tarsier::alerting {
namespace {

/// Long enough for the one message of an end; a resolved alert's `ends_at` is when it ended.
constexpr Duration kUnused{0};
/// Nothing is told again that was told before.
constexpr Duration kForEver = kMaxTimestamp - Timestamp{0};

}  // namespace

void retire_rules(std::vector<RemovedRule>& rules, const std::string& source, Timestamp ts,
                  Timestamp at, const RuleDoors& doors,
                  const std::function<bool(const tsdb::Labels&)>& is_active,
                  const std::function<bool(const tsdb::Labels&)>& is_written) {
  AlertBatch batch{.source = source, .at = ts, .position = {}, .alerts = {}};
  for (RemovedRule& rule : rules) {
    rule.output->forget_if(is_written);
    // A marker that cannot be written leaves the series to the lookback.
    static_cast<void>(rule.output->write(*doors.make_appender(), {}, at));
    const AlertChanges changes = rule.alerts.end_all(ts, ResolveReason::kRuleRemoved);
    if (doors.journal) {
      for (const AlertRecord& alert : changes.written) doors.journal->put(rule.owner, alert, ts);
    }
    for (Alert& alert : rule.alerts.due_notifications(ts, kForEver, kUnused, rule.generator_url)) {
      if (!is_active(alert.labels)) batch.alerts.push_back(std::move(alert));
    }
  }
  if (doors.sink && !batch.alerts.empty()) {
    if (doors.journal) {
      batch.position = doors.journal->position();
      static_cast<void>(doors.journal->sync(batch.position));
    }
    if (const Status status = doors.sink->deliver(batch); !status.ok()) {
      doors.log.warn("The end of removed alerts was not taken; it is told again",
                     {{"source", source}, {"err", status.message()}});
      return;
    }
  }
  for (const RemovedRule& rule : rules) {
    if (doors.journal) doors.journal->drop(rule.owner, ts);
  }
  rules.clear();
}

}  // namespace tarsier::alerting
