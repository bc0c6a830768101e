#include "alerting/slo_runner.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::alerting {
namespace {

/// What a poll looks back for: scrapes and senders are late by less.
constexpr Duration kPollBack = minutes(5);

bool is_news(const AlertRecord& alert) {
  return alert.last_sent <
         (alert.state == AlertState::kInactive ? alert.resolved_at : alert.fired_at);
}

}  // namespace

struct SloRunner::Entry {
  std::shared_ptr<const Slo> slo;
  std::string owner;
  std::unique_ptr<SloCounter> counter;  ///< One of the two.
  std::unique_ptr<SloRatios> ratios;
  std::unique_ptr<SloAlertTexts> texts;
  AlertTable alerts;
  std::map<tsdb::Labels, SloSeries> series;
  /// Alerts whose page fires, so that nobody needs to be told of the ticket.
  std::set<tsdb::Labels> inhibited;
  std::set<tsdb::Labels> lost_data;
  std::string last_error;

  bool is_ready() const { return !counter || counter->is_ready(); }
};

struct SloRunner::News {
  Entry* entry = nullptr;
  std::vector<Alert> alerts;
};

SloRunner::SloRunner(SloOptions options, SloDoors doors)
    : options_(options), doors_(std::move(doors)) {}

SloRunner::~SloRunner() { stop(); }

void SloRunner::stop() { cancel_.cancel(); }

std::unique_ptr<SloRunner::Entry> SloRunner::make_entry(std::shared_ptr<const Slo> slo) {
  auto entry = std::make_unique<Entry>();
  entry->owner = "slo;" + slo->id();
  entry->texts = std::make_unique<SloAlertTexts>(*slo);
  if (slo->counting() == SloCounting::kEvents) {
    entry->counter = std::make_unique<SloCounter>(slo, options_.clock, doors_.history);
  } else {
    entry->ratios = std::make_unique<SloRatios>(slo);
  }
  entry->slo = std::move(slo);
  if (doors_.journal != nullptr) {
    for (AlertRecord& alert : doors_.journal->alerts_of(entry->owner)) {
      entry->alerts.put(std::move(alert));
    }
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
        // Its alerts and series are the same ones, though counted differently now.
        entry->alerts = std::move(found->second->alerts);
        entry->series = std::move(found->second->series);
        former.erase(found);
      }
      entries_.push_back(std::move(entry));
      continue;
    }
    std::unique_ptr<Entry> entry = std::move(found->second);
    former.erase(found);
    if (entry->slo->definition() != slo->definition()) {
      const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
      for (auto& [group, series] : entry->series) series.end(*appender, now);
      static_cast<void>(appender->commit());
      entry->series.clear();
      entry->texts = std::make_unique<SloAlertTexts>(*slo);
      if (entry->counter) entry->counter->set_slo(slo);
      if (entry->ratios) entry->ratios->set_slo(slo);
      entry->slo = slo;
    }
    entries_.push_back(std::move(entry));
  }
  for (auto& [id, entry] : former) retire(*entry, now);
  if (!is_started_ && doors_.journal != nullptr) {
    // Objectives that went away while the process was down.
    for (const std::string& owner : doors_.journal->owners()) {
      if (!owner.starts_with("slo;")) continue;
      const bool is_there = std::any_of(entries_.begin(), entries_.end(),
                                        [&](const auto& e) { return e->owner == owner; });
      if (is_there) continue;
      Entry gone;
      gone.owner = owner;
      for (AlertRecord& alert : doors_.journal->alerts_of(owner)) gone.alerts.put(std::move(alert));
      retire(gone, now);
    }
  }
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
  MutexLock lock(mutex_);
  std::erase_if(published_, [&](const auto& one) {
    return std::none_of(entries_.begin(), entries_.end(),
                        [&](const auto& e) { return e->slo->id() == one.first; });
  });
  for (const std::unique_ptr<Entry>& entry : entries_) {
    std::shared_ptr<const SloStatus>& status = published_[entry->slo->id()];
    auto next = std::make_shared<SloStatus>();
    if (status && status->slo->definition() == entry->slo->definition()) *next = *status;
    next->slo = entry->slo;
    status = std::move(next);
  }
}

void SloRunner::retire(Entry& entry, Timestamp t) {
  const AlertChanges changes = entry.alerts.end_all(t, ResolveReason::kRuleRemoved);
  journal(entry, changes, t);
  std::vector<Alert> due =
      entry.alerts.due_notifications(t, options_.resend_delay, minutes(4), settings_.external_url);
  std::erase_if(due, [](const Alert& alert) { return alert.state == AlertState::kFiring; });
  if (!due.empty()) tell({{.entry = &entry, .alerts = std::move(due)}}, t);
  if (doors_.journal != nullptr) doors_.journal->drop(entry.owner, t);
  if (entry.series.empty()) return;
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  for (auto& [group, series] : entry.series) series.end(*appender, t);
  static_cast<void>(appender->commit());
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

bool SloRunner::backfill(std::int64_t step) {
  const std::int64_t begin_ns = doors_.monotonic_ns();
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (!entry->counter || cancel_.is_cancelled()) continue;
    if (entry->counter->is_ready() && !entry->counter->is_dirty(step)) continue;
    if (doors_.monotonic_ns() - begin_ns > options_.backfill_slice.ms * 1'000'000) return true;
    Result<std::vector<ScannedSeries>> scanned =
        entry->counter->recount(doors_.storage, step, &cancel_);
    ++recounts_;
    if (scanned.ok()) {
      taps_.adopt(*entry->counter, *scanned);
      entry->last_error.clear();
      continue;
    }
    if (cancel_.is_cancelled()) return false;
    ++failures_;
    entry->last_error = scanned.status().message();
    doors_.log.warn("Counting the events of an objective failed; it is tried again",
                    {{"slo", entry->slo->id()}, {"err", entry->last_error}});
  }
  return false;
}

void SloRunner::feed(std::int64_t step) {
  const Status status = doors_.pull ? doors_.pull(taps_) : poll(step);
  series_count_ = taps_.series_count();
  if (status.ok()) return;
  ++failures_;
  doors_.log.warn("Following samples for objectives failed", {{"err", status.message()}});
}

Status SloRunner::poll(std::int64_t step) {
  const Timestamp end = options_.clock.end_of(step);
  const Timestamp last = options_.clock.end_of(last_step_);
  const TimeRange range{.min = last_step_ == 0 ? end - kPollBack : std::min(end, last) - kPollBack,
                        .max = end};
  const std::unique_ptr<tsdb::Querier> querier = TRY(doors_.storage.querier(range));
  tsdb::SampleColumns columns;
  tsdb::HistogramColumns histograms;
  std::set<std::uint32_t> seen;
  for (const std::vector<tsdb::Matcher>& selector : taps_.selectors()) {
    const std::unique_ptr<tsdb::SeriesSet> set =
        TRY(querier->select(selector, {.range = range}, &cancel_));
    for (std::size_t i = 0; i < set->size(); ++i) {
      const SloTaps::Id id = taps_.follow(set->labels(i));
      if (!id || !seen.insert(id.value).second) continue;
      columns.clear();
      histograms.clear();
      TRY(set->read_mixed(i, range, columns, histograms));
      for (std::size_t n = 0; n < columns.size(); ++n) {
        const Timestamp t{columns.times_ms[n]};
        if (taps_.is_new(id, t)) taps_.add(id, t, columns.values[n]);
      }
      for (std::size_t n = 0; n < histograms.size(); ++n) {
        const Timestamp t{histograms.times_ms[n]};
        if (taps_.is_new(id, t)) taps_.add_histogram(id, t, histograms.at(n));
      }
    }
  }
  return {};
}

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
  if (const Status status = appender->commit().status(); !status.ok()) {
    ++failures_;
    doors_.log.warn("Series of objectives were not stored", {{"err", status.message()}});
  }
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

void SloRunner::evaluate_entry(Entry& entry, std::int64_t step, bool is_minute,
                               tsdb::Appender& appender, std::vector<News>& news) {
  const Timestamp t = options_.clock.end_of(step);
  std::vector<ActiveAlert> active;
  entry.inhibited.clear();
  entry.lost_data.clear();
  const auto write = [&](const tsdb::Labels& group, const BurnReading& reading,
                         const Verdicts& verdicts, EventCounts cumulative) {
    SloSeries& series = entry.series[group];
    if (!is_minute && !series.empty()) {
      const double nothing = std::nan("");
      return series.append_first(
          appender,
          {reading.has_counts ? cumulative.total : nothing,
           reading.has_counts ? cumulative.bad : nothing, static_cast<double>(verdicts.state)},
          t);
    }
    return series.append(appender, slo_outputs(*entry.slo, group, reading, verdicts, cumulative),
                         t);
  };
  Status stored;
  if (entry.counter) {
    for (auto& [labels, group] : entry.counter->groups()) {
      if (!group->is_ready()) continue;
      group->read(*entry.slo, step, group->reading);
      judge_group(entry, labels, group->reading, group->alarm, group->tiers, group->verdicts,
                  active, t);
      const EventCounts cumulative = group->at(step).value_or(EventCounts{});
      if (stored.ok()) stored = write(labels, group->reading, group->verdicts, cumulative);
    }
  } else {
    for (auto& [labels, group] : entry.ratios->groups()) {
      judge_group(entry, labels, group.reading, group.alarm, group.tiers, group.verdicts, active,
                  t);
      if (stored.ok()) stored = write(labels, group.reading, group.verdicts, {});
    }
  }
  if (!stored.ok()) entry.last_error = stored.message();
  advance_alerts(entry, std::move(active), t, news);
}

void SloRunner::advance_alerts(Entry& entry, std::vector<ActiveAlert> active, Timestamp t,
                               std::vector<News>& news) {
  if (active.empty() && entry.alerts.empty()) return;
  for (const tsdb::Labels& labels : entry.lost_data) {
    journal(entry, entry.alerts.end(labels, t, ResolveReason::kDataStopped), t);
  }
  const AlertChanges changes = entry.alerts.advance(std::move(active), t, {}, 0);
  if (!changes.status.ok()) {
    entry.last_error = changes.status.message();
    return;
  }
  journal(entry, changes, t);
  const Duration validity{4 * std::max(options_.clock.length, options_.resend_delay).ms};
  std::vector<Alert> due = entry.alerts.due_notifications(
      t, options_.resend_delay, validity,
      fmt::format("{}/slos/{}", settings_.external_url, entry.slo->id()));
  std::erase_if(due, [&](const Alert& alert) {
    return alert.state == AlertState::kFiring && entry.inhibited.contains(alert.labels);
  });
  if (!due.empty()) news.push_back({.entry = &entry, .alerts = std::move(due)});
}

void SloRunner::journal(const Entry& entry, const AlertChanges& changes, Timestamp t) {
  if (doors_.journal == nullptr) return;
  for (const AlertRecord& alert : changes.written) doors_.journal->put(entry.owner, alert, t);
  for (const tsdb::Labels& labels : changes.erased) doors_.journal->erase(entry.owner, labels, t);
}

void SloRunner::tell(std::vector<News> news, Timestamp t) {
  if (doors_.journal != nullptr) doors_.journal->evaluated("slo", t);
  if (news.empty()) {
    // Failures are told by the journal.
    if (doors_.journal != nullptr) static_cast<void>(doors_.journal->write());
    return;
  }
  AlertBatch batch{.source = "slo", .at = t, .position = {}, .alerts = {}};
  if (doors_.journal != nullptr) {
    batch.position = doors_.journal->position();
    // A disk that fails is no reason to keep a page from anybody.
    static_cast<void>(doors_.journal->sync(batch.position));
  }
  for (const News& part : news) {
    batch.alerts.insert(batch.alerts.end(), part.alerts.begin(), part.alerts.end());
  }
  if (doors_.sink != nullptr) {
    if (const Status status = doors_.sink->deliver(batch); !status.ok()) {
      ++failures_;
      doors_.log.warn("Notifications were not taken; the next evaluation tries again",
                      {{"err", status.message()}});
      return;
    }
  }
  for (const News& part : news) {
    for (const Alert& alert : part.alerts) {
      const AlertRecord* const record = part.entry->alerts.find(alert.labels);
      if (doors_.journal != nullptr && record != nullptr && is_news(*record)) {
        doors_.journal->sent(part.entry->owner, alert.labels, t);
      }
    }
    part.entry->alerts.mark_sent(part.alerts, t);
  }
  if (doors_.journal != nullptr) static_cast<void>(doors_.journal->write());
}

void SloRunner::seal(std::int64_t step) {
  // Once a minute is often enough for what happens once an hour.
  if (doors_.history == nullptr || step % 4 != 0) return;
  std::vector<EventSegment> segments;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (!entry->counter || !entry->counter->is_ready()) continue;
    entry->counter->take_finished(step, segments);
    for (const auto& [labels, group] : entry->counter->groups()) {
      // Nobody evaluated for so long that the ring has moved on.
      if (group->is_ready() && step - group->sealed_end() > kRingSteps) {
        entry->counter->mark_dirty(group->sealed_end() + 1);
      }
    }
  }
  if (segments.empty()) return;
  std::int64_t newest = segments.front().segment;
  for (const EventSegment& segment : segments) newest = std::max(newest, segment.segment);
  const Status status = doors_.history->write(std::move(segments));
  if (!status.ok()) {
    ++failures_;
    doors_.log.error("Counted events are not stored; it is tried again",
                     {{"err", status.message()}});
    return;
  }
  Duration longest{0};
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry->counter) entry->counter->mark_sealed(newest);
    longest = std::max(longest, entry->slo->period_at_most());
  }
  const std::int64_t oldest = step - options_.clock.steps_in(longest) - kSegmentSteps;
  static_cast<void>(doors_.history->drop_before(segment_of(oldest)));
}

void SloRunner::publish(Entry& entry) {
  auto status = std::make_shared<SloStatus>();
  status->slo = entry.slo;
  status->is_ready = entry.is_ready();
  status->last_error = entry.last_error;
  if (entry.counter) {
    for (const auto& [labels, group] : entry.counter->groups()) {
      if (!group->is_ready()) continue;
      status->groups.push_back(
          {.group = labels,
           .reading = group->reading,
           .tiers = group->tiers,
           .verdicts = group->verdicts,
           .cumulative =
               group->at(options_.clock.step_of(group->reading.t)).value_or(EventCounts{})});
    }
  } else {
    for (const auto& [labels, group] : entry.ratios->groups()) {
      status->groups.push_back({.group = labels,
                                .reading = group.reading,
                                .tiers = group.tiers,
                                .verdicts = group.verdicts,
                                .cumulative = {}});
    }
  }
  for (const auto& [labels, alert] : entry.alerts.records()) {
    if (alert.state != AlertState::kInactive) status->alerts.push_back(alert);
  }
  MutexLock lock(mutex_);
  published_[entry.slo->id()] = std::move(status);
}

std::vector<std::shared_ptr<const SloStatus>> SloRunner::status() const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<const SloStatus>> out;
  for (const auto& [id, status] : published_) out.push_back(status);
  return out;
}

std::shared_ptr<const SloStatus> SloRunner::find(std::string_view id) const {
  MutexLock lock(mutex_);
  const auto found = published_.find(id);
  return found == published_.end() ? nullptr : found->second;
}

void SloRunner::collect(MetricWriter& out) const {
  std::size_t count = 0;
  {
    MutexLock lock(mutex_);
    count = published_.size();
  }
  out.gauge("tarsier_slo_objectives", "Objectives that are configured.",
            static_cast<double>(count));
  out.gauge("tarsier_slo_followed_series", "Series whose samples are counted for objectives.",
            static_cast<double>(series_count_.load()));
  out.counter("tarsier_slo_evaluations_total", "Evaluations of all objectives.",
              static_cast<double>(evaluations_.load()));
  out.counter("tarsier_slo_evaluation_failures_total",
              "Objectives, series or notifications that failed.",
              static_cast<double>(failures_.load()));
  out.counter("tarsier_slo_recounts_total",
              "Objectives counted anew from stored samples: new ones, and after late samples.",
              static_cast<double>(recounts_.load()));
  out.gauge("tarsier_slo_evaluation_seconds", "How long the last evaluation took.",
            evaluation_seconds_.load());
  if (doors_.history != nullptr) {
    out.gauge("tarsier_slo_history_bytes", "Size of the files of counted events.",
              static_cast<double>(doors_.history->size_bytes()));
  }
}

}  // namespace tarsier::alerting
