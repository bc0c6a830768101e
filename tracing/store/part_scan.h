#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "tracing/store/store_snapshot.h"
#include "tracing/trace_queries.h"
#include "tracing/traceql/pipeline.h"

namespace tarsier::tracing {

/// What a scan may pass over: parts none of whose spans pass any of these filters. The fields
/// belong to a query that outlives the scan.
struct ScanFilters {
  bool narrows = false;  ///< False: everything must be looked at.
  std::vector<const traceql::Field*> fields;
};

/// Shows every stored trace that may match, once and whole, to a visitor: part after part, the
/// newest first, each opened only as far as asked. Traces with spans in several parts are put
/// together first. One thread at a time.
class PartScan final {
 public:
  using Visit = std::function<Status(SpanRows& rows, std::size_t trace,
                                     traceql::PipelineEvaluator& evaluator)>;

  PartScan(std::shared_ptr<const StoreSnapshot> snapshot, NanosRange range, ScanFilters filters,
           const CancelToken& cancel)
      : snapshot_(std::move(snapshot)),
        range_(range),
        filters_(std::move(filters)),
        cancel_(cancel) {}

  /// `wants` is asked before a part whose newest span ends then; false passes over it. The error is
  /// the visitor's, or kCancelled.
  Status run(const Visit& visit, const std::function<bool(UnixNanos)>& wants);

  const QueryCosts& costs() const { return costs_; }
  /// Damage that was met: its parts are left out. Empty if there was none.
  const std::string& problem() const { return problem_; }

 private:
  Status scan_part(const TracePart& part, const Visit& visit);
  Status visit_late(const Visit& visit);
  Status check_cancelled() const;
  void note(const Status& status) {
    if (!status.ok() && problem_.empty()) problem_ = status.message();
  }

  const std::shared_ptr<const StoreSnapshot> snapshot_;
  const NanosRange range_;
  const ScanFilters filters_;
  const CancelToken& cancel_;
  std::set<TraceId> late_found_;
  QueryCosts costs_;
  std::string problem_;
};

}  // namespace tarsier::tracing
