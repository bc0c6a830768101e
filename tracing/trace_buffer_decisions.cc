// How traces leave the buffer: what is due and what goes early, decisions, and removing what the
// log needs no more.

#include <algorithm>
#include <tuple>
#include <utility>

#include "tracing/buffer/buffered_trace.h"

namespace tarsier::tracing {
namespace {

/// Traces decided under one hold of a shard's lock.
constexpr std::size_t kDecisionsPerLock = 256;
constexpr Duration kAdaptEvery = seconds(10);
/// Above this share of late spans the wait grows, below a quarter of it it shrinks.
constexpr double kLateShareMax = 0.001;
/// What the log keeps of traces that have waited this long when its disk runs short.
constexpr Duration kShortWait = seconds(5);
/// A segment is finished at this age, so that a start need not read what was decided long ago.
constexpr Duration kSegmentAge = minutes(1);

/// Nearly all of a bound is used.
bool is_tight(std::uint64_t used, std::uint64_t bound) { return used >= bound - bound / 4; }

}  // namespace

Timestamp TraceBuffer::run_due(Timestamp now) {
  now_ms_.store(now.ms, std::memory_order_relaxed);
  for (Shard& shard : *shards_) decide_due(shard, now);
  decide_early(now);
  hand_over(now);
  adapt_wait();
  tidy(now);
  return now + milliseconds(Shard::kTickMs);
}

void TraceBuffer::decide_due(Shard& shard, Timestamp now) {
  const Duration idle_wait{idle_wait_ms_.load(std::memory_order_relaxed)};
  const std::int64_t tick = now.ms / Shard::kTickMs;
  for (bool is_done = false; !is_done;) {
    std::vector<std::unique_ptr<Decided>> decided;
    const MutexLock lock(shard.mutex);
    std::size_t count = 0;
    while (!shard.wheel.empty() && count < kDecisionsPerLock) {
      const auto first = shard.wheel.begin();
      if (first->first > tick) break;
      if (first->second.empty()) {
        shard.wheel.erase(first);
        continue;
      }
      const TraceId id = first->second.back();
      first->second.pop_back();
      ++count;
      const auto found = shard.traces.find(id);
      if (found == shard.traces.end()) continue;
      Trace& trace = *found->second;
      const Timestamp due = trace.due(idle_wait);
      if (due > now) {
        // More came since it was planned.
        trace.planned_tick = 0;
        shard.plan(id, trace, due);
        continue;
      }
      const bool is_idle = due < trace.first_seen + trace.rules->rules.decision_wait;
      const DecisionTrigger trigger =
          trace.forced.value_or(is_idle ? DecisionTrigger::kIdle : DecisionTrigger::kTimer);
      decided.push_back(std::make_unique<Decided>());
      decided.back()->id = id;
      decided.back()->trace = std::move(found->second);
      decided.back()->decision.trigger = trigger;
      shard.traces.erase(found);
      decide(*decided.back(), now);
      if (decided.back()->decision.is_kept) shard.leaving.emplace(id, decided.back()->trace.get());
    }
    is_done = count < kDecisionsPerLock;
    settle(std::move(decided));
  }
}

/// The verdict on a trace that was taken out of its shard, whose lock is still held: whoever misses
/// the trace there finds its decision.
void TraceBuffer::decide(Decided& decided, Timestamp now) {
  Trace& trace = *decided.trace;
  if (trace.followed) {
    decided.decision = *trace.followed;
    return;
  }
  const TraceEvidence& evidence = trace.evidence;
  TailSampler& sampler = *trace.rules->rules.sampler;
  const TailSampler::Context context{.id = decided.id,
                                     .now = now,
                                     .trigger = decided.decision.trigger,
                                     .is_pinned = trace.is_pinned,
                                     .boost = in_force()->boost_of(evidence)};
  if (trace.is_too_large && !trace.is_pinned) {
    decided.decision.policy = "maximum_trace_size_bytes";
    decided.decision.decided_at = now;
  } else {
    decided.decision = sampler.decide(evidence, context);
  }
  const SamplingDecision& decision = decided.decision;
  doors_.decisions.remember(decided.id, decision,
                            {.has_error = sampler.has_error(evidence),
                             .has_root = evidence.has_root,
                             .duration_ns = evidence.duration_ns(),
                             .span_count = evidence.span_count});
  doors_.summaries.add({.id = decided.id,
                        .randomness = TailSampler::randomness_of(evidence, decided.id).value,
                        .conditions = evidence.conditions,
                        .duration_ns = evidence.duration_ns(),
                        .decided_at = now,
                        .byte_count = static_cast<std::uint32_t>(
                            std::min<std::uint64_t>(evidence.byte_count, UINT32_MAX)),
                        .span_count = evidence.span_count,
                        .operation = evidence.operation,
                        .policies = trace.rules->summary_number,
                        .is_kept = decision.is_kept,
                        .has_error = sampler.has_error(evidence)},
                       evidence.keys);
  (decision.is_kept ? metrics_.traces_kept : metrics_.traces_dropped).add();
  (decision.is_kept ? metrics_.spans_kept : metrics_.spans_dropped).add(evidence.span_count);
  metrics_.decided_by_trigger[static_cast<std::size_t>(decision.trigger)].add();
  if (!decision.is_kept) return;
  const MutexLock lock(counts_mutex_);
  ++kept_by_policy_[decision.policy];
}

void TraceBuffer::Shard::forget_leaving(TraceId id, const Trace& trace) {
  const MutexLock lock(mutex);
  const auto [begin, end] = leaving.equal_range(id);
  leaving.erase(std::find_if(begin, end, [&](const auto& one) { return one.second == &trace; }));
}

void TraceBuffer::settle(std::vector<std::unique_ptr<Decided>> decided) {
  for (std::unique_ptr<Decided>& one : decided) {
    trace_count_.fetch_sub(1, std::memory_order_relaxed);
    span_count_.fetch_sub(one->trace->spans.size(), std::memory_order_relaxed);
    if (one->decision.is_kept) {
      handover_.push_back(std::move(one));
    } else {
      release(*one->trace);
    }
  }
}

void TraceBuffer::release(Trace& trace) {
  trace_bytes_.fetch_sub(trace.memory_bytes(), std::memory_order_relaxed);
  for (Trace::Part& part : trace.parts) part.batch->release(part.byte_count);
}

void TraceBuffer::decide_early(Timestamp now) {
  const std::uint64_t bytes = trace_bytes_.load(std::memory_order_relaxed);
  const std::uint64_t bytes_max = options_.memory_bytes_max / 2;
  const std::uint64_t count = trace_count_.load(std::memory_order_relaxed);
  const std::uint64_t count_max = in_force()->rules.traces_max;
  const bool is_crowded = count_max != 0 && count > count_max;
  if (is_tight(bytes, bytes_max) || is_crowded) {
    // Down to half of the bound: deciding early by handfuls would sort all of them every time.
    const std::uint64_t excess =
        is_crowded ? count - count_max + count_max / 8 : count - count * bytes_max / 2 / bytes;
    for (Shard& shard : *shards_) {
      decide_some(shard, now, DecisionTrigger::kMemory,
                  static_cast<std::size_t>(excess / kShardCount + 1));
    }
  }
  if (is_tight(storage_->log->disk_bytes(), options_.log_bytes_max)) {
    storage_->log->cut();
    decide_older(now - kShortWait, now);
  }
}

void TraceBuffer::decide_some(Shard& shard, Timestamp now, DecisionTrigger trigger,
                              std::size_t count) {
  struct Candidate {
    int rank;  // Kept anyway; complete; all others.
    Timestamp last_seen;
    TraceId id;
  };
  std::vector<std::unique_ptr<Decided>> decided;
  {
    const MutexLock lock(shard.mutex);
    std::vector<Candidate> candidates;
    candidates.reserve(shard.traces.size());
    for (const auto& [id, trace] : shard.traces) {
      // An error is kept for certain by what most people configure, and by default.
      const TailSampler& sampler = *trace->rules->rules.sampler;
      const bool is_certain = trace->is_pinned || sampler.has_error(trace->evidence);
      candidates.push_back({is_certain                 ? 0
                            : trace->evidence.has_root ? 1
                                                       : 2,
                            trace->last_seen, id});
    }
    const std::size_t wanted = std::min(count, candidates.size());
    std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(wanted),
                      candidates.end(), [](const Candidate& a, const Candidate& b) {
                        return std::tie(a.rank, a.last_seen) < std::tie(b.rank, b.last_seen);
                      });
    candidates.resize(wanted);
    for (const Candidate& candidate : candidates) {
      const auto found = shard.traces.find(candidate.id);
      decided.push_back(std::make_unique<Decided>());
      decided.back()->id = candidate.id;
      decided.back()->trace = std::move(found->second);
      decided.back()->decision.trigger = trigger;
      shard.traces.erase(found);
      decide(*decided.back(), now);
      if (decided.back()->decision.is_kept)
        shard.leaving.emplace(candidate.id, decided.back()->trace.get());
    }
  }
  settle(std::move(decided));
}

void TraceBuffer::decide_older(Timestamp first_seen_before, Timestamp now) {
  for (Shard& shard : *shards_) {
    {
      const MutexLock lock(shard.mutex);
      for (auto& [id, trace] : shard.traces) {
        if (trace->first_seen > first_seen_before || trace->forced) continue;
        trace->forced = DecisionTrigger::kDisk;
        shard.plan(id, *trace, kMinTimestamp);
      }
    }
    decide_due(shard, now);
  }
}

void TraceBuffer::decide_all(Timestamp now) {
  for (Shard& shard : *shards_) {
    {
      const MutexLock lock(shard.mutex);
      for (auto& [id, trace] : shard.traces) {
        if (!trace->forced) trace->forced = DecisionTrigger::kShutdown;
        shard.plan(id, *trace, kMinTimestamp);
      }
    }
    decide_due(shard, now);
  }
  hand_over(now);
}

void TraceBuffer::adapt_wait() {
  const Timestamp now{now_ms_.load(std::memory_order_relaxed)};
  if (adapted_at_ == kMinTimestamp) adapted_at_ = now;
  if (now - adapted_at_ < kAdaptEvery) return;
  adapted_at_ = now;
  const std::uint64_t late = metrics_.late_kept.value() + metrics_.late_dropped.value();
  const std::uint64_t spans = metrics_.spans.value();
  const auto new_late = static_cast<double>(late - std::exchange(adapted_late_, late));
  const auto new_spans = static_cast<double>(spans - std::exchange(adapted_spans_, spans));
  if (new_spans <= 0) return;
  const double share = new_late / new_spans;
  const std::int64_t wait = idle_wait_ms_.load(std::memory_order_relaxed);
  std::int64_t next = wait;
  if (share > kLateShareMax) next = wait * 3 / 2;
  if (share < kLateShareMax / 4) next = wait * 19 / 20;
  next = std::min(next, in_force()->rules.decision_wait.ms);
  idle_wait_ms_.store(std::max(next, options_.idle_wait_min.ms), std::memory_order_relaxed);
}

void TraceBuffer::tidy(Timestamp now) {
  const auto is_well = [this](const Status& status, std::string_view what) {
    if (!status.ok()) doors_.log.warn(what, {{"err", status.message()}});
    return status.ok();
  };
  bool is_safe = is_well(doors_.decisions.flush(now), "Decisions cannot be written");
  if (synced_at_ != kMinTimestamp && now - synced_at_ < options_.sync_interval) return;
  synced_at_ = now;
  is_safe &= is_well(storage_->log->sync(), "Undecided spans cannot be synced");
  is_safe = is_safe && is_well(doors_.decisions.sync(), "Decisions cannot be synced");
  if (now - cut_at_ >= kSegmentAge) {
    cut_at_ = now;
    storage_->log->cut();
  }
  const std::vector<std::uint32_t> segments = storage_->log->removable_segments();
  if (!is_safe || segments.empty()) return;
  // What is only in the log must be elsewhere for good before it goes.
  if (!is_well(doors_.sink.sync(), "Kept traces cannot be synced")) return;
  is_well(storage_->log->remove_segments(segments), "Segments of the span log stay");
}

Status TraceBuffer::close(Timestamp now) {
  hand_over(now);
  TRY(doors_.decisions.flush(now));
  TRY(storage_->log->sync());
  TRY(doors_.decisions.sync());
  return doors_.sink.sync();
}

void TraceBuffer::collect(MetricWriter& out) const {
  const auto count = [&](std::string_view name, std::string_view help, const Counter& counter,
                         MetricLabels labels = {}) {
    out.counter(name, help, static_cast<double>(counter.value()), labels);
  };
  count("tarsier_sampling_spans_received_total", "Spans taken into the trace buffer.",
        metrics_.spans);
  count("tarsier_sampling_duplicate_spans_total", "Spans that were in the buffer already.",
        metrics_.duplicates);
  constexpr std::string_view kLate = "tarsier_sampling_late_spans_total";
  constexpr std::string_view kLateHelp = "Spans that came after the decision on their trace.";
  count(kLate, kLateHelp, metrics_.late_kept, {{"decision", "kept"}});
  count(kLate, kLateHelp, metrics_.late_dropped, {{"decision", "dropped"}});
  count("tarsier_sampling_refused_batches_total", "Requests refused because the buffer was full.",
        metrics_.busy);
  constexpr std::string_view kTraces = "tarsier_sampling_traces_total";
  count(kTraces, "Traces decided.", metrics_.traces_kept, {{"decision", "kept"}});
  count(kTraces, "Traces decided.", metrics_.traces_dropped, {{"decision", "dropped"}});
  constexpr std::string_view kSpans = "tarsier_sampling_spans_total";
  count(kSpans, "Spans of decided traces.", metrics_.spans_kept, {{"decision", "kept"}});
  count(kSpans, "Spans of decided traces.", metrics_.spans_dropped, {{"decision", "dropped"}});
  for (const auto& [policy, traces] : kept_by_policy()) {
    out.counter("tarsier_sampling_policy_kept_traces_total", "Traces kept, by who decided.",
                static_cast<double>(traces), {{"policy", policy}});
  }
  for (std::size_t i = 0; i < metrics_.decided_by_trigger.size(); ++i) {
    count("tarsier_sampling_decisions_total", "Decisions, by why they were made then.",
          metrics_.decided_by_trigger[i],
          {{"trigger", trigger_name(static_cast<DecisionTrigger>(i))}});
  }
  count("tarsier_sampling_lost_spans_total", "Spans of kept traces that could not be read again.",
        metrics_.spans_lost);
  count("tarsier_sampling_handover_failures_total", "Times kept traces could not be stored.",
        metrics_.handover_failures);
  count("tarsier_sampling_pinned_traces_total", "Traces kept because an exemplar leads to them.",
        metrics_.pins);
  count("tarsier_sampling_evicted_batches_total", "Requests whose memory was given back early.",
        storage_->account.evicted);
  count("tarsier_sampling_read_again_batches_total", "Requests read from the log for kept traces.",
        storage_->account.read_again);
  const Load now = load();
  out.gauge("tarsier_sampling_undecided_traces", "Traces waiting for their decision.",
            static_cast<double>(now.undecided_traces));
  out.gauge("tarsier_sampling_undecided_spans", "Spans of these.",
            static_cast<double>(now.undecided_spans));
  out.gauge("tarsier_sampling_buffer_memory_bytes", "Memory of undecided traces.",
            static_cast<double>(now.memory_bytes));
  out.gauge("tarsier_sampling_buffer_memory_limit_bytes", "What it may be at most.",
            static_cast<double>(options_.memory_bytes_max));
  out.gauge("tarsier_sampling_span_log_bytes", "Size of the log of undecided spans.",
            static_cast<double>(now.log_bytes));
  out.gauge("tarsier_sampling_idle_wait_seconds",
            "How long a trace with its root waits for more spans.",
            static_cast<double>(now.idle_wait.ms) / 1000);
}

}  // namespace tarsier::tracing
