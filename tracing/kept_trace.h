#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "tracing/sampling_decision.h"
#include "tracing/trace_id.h"

namespace tarsier::tracing {

/// One span with what it was sent under, each as the OTLP protobuf bytes it came in. Borrows all of
/// them.
struct KeptSpan {
  std::string_view resource;             ///< A Resource message; empty: none was sent.
  std::string_view resource_schema_url;  ///< As plain text.
  std::string_view scope;                ///< An InstrumentationScope message.
  std::string_view scope_schema_url;
  std::string_view span;  ///< A Span message.
};

/// The spans of one trace, all of them or those that came late. Borrows everything.
struct KeptTrace {
  TraceId trace_id;
  std::span<const KeptSpan> spans;
  /// What made it kept; null: it was not sampled. Spans that come late carry their trace's. A trace
  /// of very many spans comes in several calls with one decision.
  const SamplingDecision* decision = nullptr;
};

/// Where decided traces go: the trace store. Any number of threads.
class KeptTraceSink {
 public:
  virtual ~KeptTraceSink() = default;
  /// Takes the traces over: they can be found by queries when this returns, and survive the
  /// process. Spans the store has already (same trace, span and kind) may come again. After an
  /// error none or some of them were taken; they may be handed over again. `now` is the time they
  /// are filed under.
  virtual Status keep(std::span<const KeptTrace> traces, Timestamp now) = 0;
  /// Returns when everything kept so far survives a power cut. After an error nothing more is
  /// taken.
  virtual Status sync() = 0;
};

/// Traces that are not decided yet, for queries to show beside the stored ones. What a visitor is
/// given lives only during its call. Any number of threads.
class UndecidedTraces {
 public:
  using Visitor = std::function<void(const KeptTrace&)>;

  virtual ~UndecidedTraces() = default;
  /// Calls `visit` if the trace with this id is waiting.
  virtual void find(TraceId trace_id, const Visitor& visit) const = 0;
  /// Calls `visit` with at most `trace_count_max` traces, newest first.
  virtual void visit_newest(std::size_t trace_count_max, const Visitor& visit) const = 0;
};

}  // namespace tarsier::tracing
