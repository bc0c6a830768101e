// One evaluation of all objectives: windows, tiers, series.

#include <algorithm>
#include <cmath>

#include "alerting/slo_entry.h"
#include "alerting/slo_runner.h"

namespace tarsier::alerting {

void SloRunner::evaluate(std::int64_t step) {
  const Timestamp t = options_.clock.end_of(step);
  const bool is_minute = t.ms / 60'000 != (t - options_.clock.length).ms / 60'000;
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  std::vector<News> news;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (!entry->is_ready()) continue;
    if (entry->ratios) {
      const Status status = entry->ratios->read(doors_.engine, doors_.storage, t, &cancel_);
      entry->last_error = status.message();
      if (!status.ok()) {  // An error ends no alert.
        ++failures_;
        publish(*entry);
        continue;
      }
    }
    evaluate_entry(*entry, step, is_minute, *appender, news);
    publish(*entry);
  }
  note(appender->commit().status(), "Series of objectives were not stored");
  tell(std::move(news), t);
}

void SloRunner::judge_group(Entry& entry, const tsdb::Labels& group, const BurnReading& reading,
                            BurnAlarm& alarm, std::vector<TierValue>& tiers, Verdicts& verdicts,
                            std::vector<ActiveAlert>& active, Timestamp t) {
  const Slo& slo = *entry.slo;
  judge_tiers(slo, reading, tiers);
  // What the journal says fires has fired, whoever evaluated then.
  if (!entry.alerts.empty()) {
    for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
      const AlertRecord* const record =
          entry.alerts.find(entry.texts->labels(slo, severity, group));
      if (record != nullptr && record->state == AlertState::kFiring) alarm.restore(severity);
    }
  }
  verdicts = alarm.step(slo, reading, tiers);
  const Verdict& page = verdicts.of(Severity::kPage);
  const bool has_alerts = page.is_active || page.lost_its_data || verdicts.no_data ||
                          verdicts.of(Severity::kTicket).is_active ||
                          verdicts.of(Severity::kTicket).lost_its_data;
  if (!has_alerts) return;
  const TemplateContext context{.now = t,
                                .external_url = settings_.external_url,
                                .external_labels = settings_.external_labels,
                                .query = {}};
  for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
    const Verdict& verdict = verdicts.of(severity);
    if (!verdict.is_active && !verdict.lost_its_data) continue;
    tsdb::Labels labels = entry.texts->labels(slo, severity, group);
    if (verdict.lost_its_data) {
      entry.lost_data.insert(std::move(labels));
      continue;
    }
    if (severity == Severity::kTicket && page.is_active) entry.inhibited.insert(labels);
    active.push_back(entry.texts->burning(slo, severity, labels, reading, tiers, verdict, context));
  }
  if (verdicts.no_data) {
    active.push_back(
        entry.texts->no_data(slo, entry.texts->no_data_labels(slo, group), reading, context));
  }
}

Status SloRunner::evaluate_absence(Entry& entry, bool is_minute, tsdb::Appender& appender,
                                   std::vector<ActiveAlert>& active, Timestamp t) {
  if (!entry.absence) entry.absence = std::make_unique<Entry::Absence>();
  Entry::Absence& absence = *entry.absence;
  absence.reading = reading_without_data(*entry.slo, t, entry.watched_since);
  judge_group(entry, {}, absence.reading, absence.alarm, absence.tiers, absence.verdicts, active,
              t);
  // A sample of now would close the door to history that is just being written.
  if (t - entry.watched_since.value_or(t) <= kSamplesStopped) return {};
  SloSeries& series = entry.series[{}];
  if (!is_minute && !series.empty()) {
    const double nothing = std::nan("");
    return series.append_first(appender,
                               {nothing, nothing, static_cast<double>(absence.verdicts.state)}, t);
  }
  return series.append(appender, slo_outputs(*entry.slo, {}, absence.reading, absence.verdicts, {}),
                       t);
}

void SloRunner::end_absence(Entry& entry, tsdb::Appender& appender, Timestamp t) {
  if (!entry.absence) return;
  entry.absence.reset();
  if (entry.slo->group_by().empty()) return;  // Its series go on.
  const auto series = entry.series.find({});
  if (series == entry.series.end()) return;
  series->second.end(appender, t);
  entry.series.erase(series);
}

void SloRunner::evaluate_entry(Entry& entry, std::int64_t step, bool is_minute,
                               tsdb::Appender& appender, std::vector<News>& news) {
  const Timestamp t = options_.clock.end_of(step);
  if (!entry.watched_since) entry.watched_since = t;
  std::vector<ActiveAlert> active;
  entry.inhibited.clear();
  entry.lost_data.clear();
  Status stored;
  bool has_groups = false;
  const auto write = [&](const tsdb::Labels& group, const BurnReading& reading,
                         const Verdicts& verdicts, EventCounts cumulative) {
    if (!stored.ok()) return;
    SloSeries& series = entry.series[group];
    if (!is_minute && !series.empty()) {
      const double nothing = std::nan("");
      stored = series.append_first(
          appender,
          {reading.has_counts ? cumulative.total : nothing,
           reading.has_counts ? cumulative.bad : nothing, static_cast<double>(verdicts.state)},
          t);
      return;
    }
    stored =
        series.append(appender, slo_outputs(*entry.slo, group, reading, verdicts, cumulative), t);
  };
  const auto begin_group = [&] {
    if (!has_groups) end_absence(entry, appender, t);
    has_groups = true;
  };
  if (entry.counter) {
    for (auto& [labels, group] : entry.counter->groups()) {
      if (!group->is_ready()) continue;
      begin_group();
      group->read(*entry.slo, step, group->reading);
      group->reading.watched_since = entry.watched_since;
      judge_group(entry, labels, group->reading, group->alarm, group->tiers, group->verdicts,
                  active, t);
      const EventCounts cumulative = group->at(step).value_or(EventCounts{});
      write(labels, group->reading, group->verdicts, cumulative);
    }
  } else {
    for (auto& [labels, group] : entry.ratios->groups()) {
      begin_group();
      group.reading.watched_since = entry.watched_since;
      judge_group(entry, labels, group.reading, group.alarm, group.tiers, group.verdicts, active,
                  t);
      write(labels, group.reading, group.verdicts, {});
    }
  }
  if (!has_groups) stored = evaluate_absence(entry, is_minute, appender, active, t);
  if (!stored.ok()) entry.last_error = stored.message();
  advance_alerts(entry, std::move(active), t, news);
}

}  // namespace tarsier::alerting
