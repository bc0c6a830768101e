#include "alerting/slo_runner.h"

#include <algorithm>
#include <set>
#include <utility>

#include "alerting/rule_evaluation.h"
#include "alerting/slo_entry.h"

namespace tarsier::alerting {

SloRunner::SloRunner(SloOptions options, SloDoors doors)
    : options_(options), doors_(std::move(doors)) {}

SloRunner::~SloRunner() { stop(); }

void SloRunner::stop() { cancel_.cancel(); }

std::unique_ptr<SloRunner::Entry> SloRunner::make_entry(std::shared_ptr<const Slo> slo) {
  auto entry = std::make_unique<Entry>();
  entry->owner = "slo;" + slo->id();
  entry->texts = std::make_unique<SloAlertTexts>(*slo);
  entry->outputs = std::make_unique<SloOutputs>(slo);
  entry->shown = std::make_shared<Shown>();
  if (slo->counting() == SloCounting::kEvents) {
    entry->counter = std::make_unique<SloCounter>(slo, options_.clock, doors_.history);
  } else {
    entry->ratios = std::make_unique<SloRatios>(slo);
  }
  entry->slo = std::move(slo);
  if (doors_.journal == nullptr) return entry;
  for (AlertRecord& alert : doors_.journal->alerts_of(entry->owner)) {
    const bool is_active = alert.state != AlertState::kInactive;
    if (is_active) {
      if (!entry->alert_series) entry->alert_series = std::make_unique<SeriesOutput>();
      for (const tsdb::Labels& labels : synthetic_series(alert)) {
        entry->alert_series->expect(labels);
      }
    }
    // An absence that was told of before goes on.
    const std::string_view name = alert.labels.get("alertname");
    if (is_active && name == no_data_alert_name(*entry->slo)) {
      const Timestamp since =
          alert.active_at - no_data_wait_of(*entry->slo) - options_.clock.length;
      entry->watched_since = std::min(entry->watched_since.value_or(since), since);
    }
    entry->alerts.put(std::move(alert));
  }
  return entry;
}

void SloRunner::apply(std::vector<std::shared_ptr<const Slo>> slos, SloSettings settings,
                      Timestamp now) {
  settings_ = std::move(settings);
  std::sort(slos.begin(), slos.end(),
            [](const auto& a, const auto& b) { return a->id() < b->id(); });
  std::map<std::string, std::unique_ptr<Entry>> former;
  for (std::unique_ptr<Entry>& entry : entries_) former[entry->slo->id()] = std::move(entry);
  entries_.clear();
  for (std::shared_ptr<const Slo>& slo : slos) {
    const auto found = former.find(slo->id());
    const bool is_same = found != former.end() &&
                         found->second->slo->counting() == slo->counting() &&
                         found->second->slo->signature() == slo->signature() &&
                         found->second->slo->definition().sli == slo->definition().sli;
    if (!is_same) {
      std::unique_ptr<Entry> entry = make_entry(slo);
      if (found != former.end()) {
        // Its alerts are the same ones, though counted differently now.
        end_series(*found->second, now);
        entry->alerts = std::move(found->second->alerts);
        entry->alert_series = std::move(found->second->alert_series);
        former.erase(found);
      }
      entries_.push_back(std::move(entry));
      continue;
    }
    std::unique_ptr<Entry> entry = std::move(found->second);
    former.erase(found);
    if (entry->slo->definition() != slo->definition()) {
      end_series(*entry, now);
      entry->texts = std::make_unique<SloAlertTexts>(*slo);
      entry->outputs = std::make_unique<SloOutputs>(slo);
      entry->absence.reset();
      if (entry->counter) entry->counter->set_slo(slo);
      if (entry->ratios) entry->ratios->set_slo(slo);
      entry->slo = slo;
    }
    entries_.push_back(std::move(entry));
  }
  for (auto& [id, entry] : former) retire(*entry, now);
  if (!is_started_) retire_forgotten(now);
  is_started_ = true;
  std::vector<SloCounter*> counters;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry->counter) counters.push_back(entry->counter.get());
  }
  taps_.rebuild(counters);
  // Series are found again by a recount, which is cheap for what the history has.
  const std::int64_t step = options_.clock.ended_by(now);
  for (SloCounter* const counter : counters) {
    if (counter->is_ready()) counter->mark_dirty(step);
  }
  if (doors_.select) doors_.select(taps_.selectors());
  publish_all();
}

void SloRunner::retire_forgotten(Timestamp now) {
  if (doors_.journal == nullptr) return;
  std::set<std::string, std::less<>> known;
  for (const std::unique_ptr<Entry>& entry : entries_) known.insert(entry->owner);
  for (const std::string& owner : doors_.journal->owners()) {
    if (!owner.starts_with("slo;") || known.contains(owner)) continue;
    Entry gone;
    gone.owner = owner;
    gone.alert_series = std::make_unique<SeriesOutput>();
    for (AlertRecord& alert : doors_.journal->alerts_of(owner)) {
      for (const tsdb::Labels& labels : synthetic_series(alert)) gone.alert_series->expect(labels);
      gone.alerts.put(std::move(alert));
    }
    retire(gone, now);
  }
}

void SloRunner::end_series(Entry& entry, Timestamp t) {
  if (entry.series.empty()) return;
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  for (auto& [group, series] : entry.series) series.end(*appender, t);
  note(appender->commit().status(), "Series of an objective were not ended");
  entry.series.clear();
}

void SloRunner::retire(Entry& entry, Timestamp t) {
  const AlertChanges changes = entry.alerts.end_all(t, ResolveReason::kRuleRemoved);
  journal(entry, changes, t);
  std::vector<Alert> due =
      entry.alerts.due_notifications(t, options_.resend_delay, minutes(4), settings_.external_url);
  std::erase_if(due, [](const Alert& alert) { return alert.state == AlertState::kFiring; });
  if (!due.empty()) tell({{.entry = &entry, .alerts = std::move(due)}}, t);
  if (doors_.journal != nullptr) doors_.journal->drop(entry.owner, t);
  write_alert_series(entry, t);
  end_series(entry, t);
}

void SloRunner::note(const Status& status, std::string_view text) {
  if (status.ok()) return;
  ++failures_;
  doors_.log.warn(text, {{"err", status.message()}});
}

void SloRunner::recount_since(Timestamp t) {
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry->counter && entry->counter->is_ready()) entry->counter->mark_late(t);
  }
}

Timestamp SloRunner::run_due(Timestamp now) {
  if (entries_.empty() || cancel_.is_cancelled()) return kNever;
  const std::int64_t step = options_.clock.ended_by(now - options_.settle);
  const bool is_due = step > last_step_;
  if (is_due) {
    const std::int64_t begin_ns = doors_.monotonic_ns();
    feed(step);
    // Before evaluating, at least what is a matter of milliseconds.
    const bool has_more = backfill(step);
    evaluate(step);
    seal(step);
    last_step_ = step;
    evaluation_seconds_ = static_cast<double>(doors_.monotonic_ns() - begin_ns) / 1e9;
    ++evaluations_;
    if (has_more) return now;
  } else if (backfill(std::max(step, last_step_))) {
    return now;
  }
  return options_.clock.end_of(std::max(step, last_step_) + 1) + options_.settle;
}

}  // namespace tarsier::alerting
