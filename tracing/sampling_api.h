#pragma once

#include <string_view>

#include "base/http.h"
#include "base/time.h"
#include "tracing/decision_log.h"
#include "tracing/operation_table.h"
#include "tracing/trace_buffer.h"
#include "tracing/trace_summaries.h"

namespace tarsier::tracing {

/// Answers below /api/tarsier/v1/sampling. Any number of threads; all doors outlive it.
class SamplingApi final {
 public:
  struct Doors {
    const TraceBuffer& buffer;
    const DecisionLog& decisions;
    const TraceSummaries& summaries;
    OperationTable& operations;
  };
  explicit SamplingApi(const Doors& doors) : doors_(doors) {}

  /// GET decisions/<trace id>: what became of a trace, or would now.
  HttpResponse decision(std::string_view trace_id, Timestamp now) const;
  /// POST simulate with {"policies": [...], "sample_on_first_match": false}: what these would have
  /// done with the recorded traces.
  HttpResponse simulate(std::string_view body) const;
  /// GET stats: how full the buffer is and what was decided.
  HttpResponse stats(Timestamp now) const;

 private:
  HttpResponse undecided(TraceId id, const TraceBuffer::Undecided& trace) const;
  const Doors doors_;
};

}  // namespace tarsier::tracing
