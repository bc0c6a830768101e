// How kept traces go from the buffer to the sink.

#include <algorithm>
#include <deque>
#include <utility>

#include "tracing/buffer/buffered_trace.h"
#include "tracing/buffer/loaded_batches.h"
#include "tracing/buffer/span_views.h"

namespace tarsier::tracing {
namespace {

/// Handed to the sink in one call, at most (but for one larger trace, which comes in pieces).
constexpr std::size_t kSpansPerCall = 8192;

}  // namespace

void TraceBuffer::hand_over(Timestamp now) {
  if (handover_.empty()) return;
  std::vector<std::unique_ptr<Decided>> waiting;
  waiting.swap(handover_);
  // By batch: each is read once where memory was too short to keep it.
  std::stable_sort(waiting.begin(), waiting.end(), [](const auto& a, const auto& b) {
    const auto key = [](const Decided& decided) {
      const auto& parts = decided.trace->parts;
      return std::pair(decided.trace->first_seen,
                       parts.empty() ? nullptr : parts.front().batch.get());
    };
    return key(*a) < key(*b);
  });
  LoadedBatches batches;
  std::size_t begin = 0;
  while (begin < waiting.size()) {
    std::vector<Decided*> group;
    std::size_t span_count = 0;
    std::size_t end = begin;
    while (end < waiting.size() && (group.empty() || span_count < kSpansPerCall)) {
      span_count += waiting[end]->trace->spans.size();
      group.push_back(waiting[end++].get());
    }
    if (!hand_over_group(group, batches, now)) {
      // Kept, and tried again: they are in the log and count as memory until then.
      metrics_.handover_failures.add();
      for (; begin < waiting.size(); ++begin) handover_.push_back(std::move(waiting[begin]));
      return;
    }
    for (; begin < end; ++begin) {
      const Decided& stored = *waiting[begin];
      shard_of(stored.id).forget_leaving(stored.id, *stored.trace);
      release(*stored.trace);
    }
  }
}

bool TraceBuffer::hand_over_group(std::vector<Decided*>& group, LoadedBatches& batches,
                                  Timestamp now) {
  std::deque<SpanViews> views;
  std::vector<KeptTrace> traces;
  std::size_t span_count = 0;
  const auto flush = [&] {
    if (traces.empty()) return true;
    const Status status = doors_.sink.keep(traces, now);
    if (!status.ok() && !has_trouble_) {
      doors_.log.warn("Kept traces cannot be stored", {{"err", status.message()}});
    }
    has_trouble_ = !status.ok();
    traces.clear();
    views.clear();
    span_count = 0;
    return status.ok();
  };
  const auto finish = [&](const Decided& decided) {
    if (views.empty() || views.back().spans().empty()) return;
    traces.push_back(
        {.trace_id = decided.id, .spans = views.back().spans(), .decision = &decided.decision});
  };
  for (Decided* decided : group) {
    const Trace& trace = *decided->trace;
    views.emplace_back();
    for (std::size_t i = 0; i < trace.parts.size(); ++i) {
      const std::size_t end =
          i + 1 < trace.parts.size() ? trace.parts[i + 1].begin : trace.spans.size();
      auto batch = batches.load(trace.parts[i].batch);
      if (!batch.ok()) {
        metrics_.spans_lost.add(end - trace.parts[i].begin);
        doors_.log.error("Spans of a kept trace cannot be read again",
                         {{"trace", to_hex(decided->id)}, {"err", batch.status().message()}});
        continue;
      }
      views.back().begin_batch(std::move(batch).value());
      for (std::size_t k = trace.parts[i].begin; k < end; ++k)
        views.back().add_kept(trace.spans[k].index, decided->decision.threshold);
      span_count += end - trace.parts[i].begin;
      if (span_count < kSpansPerCall) continue;
      // A giant goes in pieces: its requests need not all be in memory at once.
      finish(*decided);
      if (!flush()) return false;
      views.emplace_back();
    }
    finish(*decided);
  }
  return flush();
}

}  // namespace tarsier::tracing
