// One evaluation of all objectives: windows, tiers, series.

#include <algorithm>
#include <cmath>

#include "alerting/slo_entry.h"
#include "alerting/slo_runner.h"

namespace tarsier::alerting {
namespace {

/// Handed to the appender together, and no more memory than that.
constexpr std::size_t kSamplesAtOnce = 4'096;

}  // namespace

void SloRunner::evaluate(std::int64_t step) {
  const Timestamp t = options_.clock.end_of(step);
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  batch_.begin(*appender);
  std::vector<News> news;
  const auto steps_of_a_minute = std::max<std::int64_t>(60'000 / options_.clock.length.ms, 1);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = *entries_[i];
    if (!entry.is_ready()) continue;
    if (entry.ratios) {
      const Status status = entry.ratios->read(doors_.engine, doors_.storage, t, &cancel_);
      entry.last_error = status.message();
      if (!status.ok()) {  // An error ends no alert.
        ++failures_;
        publish(entry);
        continue;
      }
    }
    // What is written once a minute is spread over it; of a single objective, at full minutes.
    const bool is_full = (step + static_cast<std::int64_t>(i)) % steps_of_a_minute == 0;
    evaluate_entry(entry, step, is_full, news);
    publish(entry);
    if (batch_.size() >= kSamplesAtOnce) note(batch_.flush(), "A series was not found again");
  }
  note(batch_.flush(), "A series was not found again");
  note(appender->commit().status(), "Series of objectives were not stored");
  count_states();
  tell(std::move(news), t);
}

void SloRunner::judge_group(Entry& entry, const tsdb::Labels& group, const BurnReading& reading,
                            BurnAlarm& alarm, std::vector<TierValue>& tiers, Verdicts& verdicts,
                            std::vector<ActiveAlert>& active, Timestamp t) {
  const Slo& slo = *entry.slo;
  judge_tiers(slo, reading, tiers);
  // What the journal says fires has fired, whoever evaluated then.
  if (!entry.alerts.empty()) {
    for (std::size_t i = 0; i < slo.alert_units().size(); ++i) {
      const AlertRecord* const record =
          entry.alerts.find(entry.texts->labels(slo, slo.alert_units()[i], group));
      if (record != nullptr && record->state == AlertState::kFiring) alarm.restore(i);
    }
  }
  verdicts = alarm.step(slo, reading, tiers);
  const bool has_alerts =
      verdicts.no_data ||
      std::any_of(verdicts.by_unit.begin(), verdicts.by_unit.end(),
                  [](const Verdict& one) { return one.is_active || one.lost_its_data; });
  if (!has_alerts) return;
  const bool is_paged = verdicts.of(Severity::kPage).is_active;
  const TemplateContext context{.now = t,
                                .external_url = settings_.external_url,
                                .external_labels = settings_.external_labels,
                                .query = {}};
  for (std::size_t i = 0; i < slo.alert_units().size(); ++i) {
    const AlertUnit& unit = slo.alert_units()[i];
    const Verdict& verdict = verdicts.by_unit[i];
    if (!verdict.is_active && !verdict.lost_its_data) continue;
    tsdb::Labels labels = entry.texts->labels(slo, unit, group);
    if (verdict.lost_its_data) {
      entry.lost_data.insert(std::move(labels));
      continue;
    }
    if (unit.severity == Severity::kTicket && is_paged) entry.inhibited.insert(labels);
    active.push_back(entry.texts->burning(slo, unit, labels, reading, tiers, verdict, context));
  }
  if (verdicts.no_data) {
    active.push_back(
        entry.texts->no_data(slo, entry.texts->no_data_labels(slo, group), reading, context));
  }
}

Status SloRunner::evaluate_absence(Entry& entry, bool is_full, std::vector<ActiveAlert>& active,
                                   Timestamp t) {
  if (!entry.absence) entry.absence = std::make_unique<Entry::Absence>();
  Entry::Absence& absence = *entry.absence;
  absence.reading = reading_without_data(*entry.slo, t, entry.watched_since);
  judge_group(entry, {}, absence.reading, absence.alarm, absence.tiers, absence.verdicts, active,
              t);
  // A sample of now would close the door to history that is just being written.
  if (t - entry.watched_since.value_or(t) <= kSamplesStopped) return {};
  return write_series(entry, {}, is_full, absence.reading, absence.verdicts, {}, t);
}

void SloRunner::end_absence(Entry& entry, Timestamp t) {
  if (!entry.absence) return;
  entry.absence.reset();
  if (entry.slo->group_by().empty()) return;  // Its series go on.
  const auto series = entry.series.find({});
  if (series == entry.series.end()) return;
  series->second.end(batch_.appender(), t);
  entry.series.erase(series);
}

Status SloRunner::write_series(Entry& entry, const tsdb::Labels& group, bool is_full,
                               const BurnReading& reading, const Verdicts& verdicts,
                               EventCounts cumulative, Timestamp t) {
  const auto at = entry.series.try_emplace(group).first;
  SloSeries& series = at->second;
  if (is_full || series.empty()) {
    entry.outputs->values(reading, verdicts, cumulative, values_);
  } else {
    SloOutputs::first_values(reading, verdicts, cumulative, values_);
  }
  return series.append(batch_, *entry.outputs, at->first, values_, t);
}

void SloRunner::evaluate_entry(Entry& entry, std::int64_t step, bool is_full,
                               std::vector<News>& news) {
  const Timestamp t = options_.clock.end_of(step);
  if (!entry.watched_since) entry.watched_since = t;
  std::vector<ActiveAlert> active;
  entry.inhibited.clear();
  entry.lost_data.clear();
  Status stored;
  bool has_groups = false;
  const auto write = [&](const tsdb::Labels& group, const BurnReading& reading,
                         const Verdicts& verdicts, EventCounts cumulative) {
    if (stored.ok()) {
      stored = write_series(entry, group, is_full, reading, verdicts, cumulative, t);
    }
  };
  const auto begin_group = [&] {
    if (!has_groups) end_absence(entry, t);
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
      write(labels, group->reading, group->verdicts, group->at(step).value_or(EventCounts{}));
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
  if (!has_groups) stored = evaluate_absence(entry, is_full, active, t);
  if (!stored.ok()) entry.last_error = stored.message();
  advance_alerts(entry, std::move(active), t, news);
}

}  // namespace tarsier::alerting
