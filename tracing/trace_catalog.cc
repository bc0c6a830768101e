// What TraceQueries tells of names: tags and their values, services, operations, dependencies.

#include <algorithm>
#include <set>
#include <utility>

#include "tracing/store/part_scan.h"
#include "tracing/store/store_snapshot.h"
#include "tracing/trace_queries.h"
#include "tracing/trace_store.h"
#include "tracing/traceql/parser.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {

using traceql::Attribute;
using traceql::Intrinsic;
using traceql::Scope;
using traceql::Value;
using traceql::ValueType;

namespace {

TagValue tag_value(Value value) {
  TagValue out{.value = display(value)};
  switch (value.type()) {
    case ValueType::kBool: out.type = "bool"; break;
    case ValueType::kInt: out.type = "int"; break;
    case ValueType::kFloat: out.type = "float"; break;
    case ValueType::kDuration: out.type = "duration"; break;
    case ValueType::kStatus:
    case ValueType::kKind: out.type = "keyword"; break;
    default: out.type = "string";
  }
  return out;
}

std::vector<TagValue> keywords(std::initializer_list<const char*> words) {
  std::vector<TagValue> out;
  for (const char* word : words) out.push_back({.type = "keyword", .value = word});
  return out;
}

/// The conditions of a query somebody is still typing: what stands between `&&` and can be read as
/// a comparison of an attribute with a literal.
std::vector<traceql::Field> readable_conditions(std::string_view text) {
  std::vector<traceql::Field> out;
  const std::size_t begin = text.find('{');
  if (begin == std::string_view::npos) return out;
  text.remove_prefix(begin + 1);
  if (const std::size_t end = text.rfind('}'); end != std::string_view::npos) {
    text = text.substr(0, end);
  }
  while (!text.empty()) {
    bool is_quoted = false;
    std::size_t end = 0;
    while (end < text.size() && (is_quoted || !text.substr(end).starts_with("&&"))) {
      if (text[end] == '"') is_quoted = !is_quoted;
      if (text[end] == '\\' && is_quoted) ++end;
      ++end;
    }
    end = std::min(end, text.size());
    const auto parsed = traceql::parse_query("{" + std::string(text.substr(0, end)) + "}");
    text.remove_prefix(std::min(end + 2, text.size()));
    if (!parsed.ok() || parsed->pipeline.size() != 1 || !parsed->pipeline[0].spansets.filter) {
      continue;
    }
    const traceql::Field& field = *parsed->pipeline[0].spansets.filter;
    const bool is_condition = field.kind == traceql::Field::Kind::kBinary &&
                              is_comparison(field.op) &&
                              field.operands[0].kind == traceql::Field::Kind::kAttribute &&
                              field.operands[1].kind == traceql::Field::Kind::kStatic;
    if (is_condition) out.push_back(field);
  }
  return out;
}

}  // namespace

Result<std::vector<TagNames>> TraceQueries::tags(NanosRange range) const {
  const BlockSummary summary = TRY(store_.snapshot()->summary(range.begin_ns, range.end_ns));
  std::vector<TagNames> out;
  for (const Scope scope :
       {Scope::kResource, Scope::kSpan, Scope::kEvent, Scope::kLink, Scope::kInstrumentation}) {
    TagNames names{.scope = std::string(scope_name(scope))};
    for (const Attribute& attribute : summary.attributes) {
      if (attribute.scope == scope) names.names.push_back(attribute.name);
    }
    if (!names.names.empty()) out.push_back(std::move(names));
  }
  return out;
}

Result<std::vector<TagValue>> TraceQueries::tag_values(const std::string& tag,
                                                       const std::string& filter, NanosRange range,
                                                       std::size_t limit,
                                                       const CancelToken& cancel) const {
  const std::optional<Attribute> attribute = traceql::parse_attribute(tag);
  if (!attribute) return invalid("not the name of a tag: " + tag);
  switch (attribute->intrinsic) {
    case Intrinsic::kStatus: return keywords({"ok", "error", "unset"});
    case Intrinsic::kKind:
      return keywords({"unspecified", "internal", "server", "client", "producer", "consumer"});
    // Every span has its own: nobody chooses from such a list.
    case Intrinsic::kTraceId:
    case Intrinsic::kSpanId:
    case Intrinsic::kParentId:
    case Intrinsic::kParent:
    case Intrinsic::kNestedSetLeft:
    case Intrinsic::kNestedSetRight:
    case Intrinsic::kNestedSetParent:
    case Intrinsic::kDuration:
    case Intrinsic::kTraceDuration: return std::vector<TagValue>();
    default: break;
  }
  const std::vector<traceql::Field> conditions = readable_conditions(filter);
  // Parts without the tag, or where a condition cannot hold, are passed over.
  traceql::Field wanted{.kind = traceql::Field::Kind::kBinary, .op = traceql::Op::kNotEqual};
  wanted.operands.resize(2);
  wanted.operands[0].kind = traceql::Field::Kind::kAttribute;
  wanted.operands[0].attribute = *attribute;
  for (const traceql::Field& condition : conditions) {
    traceql::Field both{.kind = traceql::Field::Kind::kBinary, .op = traceql::Op::kAnd};
    both.operands.push_back(std::move(wanted));
    both.operands.push_back(condition);
    wanted = std::move(both);
  }
  const ScanFilters filters{.narrows = true, .fields = {&wanted}};
  std::set<TagValue> found;
  const auto visit = [&](SpanRows& rows, std::size_t trace,
                         traceql::PipelineEvaluator& evaluator) -> Status {
    const traceql::FieldColumn& column = rows.column(*attribute);
    if (column.values.empty()) return {};
    const traceql::TraceRows range_of_rows = rows.traces()[trace];
    Value last;
    for (std::uint32_t i = 0; i < range_of_rows.count && found.size() < limit; ++i) {
      const std::uint32_t row = range_of_rows.first + i;
      const Value value = column.at(row);
      if (value.is_nil() || is_same(value, last)) continue;
      const bool passes =
          std::all_of(conditions.begin(), conditions.end(),
                      [&](const traceql::Field& c) { return evaluator.value(c, row).is_true(); });
      if (!passes) continue;
      last = value;
      if (value.type() != ValueType::kArray) {
        found.insert(tag_value(value));
        continue;
      }
      for (const Value element : value.elements()) found.insert(tag_value(element));
    }
    return {};
  };
  PartScan scan(store_.snapshot(), range, filters, cancel);
  TRY(scan.run(visit, [&](UnixNanos) { return found.size() < limit; }));
  std::vector<TagValue> out(found.begin(), found.end());
  if (out.size() > limit) out.resize(limit);
  return out;
}

Result<std::vector<std::string>> TraceQueries::services(NanosRange range) const {
  const BlockSummary summary = TRY(store_.snapshot()->summary(range.begin_ns, range.end_ns));
  std::vector<std::string> out;
  for (const auto& [service, names] : summary.operations) out.push_back(service);
  return out;
}

Result<std::vector<ServiceOperation>> TraceQueries::operations(const std::string& service) const {
  const BlockSummary summary = TRY(store_.snapshot()->summary());
  std::vector<ServiceOperation> out;
  const auto found = summary.operations.find(service);
  if (found == summary.operations.end()) return out;
  for (const auto& [name, kind] : found->second) {
    out.push_back({.name = name, .kind = static_cast<SpanKind>(kind)});
  }
  return out;
}

Result<std::vector<ServiceCall>> TraceQueries::dependencies(NanosRange range) const {
  const BlockSummary summary = TRY(store_.snapshot()->summary(range.begin_ns, range.end_ns));
  std::vector<ServiceCall> out;
  for (const auto& [pair, count] : summary.calls) {
    out.push_back({.caller = pair.first, .callee = pair.second, .count = count});
  }
  return out;
}

}  // namespace tarsier::tracing
