#include "tracing/trace_queries.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "tracing/span_writer.h"
#include "tracing/store/group_pruning.h"
#include "tracing/store/part_scan.h"
#include "tracing/store/store_snapshot.h"
#include "tracing/trace_store.h"
#include "tracing/traceql/metrics.h"
#include "tracing/traceql/parser.h"
#include "tracing/traceql/pipeline.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {

using traceql::Attribute;
using traceql::Intrinsic;
using traceql::Scope;
using traceql::Value;
using traceql::ValueType;

namespace {

/// Undecided traces a search looks at, the newest: each is copied out of the buffer.
constexpr std::size_t kUndecidedMax = 500;

ShownValue shown(Value value) {
  ShownValue out;
  switch (value.type()) {
    case ValueType::kBool:
      out.kind = ShownValue::Kind::kBool;
      out.integer = value.integer();
      break;
    case ValueType::kInt:
      out.kind = ShownValue::Kind::kInt;
      out.integer = value.integer();
      break;
    case ValueType::kFloat:
      out.kind = ShownValue::Kind::kDouble;
      out.real = value.number();
      break;
    case ValueType::kArray:
      out.kind = ShownValue::Kind::kArray;
      for (const Value element : value.elements()) out.elements.push_back(shown(element));
      break;
    default: out.text = display(value);
  }
  return out;
}

/// As the API names it: without the scope.
std::string shown_name(const Attribute& attribute) {
  if (attribute.intrinsic != Intrinsic::kNone) return attribute_text(attribute);
  return attribute.name;
}

/// What every answer has a field of its own for.
bool has_own_field(const Attribute& attribute) {
  switch (attribute.intrinsic) {
    case Intrinsic::kName:
    case Intrinsic::kDuration:
    case Intrinsic::kTraceDuration:
    case Intrinsic::kRootName:
    case Intrinsic::kRootService:
    case Intrinsic::kTraceId:
    case Intrinsic::kSpanId: return true;
    default: return false;
  }
}

std::string text_of(Value value) {
  return value.type() == ValueType::kString ? std::string(value.text()) : std::string();
}

const Attribute kServiceName{.scope = Scope::kResource, .name = "service.name"};

class SearchCollector final {
 public:
  SearchCollector(const SearchRequest& request, const traceql::Query& query)
      : request_(request), query_(query) {
    collect_attributes(query.pipeline, mentioned_);
    std::erase_if(mentioned_, has_own_field);
  }

  Status add(SpanRows& rows, std::size_t trace, traceql::PipelineEvaluator& evaluator,
             bool is_undecided) {
    const TraceSummary summary = rows.summary(trace);
    const bool overlaps =
        summary.start_ns <= request_.range.end_ns && summary.end_ns >= request_.range.begin_ns;
    if (!overlaps || !is_wanted(summary.start_ns)) return {};
    const std::vector<traceql::Spanset> sets =
        TRY(evaluator.run(query_.pipeline, rows.traces()[trace]));
    if (sets.empty()) return {};
    MatchedTrace found = described(rows, trace, summary);
    found.is_undecided = is_undecided;
    for (const traceql::Spanset& set : sets) found.sets.push_back(shown_set(rows, set, evaluator));
    // One trace of the buffer may have older parts in the store: those were decided.
    if (!ids_.insert(found.id).second) return {};
    found_.emplace(std::pair(~found.start_ns, found.id), std::move(found));
    if (found_.size() > request_.limit) found_.erase(std::prev(found_.end()));
    return {};
  }

  /// Whether a trace that begins then could still be among the newest.
  bool is_wanted(UnixNanos start_ns) const {
    return found_.size() < request_.limit || start_ns > found_.rbegin()->second.start_ns;
  }
  std::vector<MatchedTrace> take() {
    std::vector<MatchedTrace> out;
    for (auto& [key, trace] : found_) out.push_back(std::move(trace));
    return out;
  }

 private:
  static MatchedTrace described(SpanRows& rows, std::size_t trace, const TraceSummary& summary) {
    const traceql::FieldColumn& services = rows.column(kServiceName);
    MatchedTrace out{.id = summary.id,
                     .has_root = summary.has_root(),
                     .start_ns = summary.start_ns,
                     .duration_ns = summary.end_ns - summary.start_ns};
    if (summary.has_root()) {
      out.root_service = text_of(services.at(summary.root_row));
      out.root_name = text_of(rows.column({.intrinsic = Intrinsic::kName}).at(summary.root_row));
    }
    const traceql::TraceRows range = rows.traces()[trace];
    for (std::uint32_t row = range.first; row < range.first + range.count; ++row) {
      ServiceCounts& counts = out.services[text_of(services.at(row))];
      ++counts.spans;
      const bool is_error =
          rows.basics().statuses[row] == static_cast<std::int32_t>(StatusCode::kError);
      if (is_error) ++counts.errors;
      const bool is_orphan =
          rows.basics().parent_ids[row].is_valid() && rows.parents()[row] == traceql::kNoRow;
      if (is_orphan) ++out.orphans;
    }
    return out;
  }

  MatchedSet shown_set(SpanRows& rows, const traceql::Spanset& set,
                       traceql::PipelineEvaluator& evaluator) const {
    MatchedSet out{.matched = set.rows.size()};
    for (const auto& [name, value] : set.attributes)
      out.attributes.emplace_back(name, shown(value));
    const traceql::FieldColumn& names = rows.column({.intrinsic = Intrinsic::kName});
    const traceql::FieldColumn& durations = rows.column({.intrinsic = Intrinsic::kDuration});
    for (const std::uint32_t row : set.rows) {
      if (request_.spans_per_set > 0 && out.spans.size() >= request_.spans_per_set) break;
      MatchedSpan span{.id = rows.basics().span_ids[row],
                       .name = text_of(names.at(row)),
                       .start_ns = rows.basics().starts_ns[row],
                       .duration_ns = static_cast<std::uint64_t>(durations.at(row).integer())};
      for (const Attribute& attribute : mentioned_) {
        const Value value = evaluator.value(attribute, row);
        if (!value.is_nil()) span.attributes.emplace_back(shown_name(attribute), shown(value));
      }
      out.spans.push_back(std::move(span));
    }
    return out;
  }

  const SearchRequest& request_;
  const traceql::Query& query_;
  std::vector<Attribute> mentioned_;
  std::map<std::pair<UnixNanos, TraceId>, MatchedTrace> found_;  ///< By descending start.
  std::set<TraceId> ids_;
};

/// What is in the buffer, with its own copy of the bytes.
TracePart::Fragments copy_undecided(const UndecidedTraces* undecided) {
  TracePart::Fragments out;
  if (undecided == nullptr) return out;
  undecided->visit_newest(kUndecidedMax, [&](const KeptTrace& trace) {
    auto bytes = std::make_shared<const std::string>(encode_kept({&trace, 1}, Timestamp{0}));
    Result<std::vector<TraceFragment>> fragments = decode_kept(std::move(bytes));
    if (!fragments.ok()) return;
    for (TraceFragment& f : *fragments) {
      out.push_back(std::make_shared<const TraceFragment>(std::move(f)));
    }
  });
  return out;
}

ShownAttributes shown_labels(const traceql::SeriesLabels& labels) {
  ShownAttributes out;
  for (const auto& [name, value] : labels) {
    ShownValue v{.text = value.text, .integer = value.integer, .real = value.real};
    if (value.type == traceql::StaticType::kInt) v.kind = ShownValue::Kind::kInt;
    if (value.type == traceql::StaticType::kFloat) v.kind = ShownValue::Kind::kDouble;
    if (value.type == traceql::StaticType::kBool) v.kind = ShownValue::Kind::kBool;
    out.emplace_back(name, std::move(v));
  }
  return out;
}

}  // namespace

Result<SearchAnswer> TraceQueries::search(const SearchRequest& request,
                                          const CancelToken& cancel) const {
  const traceql::Query query = TRY(traceql::parse_query(request.query));
  if (query.metrics) return invalid("a metrics query cannot be searched with");
  ScanFilters filters;
  filters.narrows = collect_filters(query.pipeline, filters.fields);
  SearchCollector collector(request, query);
  SearchAnswer answer;
  const auto add = [&](SpanRows& rows, std::size_t trace, traceql::PipelineEvaluator& evaluator) {
    return collector.add(rows, trace, evaluator, false);
  };
  // Before the store's snapshot: what leaves the buffer meanwhile is in both, not in neither.
  const TracePart::Fragments waiting = copy_undecided(undecided_);
  PartScan scan(store_.snapshot(), {request.range.begin_ns, request.range.end_ns}, filters, cancel);
  TRY(scan.run(add, [&](UnixNanos newest_ns) { return collector.is_wanted(newest_ns); }));
  if (!waiting.empty()) {
    const auto rows =
        TRY(TracePart::of_fragments(std::make_shared<const TracePart::Fragments>(waiting)).open());
    traceql::PipelineEvaluator evaluator(*rows);
    for (std::size_t i = 0; i < rows->traces().size(); ++i) {
      TRY(collector.add(*rows, i, evaluator, true));
    }
  }
  answer.costs = scan.costs();
  answer.problem = scan.problem();
  answer.traces = collector.take();
  return answer;
}

Result<MetricsAnswer> TraceQueries::metrics(const MetricsRequest& request,
                                            const CancelToken& cancel) const {
  const traceql::Query query = TRY(traceql::parse_query(request.query));
  if (!query.metrics) return invalid("a metrics query needs a function such as rate()");
  constexpr std::int64_t kPointsMax = 11'000;
  const bool is_instant = request.step_ns <= 0;
  const std::int64_t step =
      is_instant ? std::max<std::int64_t>(request.end_ns - request.start_ns, 1) : request.step_ns;
  traceql::MetricsRange range{.step_ns = step,
                              .exemplars_max = request.exemplars_max,
                              .series_max = request.series_max,
                              .bytes_max = request.bytes_max};
  if (is_instant) {
    range.start_ns = range.end_ns = request.end_ns;
  } else {
    // The first interval is whole.
    range.start_ns = request.start_ns / step * step;
    range.end_ns = (request.end_ns + step - 1) / step * step;
    if ((range.end_ns - range.start_ns) / step > kPointsMax) {
      return invalid("the step is too small for the range");
    }
  }
  std::vector<const std::vector<traceql::Stage>*> pipelines;
  collect_pipelines(*query.metrics, pipelines);
  ScanFilters filters{.narrows = true};
  for (const auto* pipeline : pipelines) {
    filters.narrows = collect_filters(*pipeline, filters.fields) && filters.narrows;
  }
  traceql::MetricsCollector collector(*query.metrics, range);
  PartScan scan(store_.snapshot(),
                {static_cast<UnixNanos>(std::max<std::int64_t>(range.start_ns - step, 0)),
                 static_cast<UnixNanos>(std::max<std::int64_t>(range.end_ns, 0))},
                filters, cancel);
  TRY(scan.run(
      [&](SpanRows& rows, std::size_t trace, traceql::PipelineEvaluator& evaluator) {
        return collector.add(evaluator, rows, rows.traces()[trace]);
      },
      [](UnixNanos) { return true; }));
  traceql::MetricsResult result = collector.finish();
  MetricsAnswer answer{.costs = scan.costs(),
                       .is_partial = result.is_partial || !scan.problem().empty(),
                       .message = result.message};
  if (!scan.problem().empty()) answer.message += scan.problem();
  for (traceql::MetricsSeries& s : result.series) {
    SpanSeries out{.labels = shown_labels(s.labels)};
    for (std::size_t i = 0; i < s.points.size(); ++i) {
      const std::int64_t t = range.start_ns + static_cast<std::int64_t>(i) * step;
      if (!std::isnan(s.points[i])) out.points.emplace_back(t / 1'000'000, s.points[i]);
    }
    for (const traceql::SeriesExemplar& e : s.exemplars) {
      out.exemplars.push_back({.trace_id = e.labels.empty() ? "" : e.labels[0].second.text,
                               .value = e.value,
                               .timestamp_ms = e.timestamp_ms});
    }
    answer.series.push_back(std::move(out));
  }
  return answer;
}

WholeTrace TraceQueries::find(TraceId id) const {
  // The buffer first: a trace that leaves it meanwhile is in both, not in neither.
  std::shared_ptr<std::string> waiting;
  if (undecided_ != nullptr) {
    undecided_->find(id, [&](const KeptTrace& trace) {
      waiting = std::make_shared<std::string>(encode_kept({&trace, 1}, Timestamp{0}));
    });
  }
  Status problem;
  FoundTrace found = store_.snapshot()->find(id, problem);
  WholeTrace out{.id = id, .problem = problem.message()};
  if (waiting != nullptr) {
    if (const Result<std::vector<TraceFragment>> fragments = decode_kept(waiting); fragments.ok()) {
      out.is_undecided = found.spans.empty();
      for (const TraceFragment& f : *fragments) {
        found.spans.insert(found.spans.end(), f.spans.begin(), f.spans.end());
      }
      found.owners.push_back(std::move(waiting));
    }
  }
  // Spans that were stored twice are shown once, all in the order of time.
  std::vector<std::pair<std::tuple<UnixNanos, std::uint64_t, std::int32_t>, KeptSpan>> sorted;
  std::set<std::pair<std::uint64_t, std::int32_t>> seen;
  for (const KeptSpan& span : found.spans) {
    SpanRecord record;
    if (!read_span(span.span, record)) continue;
    const auto kind = static_cast<std::int32_t>(record.kind);
    if (!seen.emplace(record.span_id.value, kind).second) continue;
    sorted.emplace_back(std::tuple(record.start_ns, record.span_id.value, kind), span);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [key, span] : sorted) out.spans.push_back(span);
  out.owners = std::move(found.owners);
  return out;
}

std::string encode_trace(const WholeTrace& trace) {
  using Envelope = std::tuple<std::string_view, std::string_view>;
  // Resources and scopes in the order of their first span.
  std::vector<std::pair<Envelope, std::vector<std::pair<Envelope, std::vector<std::string_view>>>>>
      tree;
  const auto entry = [](auto& list, const Envelope& key) -> auto& {
    const auto at =
        std::find_if(list.begin(), list.end(), [&](const auto& item) { return item.first == key; });
    if (at != list.end()) return at->second;
    return list.emplace_back(key, typename std::remove_cvref_t<decltype(list[0])>::second_type{})
        .second;
  };
  for (const KeptSpan& span : trace.spans) {
    auto& scopes = entry(tree, Envelope(span.resource, span.resource_schema_url));
    entry(scopes, Envelope(span.scope, span.scope_schema_url)).push_back(span.span);
  }
  RequestWriter out;
  for (const auto& [resource, scopes] : tree) {
    out.resource(std::get<0>(resource), std::get<1>(resource));
    for (const auto& [scope, spans] : scopes) {
      out.scope(std::get<0>(scope), std::get<1>(scope));
      for (const std::string_view span : spans) out.span(span);
    }
  }
  return out.take();
}

}  // namespace tarsier::tracing
