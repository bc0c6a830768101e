// What follows an evaluation: states of alerts, the journal, receivers.

#include <algorithm>

#include <fmt/format.h>

#include "alerting/rule_evaluation.h"
#include "alerting/slo_entry.h"
#include "alerting/slo_runner.h"

namespace tarsier::alerting {
namespace {

bool is_news(const AlertRecord& alert) {
  return alert.last_sent <
         (alert.state == AlertState::kInactive ? alert.resolved_at : alert.fired_at);
}

}  // namespace

void SloRunner::advance_alerts(Entry& entry, std::vector<ActiveAlert> active, Timestamp t,
                               std::vector<News>& news) {
  if (active.empty() && entry.alerts.empty()) {
    if (entry.alert_series) write_alert_series(entry, t);
    return;
  }
  for (const tsdb::Labels& labels : entry.lost_data) {
    journal(entry, entry.alerts.end(labels, t, ResolveReason::kDataStopped), t);
  }
  const AlertChanges changes = entry.alerts.advance(std::move(active), t, {}, 0);
  if (!changes.status.ok()) {
    entry.last_error = changes.status.message();
    return;
  }
  journal(entry, changes, t);
  write_alert_series(entry, t);
  const Duration validity{4 * std::max(options_.clock.length, options_.resend_delay).ms};
  std::vector<Alert> due = entry.alerts.due_notifications(
      t, options_.resend_delay, validity,
      fmt::format("{}/slos/{}", settings_.external_url, entry.slo->id()));
  std::erase_if(due, [&](const Alert& alert) {
    return alert.state == AlertState::kFiring && entry.inhibited.contains(alert.labels);
  });
  if (!due.empty()) news.push_back({.entry = &entry, .alerts = std::move(due)});
}

void SloRunner::write_alert_series(Entry& entry, Timestamp t) {
  const std::vector<OutputSample> samples = synthetic_samples(entry.alerts);
  if (samples.empty() && (!entry.alert_series || entry.alert_series->size() == 0)) return;
  if (!entry.alert_series) entry.alert_series = std::make_unique<SeriesOutput>();
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  appender->refuse_out_of_order();
  const SeriesOutput::Report report = entry.alert_series->write(*appender, samples, t);
  if (!report.status.ok()) entry.last_error = report.status.message();
  note(report.status, "ALERTS of an objective were not stored");
}

void SloRunner::journal(const Entry& entry, const AlertChanges& changes, Timestamp t) {
  if (doors_.journal == nullptr) return;
  for (const AlertRecord& alert : changes.written) doors_.journal->put(entry.owner, alert, t);
  for (const tsdb::Labels& labels : changes.erased) doors_.journal->erase(entry.owner, labels, t);
}

void SloRunner::tell(std::vector<News> news, Timestamp t) {
  AlertJournal* const journal = doors_.journal;
  const auto write_journal = [&] {
    if (journal != nullptr) note(journal->write(), "The journal was not written for objectives");
  };
  if (journal != nullptr) journal->evaluated("slo", t);
  if (news.empty()) return write_journal();
  AlertBatch batch{.source = "slo", .at = t, .position = {}, .alerts = {}};
  if (journal != nullptr) {
    batch.position = journal->position();
    // A disk that fails is no reason to keep a page from anybody.
    note(journal->sync(batch.position), "A page goes out although the journal is not synced");
  }
  for (const News& part : news) {
    batch.alerts.insert(batch.alerts.end(), part.alerts.begin(), part.alerts.end());
  }
  if (doors_.sink != nullptr) {
    const Status status = doors_.sink->deliver(batch);
    note(status, "Notifications were not taken; the next evaluation tries again");
    if (!status.ok()) return;
  }
  for (const News& part : news) {
    for (const Alert& alert : part.alerts) {
      const AlertRecord* const record = part.entry->alerts.find(alert.labels);
      if (journal != nullptr && record != nullptr && is_news(*record)) {
        journal->sent(part.entry->owner, alert.labels, t);
      }
    }
    part.entry->alerts.mark_sent(part.alerts, t);
  }
  write_journal();
}

}  // namespace tarsier::alerting
