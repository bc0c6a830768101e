// How samples reach objectives: from a follower of the log, from storage, and counted anew.

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "alerting/sli_terms.h"
#include "alerting/slo_entry.h"
#include "alerting/slo_runner.h"

namespace tarsier::alerting {
namespace {

/// What a poll looks back for: scrapes and senders are late by less.
constexpr Duration kPollBack = minutes(5);
/// In one file of what was counted anew; 4 KiB of memory each.
constexpr std::size_t kSegmentsAtOnce = 8'192;

/// A histogram has all of its buckets from the first sample on: without the one that is looked for,
/// every event seems bad.
bool lacks_bucket(const Slo& slo, const std::vector<ScannedSeries>& series) {
  const SliDefinition& sli = slo.definition().sli;
  const bool has_buckets = sli.kind == SliDefinition::Kind::kBuckets ||
                           (sli.kind == SliDefinition::Kind::kLatency && !sli.is_native);
  const auto has = [&](std::size_t term) {
    return std::any_of(series.begin(), series.end(),
                       [&](const ScannedSeries& one) { return one.term == term; });
  };
  return has_buckets && has(0) && !has(1);
}

}  // namespace

bool SloRunner::backfill(std::int64_t step) {
  const std::int64_t begin_ns = doors_.monotonic_ns();
  // One file for all of them: thousands would each be asked for every window.
  std::vector<EventSegment> segments;
  std::vector<SloCounter*> counted;
  const auto put_away = [&] {
    if (doors_.history == nullptr || segments.empty()) return;
    const Status written = doors_.history->write(std::exchange(segments, {}));
    note(written, "Counted events are not stored; they are counted again");
    if (!written.ok()) {
      for (SloCounter* const counter : counted) counter->mark_unwritten();
    }
    counted.clear();
  };
  bool has_more = false;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (!entry->counter || cancel_.is_cancelled()) continue;
    if (entry->counter->is_ready() && !entry->counter->is_dirty(step)) continue;
    if (doors_.monotonic_ns() - begin_ns > options_.backfill_slice.ms * 1'000'000) {
      has_more = true;
      break;
    }
    Result<std::vector<ScannedSeries>> scanned =
        entry->counter->recount(doors_.storage, step, &cancel_, &segments);
    ++recounts_;
    if (scanned.ok()) {
      counted.push_back(entry->counter.get());
      taps_.adopt(*entry->counter, *scanned);
      entry->last_error.clear();
      if (const bool lacks = lacks_bucket(*entry->slo, *scanned); lacks || entry->lacks_bucket) {
        const std::string selector = selector_text(entry->slo->terms()[1].matchers);
        if (lacks)
          entry->last_error =
              fmt::format("there is no bucket {}: every event counts as bad", selector);
        if (lacks && !entry->lacks_bucket) {
          doors_.log.error("A histogram has no bucket with the bound of its objective",
                           {{"slo", entry->slo->id()}, {"bucket", selector}});
        }
        entry->lacks_bucket = lacks;
      }
      if (segments.size() >= kSegmentsAtOnce) put_away();
      continue;
    }
    if (cancel_.is_cancelled()) break;
    ++failures_;
    entry->last_error = scanned.status().message();
    doors_.log.warn("Counting the events of an objective failed; it is tried again",
                    {{"slo", entry->slo->id()}, {"err", entry->last_error}});
  }
  put_away();
  return has_more;
}

void SloRunner::feed(std::int64_t step) {
  const Status status = doors_.pull ? doors_.pull(taps_) : poll(step);
  series_count_ = taps_.series_count();
  note(status, "Following samples for objectives failed");
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

void SloRunner::seal(std::int64_t step) {
  // Once a minute is often enough for what happens once an hour.
  if (doors_.history == nullptr || step % 4 != 0) return;
  std::vector<EventSegment> segments;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (!entry->counter || !entry->counter->is_ready()) continue;
    if (entry->lacks_bucket) entry->counter->mark_dirty(step);  // Looked for again.
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
  note(doors_.history->drop_before(segment_of(oldest)), "Old counts of events are not removed");
}

}  // namespace tarsier::alerting
