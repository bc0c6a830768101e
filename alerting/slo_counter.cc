#include "alerting/slo_counter.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace tarsier::alerting {
namespace {

/// What comes with a clock that is ahead.
constexpr std::int64_t kEarlySteps = 40;

HistoryKey key_of(const Slo& slo, const tsdb::Labels& group) {
  std::string text = slo.id();
  text += '\0';
  text += slo.signature();
  text += '\0';
  return history_key(text.append(group.encoded()));
}

}  // namespace

GroupCounter::GroupCounter(const Slo& slo, tsdb::Labels group, const StepClock& clock,
                           const EventHistory* history)
    : clock_(clock),
      history_(history),
      group_(std::move(group)),
      key_(key_of(slo, group_)),
      ring_(static_cast<std::size_t>(kRingSteps + 1 + kEarlySteps)) {}

bool GroupCounter::resume() {
  if (history_ == nullptr) return false;
  const std::optional<std::int64_t> newest = history_->newest(key_);
  if (!newest) return false;
  const std::optional<EventSegment> segment = history_->find(key_, *newest);
  if (!segment) return false;
  EventCounts counts = segment->base;
  for (const EventCounts& events : segment->events) counts += events;
  mark_sealed(*newest);
  measured_from_ = segment->measured_from;
  ring_.reset(sealed_end_, counts);
  close_step();
  is_begun_ = false;
  return true;
}

void GroupCounter::begin_at(std::int64_t step) {
  measured_from_ = step;
  // Whole segments only: what was before is none.
  sealed_end_ = segment_of(step) * kSegmentSteps;
  ring_.reset(std::max<std::int64_t>(std::max(sealed_end_, step - kRingSteps), 0), {});
  close_step();
  is_begun_ = false;
}

bool GroupCounter::add_elsewhere(Timestamp t, EventCounts events) {
  note_sample(t);
  const std::int64_t step = clock_.step_of(t);
  if (step <= sealed_end_) return false;
  if (ring_.empty() || step > ring_.newest() + kRingSteps || step <= ring_.oldest()) return false;
  const bool is_ahead = open_step_ == kNoStep || step > open_step_;
  if (is_ahead && step >= ring_.newest()) {
    settle();
    open_step_ = step;
    open_.end_ms = clock_.end_of(step).ms;
    open_.begin_ms = open_.end_ms - clock_.length.ms;
    open_.events = events;
  } else {
    ring_.add(step, events);
  }
  if (events.total > 0) open_.last_event_ms = std::max(open_.last_event_ms, t.ms);
  return true;
}

void GroupCounter::settle() {
  if (open_step_ == kNoStep) return;
  ring_.add(open_step_, std::exchange(open_.events, {}));
}

void GroupCounter::close_step() {
  open_step_ = kNoStep;
  open_.begin_ms = open_.end_ms = 0;
  open_.events = {};
}

void GroupCounter::mark_sealed(std::int64_t segment) {
  sealed_end_ = (segment + 1) * kSegmentSteps;
  if (open_step_ > sealed_end_) return;
  settle();
  close_step();
}

std::optional<EventCounts> GroupCounter::stored(std::int64_t step) const {
  if (step < measured_from_) return EventCounts{};
  if (history_ == nullptr) return std::nullopt;
  const std::optional<EventSegment> segment = history_->find(key_, segment_of(step));
  if (!segment) return std::nullopt;
  EventCounts counts = segment->base;
  for (std::int64_t n = first_step_of(segment->segment); n <= step; ++n) {
    counts += segment->events[static_cast<std::size_t>(n - first_step_of(segment->segment))];
  }
  return counts;
}

std::optional<EventCounts> GroupCounter::at(std::int64_t step) const {
  if (ring_.empty() || step < ring_.oldest()) return stored(step);
  EventCounts counts = ring_.at(step);
  if (step >= open_step_) counts += open_.events;
  return counts;
}

void GroupCounter::fill(Edge& edge, std::int64_t step) const {
  edge.first_step = step;
  edge.count = 0;
  // Of many groups each begins anew at another step: none reads its files when all others do.
  const auto size = static_cast<std::int64_t>(edge.counts.size());
  const auto phase = static_cast<std::int64_t>(key_.bytes[0]) % size;
  const std::int64_t end = step + size - (step + phase) % size;
  while (step < end) {
    const std::optional<EventSegment> segment = history_->find(key_, segment_of(step));
    if (!segment) return;
    EventCounts counts = segment->base;
    const std::int64_t begin = first_step_of(segment->segment);
    for (std::int64_t n = begin; n < begin + kSegmentSteps && n < end; ++n) {
      counts += segment->events[static_cast<std::size_t>(n - begin)];
      if (n >= step) edge.counts[edge.count++] = counts;
    }
    step = begin + kSegmentSteps;
  }
}

std::optional<EventCounts> GroupCounter::edge_at(std::size_t window, std::int64_t step) {
  if (step >= ring_.oldest()) return ring_.at(step);
  if (step < measured_from_) return EventCounts{};
  if (history_ == nullptr) return std::nullopt;
  if (edges_.size() <= window) edges_.resize(window + 1);
  if (!edges_[window]) edges_[window] = std::make_unique<Edge>();
  Edge& edge = *edges_[window];
  const auto is_in = [&] {
    return edge.first_step <= step &&
           step < edge.first_step + static_cast<std::int64_t>(edge.count);
  };
  if (!is_in()) fill(edge, step);
  if (!is_in()) return std::nullopt;
  return edge.counts[static_cast<std::size_t>(step - edge.first_step)];
}

void GroupCounter::read(const Slo& slo, std::int64_t step, BurnReading& out) {
  settle();
  out.last_sample = moment(open_.last_sample_ms);
  out.last_event = moment(open_.last_event_ms);
  read_windows(
      slo, clock_, step, measured_from_,
      [this](std::size_t window, std::int64_t at) { return edge_at(window, at); }, out);
}

void GroupCounter::take_finished(std::int64_t step, std::vector<EventSegment>& out) const {
  if (ring_.empty()) return;
  for (std::int64_t segment = segment_of(sealed_end_ + 1);
       (segment + 1) * kSegmentSteps + kSettleSteps <= step; ++segment) {
    const std::int64_t begin = first_step_of(segment);
    if (begin - 1 < ring_.oldest()) break;  // The ring has moved on: it must be counted anew.
    EventSegment one{.key = key_,
                     .segment = segment,
                     .base = *at(begin - 1),
                     .measured_from = measured_from_,
                     .events = {}};
    for (std::int64_t n = begin; n < begin + kSegmentSteps; ++n) {
      one.events.push_back(*at(n) - *at(n - 1));
    }
    out.push_back(std::move(one));
  }
}

void GroupCounter::replace(const GroupEvents& scanned, std::int64_t first_step,
                           std::int64_t now_step, std::vector<EventSegment>& segments) {
  const std::optional<EventCounts> base = at(first_step - 1);
  CHECK(base.has_value());
  settle();
  // Samples of the next step are here already, and nobody brings them again.
  std::vector<EventCounts> ahead;
  kept_ahead_ = std::exchange(is_begun_, true);
  for (std::int64_t n = std::max(now_step + 1, ring_.oldest() + 1);
       kept_ahead_ && n <= ring_.newest(); ++n) {
    ahead.push_back(ring_.at(n) - ring_.at(n - 1));
  }
  const std::int64_t ahead_step = ring_.newest() + 1 - static_cast<std::int64_t>(ahead.size());
  const auto events_at = [&](std::int64_t step, std::int64_t scan_first) -> EventCounts {
    const std::int64_t i = step - scan_first;
    return i >= 0 && i < static_cast<std::int64_t>(scanned.events.size())
               ? scanned.events[static_cast<std::size_t>(i)]
               : EventCounts{};
  };
  const std::int64_t scan_first = now_step - static_cast<std::int64_t>(scanned.events.size()) + 1;
  const std::int64_t ring_begin = std::max(first_step - 1, now_step - kRingSteps);
  EventCounts counts = *base;
  EventSegment open{.key = key_};
  for (std::int64_t step = first_step; step <= now_step; ++step) {
    if (step == ring_begin + 1) {
      ring_.reset(ring_begin, counts);
      close_step();
    }
    const EventCounts events = events_at(step, scan_first);
    const std::int64_t segment = segment_of(step);
    if (open.events.empty()) {
      open.segment = segment;
      open.base = counts;
    }
    // A segment that begins in the middle had nothing before.
    const auto index = static_cast<std::size_t>(step - first_step_of(segment));
    open.events.resize(index);
    open.events.push_back(events);
    counts += events;
    if (step > ring_begin) ring_.add(step, events);
    if (events.total > 0) {
      const Timestamp t = clock_.end_of(step);
      open_.last_event_ms = scanned.last_sample ? std::min(t, *scanned.last_sample).ms : t.ms;
    }
    const bool is_whole = step == (segment + 1) * kSegmentSteps;
    if (is_whole && step + kSettleSteps <= now_step) {
      open.measured_from = measured_from_;
      segments.push_back(std::exchange(open, {.key = key_}));
      sealed_end_ = step;
    } else if (is_whole) {
      open = {.key = key_};
    }
  }
  if (ring_.empty() || ring_.newest() < now_step) {
    if (ring_.empty()) ring_.reset(ring_begin, counts);
    settle();
    ring_.advance(now_step);
  }
  for (std::size_t n = 0; n < ahead.size(); ++n) {
    const std::int64_t step = ahead_step + static_cast<std::int64_t>(n);
    if (step > ring_.newest()) ring_.add(step, ahead[n]);
  }
  edges_.clear();
  if (scanned.last_sample) note_sample(*scanned.last_sample);
}

SloCounter::SloCounter(std::shared_ptr<const Slo> slo, const StepClock& clock,
                       EventHistory* history)
    : slo_(std::move(slo)), clock_(clock), history_(history) {}

void SloCounter::set_slo(std::shared_ptr<const Slo> slo) {
  CHECK(slo->id() == slo_->id() && slo->signature() == slo_->signature());
  if (slo->tiers() != slo_->tiers() || slo->windows() != slo_->windows()) {
    // What was read was for other windows.
    for (const auto& [labels, group] : groups_) group->reading = {};
  }
  // Alarms remember tiers by position.
  if (slo->tiers() != slo_->tiers()) {
    for (const auto& [labels, group] : groups_) {
      BurnAlarm alarm;
      const bool is_alike = slo->alert_units().size() == slo_->alert_units().size();
      for (std::size_t i = 0; is_alike && i < slo->alert_units().size(); ++i) {
        if (group->verdicts.by_unit[i].is_active) alarm.restore(i);
      }
      group->alarm = alarm;
    }
  }
  slo_ = std::move(slo);
}

void SloCounter::mark_dirty(std::int64_t step) {
  dirty_from_ = std::min(dirty_from_.value_or(step), step);
}

GroupCounter& SloCounter::group(const tsdb::Labels& labels) {
  std::unique_ptr<GroupCounter>& group = groups_[labels];
  if (!group) group = std::make_unique<GroupCounter>(*slo_, labels, clock_, history_);
  return *group;
}

Status SloCounter::find_groups(const tsdb::Querier& querier, TimeRange range,
                               const CancelToken* cancel) {
  for (const SliTerm& term : slo_->terms()) {
    const std::unique_ptr<tsdb::SeriesSet> set =
        TRY(querier.select(term.matchers, {.range = range}, cancel));
    if (slo_->group_by().empty()) {
      if (set->size() > 0) group({});
      continue;
    }
    for (std::size_t i = 0; i < set->size(); ++i) group(group_of(*slo_, set->labels(i)));
  }
  return {};
}

Result<std::vector<ScannedSeries>> SloCounter::recount(tsdb::Queryable& storage,
                                                       std::int64_t now_step,
                                                       const CancelToken* cancel,
                                                       std::vector<EventSegment>* batch) {
  const std::int64_t period_steps = clock_.steps_in(slo_->period_at_most());
  const std::int64_t earliest = std::max<std::int64_t>(now_step - period_steps + 1, 1);
  const std::unique_ptr<tsdb::Querier> querier =
      TRY(storage.querier(scan_range(clock_, earliest, now_step)));
  TRY(find_groups(*querier, scan_range(clock_, earliest, now_step), cancel));
  std::int64_t first = now_step + 1;
  for (const auto& [labels, group] : groups_) {
    if (!group->is_ready() && !group->resume()) {
      first = earliest;
      continue;
    }
    // Counts are replaced from a segment's begin on, where the count before is known for sure.
    std::int64_t from = group->sealed_end() + 1;
    if (dirty_from_) from = std::min(from, first_step_of(segment_of(*dirty_from_)));
    first = std::min(first, std::max(from, earliest));
  }
  const EventScan scan = TRY(scan_events(*querier, *slo_, clock_, first, now_step, cancel));
  std::vector<EventSegment> segments;
  for (const auto& [labels, group] : groups_) {
    const auto found = scan.groups.find(labels);
    static const GroupEvents kNothing;
    const GroupEvents& events = found == scan.groups.end() ? kNothing : found->second;
    std::int64_t from = first;
    if (!group->is_ready()) {
      const std::int64_t measured =
          events.first_sample ? std::max(clock_.step_of(*events.first_sample), first) : now_step;
      group->begin_at(measured);
      from = measured;
    } else if (!dirty_from_) {
      from = group->sealed_end() + 1;
    } else if (from <= group->measured_from()) {
      const std::int64_t measured =
          events.first_sample ? std::max(clock_.step_of(*events.first_sample), first) : from;
      group->begin_at(std::min(measured, group->measured_from()));
      from = group->measured_from();
    }
    if (!group->at(from - 1)) {  // A hole in the history: what is before it cannot be used.
      group->begin_at(from);
    }
    group->replace(events, from, now_step, segments);
  }
  if (batch != nullptr) {
    std::move(segments.begin(), segments.end(), std::back_inserter(*batch));
  } else if (history_ != nullptr) {
    TRY(history_->write(std::move(segments)));
  }
  dirty_from_.reset();
  is_ready_ = true;
  return scan.series;
}

void SloCounter::take_finished(std::int64_t step, std::vector<EventSegment>& out) const {
  for (const auto& [labels, group] : groups_) group->take_finished(step, out);
}

void SloCounter::mark_sealed(std::int64_t segment) {
  for (const auto& [labels, group] : groups_) {
    const std::int64_t end = (segment + 1) * kSegmentSteps;
    if (group->is_ready() && group->sealed_end() < end) group->mark_sealed(segment);
  }
}

}  // namespace tarsier::alerting
