#include "tracing/store/part_scan.h"

#include <algorithm>
#include <utility>

#include "tracing/store/group_pruning.h"

namespace tarsier::tracing {

Status PartScan::check_cancelled() const {
  if (cancel_.is_expired()) return timeout("the query took too long");
  return cancel_.is_cancelled() ? cancelled("the query was cancelled") : Status();
}

Status PartScan::run(const Visit& visit, const std::function<bool(UnixNanos)>& wants) {
  std::vector<TracePart> parts = snapshot_->parts();
  std::stable_sort(parts.begin(), parts.end(), [](const TracePart& a, const TracePart& b) {
    return a.end_max_ns() > b.end_max_ns();
  });
  for (const TracePart& part : parts) {
    TRY(check_cancelled());
    if (!part.overlaps(range_.begin_ns, range_.end_ns) || !wants(part.end_max_ns())) continue;
    TRY(scan_part(part, visit));
  }
  return visit_late(visit);
}

Status PartScan::scan_part(const TracePart& part, const Visit& visit) {
  const std::set<TraceId>& late = *snapshot_->late;
  std::unique_ptr<SpanRows> rows;
  if (part.has_directory()) {
    Result<GroupDirectory> directory = part.directory();
    if (!directory.ok()) {
      note(directory.status());
      return {};
    }
    if (filters_.narrows && !may_match(*directory, filters_.fields, late.empty())) {
      ++costs_.pruned;
      return {};
    }
    Result<std::unique_ptr<SpanRows>> opened = part.open(std::move(*directory));
    note(opened.status());
    if (!opened.ok()) return {};
    rows = std::move(*opened);
  } else {
    rows = TRY(part.open());
  }
  ++costs_.parts;
  costs_.bytes += part.size_bytes();
  costs_.spans += rows->row_count();
  costs_.traces += rows->traces().size();
  traceql::PipelineEvaluator evaluator(*rows);
  const bool are_local = std::all_of(filters_.fields.begin(), filters_.fields.end(),
                                     [](const traceql::Field* f) { return is_local(*f); });
  for (std::size_t i = 0; i < rows->traces().size(); ++i) {
    const TraceId id = rows->basics().trace_ids[i];
    if (late.empty() || !late.contains(id)) {
      TRY(visit(*rows, i, evaluator));
      continue;
    }
    // A part of a trace only says whether the whole is worth putting together.
    bool may = !filters_.narrows || !are_local;
    const traceql::TraceRows trace = rows->traces()[i];
    for (std::uint32_t row = trace.first; row < trace.first + trace.count && !may; ++row) {
      may =
          std::any_of(filters_.fields.begin(), filters_.fields.end(),
                      [&](const traceql::Field* f) { return evaluator.value(*f, row).is_true(); });
    }
    if (may) late_found_.insert(id);
  }
  note(rows->status());
  return {};
}

Status PartScan::visit_late(const Visit& visit) {
  for (const TraceId id : late_found_) {
    TRY(check_cancelled());
    Status problem;
    const FoundTrace found = snapshot_->find(id, problem);
    note(problem);
    if (found.spans.empty()) continue;
    const KeptTrace whole{.trace_id = id, .spans = found.spans};
    WireRows rows({&whole, 1});
    traceql::PipelineEvaluator evaluator(rows);
    for (std::size_t i = 0; i < rows.traces().size(); ++i) TRY(visit(rows, i, evaluator));
  }
  return {};
}

}  // namespace tarsier::tracing
