#include "alerting/rule_restore.h"

#include <optional>
#include <unordered_map>

namespace tarsier::alerting {
namespace {

std::vector<tsdb::Matcher> matchers_of(const Rule& rule) {
  std::vector<tsdb::Matcher> out = {
      tsdb::Matcher::equal(std::string(tsdb::kMetricName), "ALERTS_FOR_STATE"),
      tsdb::Matcher::equal("alertname", rule.name())};
  for (const auto& [name, value] : rule.labels()) {
    if (value.find("{{") == std::string::npos && name != "alertname") {
      out.push_back(tsdb::Matcher::equal(name, value));
    }
  }
  return out;
}

/// When the alert must count as active since, given that it was since `active_at` when last seen at
/// `seen_at`.
Timestamp continued(Timestamp active_at, Timestamp seen_at, Duration hold, Duration grace,
                    Timestamp now) {
  const Duration remaining = hold - (seen_at - active_at);
  if (remaining.ms <= 0) return active_at;  // It was firing.
  if (remaining < grace) return now + grace - hold;
  return active_at + (now - seen_at);  // Time down does not count.
}

}  // namespace

Status restore_from_series(const Rule& rule, AlertTable& alerts, tsdb::Queryable& storage,
                           const RestoreOptions& options, Timestamp now) {
  const Duration hold = rule.definition().hold;
  if (hold < options.grace_period || alerts.empty()) return {};
  const TimeRange range{.min = now - options.outage_tolerance, .max = now};
  const std::unique_ptr<tsdb::Querier> querier = TRY(storage.querier(range));
  const std::unique_ptr<tsdb::SeriesSet> series =
      TRY(querier->select(matchers_of(rule), {.range = range}, nullptr));
  std::unordered_map<tsdb::Labels, std::size_t> by_labels;
  for (std::size_t i = 0; i < series->size(); ++i) {
    by_labels.emplace(series->labels(i).drop_metric_name(), i);
  }
  std::vector<std::pair<tsdb::Labels, Timestamp>> restored;
  for (const auto& [labels, alert] : alerts.records()) {
    const auto found = by_labels.find(labels);
    if (alert.state == AlertState::kInactive || found == by_labels.end()) continue;
    const std::optional<tsdb::Sample> last = TRY(series->last_sample(found->second, range));
    if (!last || tsdb::is_stale_marker(last->v)) continue;
    const Timestamp active_at{static_cast<std::int64_t>(last->v) * 1000};
    restored.emplace_back(labels, continued(active_at, last->t, hold, options.grace_period, now));
  }
  for (const auto& [labels, active_at] : restored) alerts.set_active_at(labels, active_at);
  return {};
}

}  // namespace tarsier::alerting
