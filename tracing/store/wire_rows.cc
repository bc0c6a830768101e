#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "tracing/store/span_rows.h"

namespace tarsier::tracing {

using traceql::Attribute;
using traceql::Intrinsic;
using traceql::Scope;
using traceql::Value;

namespace {

/// A span on its way to its row.
struct Incoming {
  SpanRecord record;
  KeptSpan parts;
};

/// Name and version of an InstrumentationScope message.
Value scope_intrinsic(std::string_view scope, std::uint32_t field) {
  ProtobufReader fields(scope);
  Value out;
  while (fields.next()) {
    if (fields.field() == field && fields.type() == ProtobufReader::kBytes) {
      out = fields.bytes().empty() ? Value() : Value::of_text(fields.bytes());
    }
  }
  return out;
}

}  // namespace

WireRows::WireRows(std::span<const KeptTrace> traces) {
  std::map<TraceId, std::vector<Incoming>> by_id;
  for (const KeptTrace& trace : traces) {
    std::vector<Incoming>& spans = by_id[trace.trace_id];
    for (const KeptSpan& parts : trace.spans) {
      Incoming span{.parts = parts};
      if (read_span(parts.span, span.record)) spans.push_back(span);
    }
  }
  for (auto& [id, spans] : by_id) {
    const auto key = [](const Incoming& s) {
      return std::tuple(s.record.start_ns, s.record.span_id.value,
                        static_cast<std::int32_t>(s.record.kind));
    };
    std::stable_sort(spans.begin(), spans.end(),
                     [&](const Incoming& a, const Incoming& b) { return key(a) < key(b); });
    std::set<std::pair<std::uint64_t, std::int32_t>> seen;
    const std::uint32_t first = row_count();
    for (const Incoming& span : spans) {
      const SpanRecord& r = span.record;
      const auto kind = static_cast<std::int32_t>(r.kind);
      if (!seen.emplace(r.span_id.value, kind).second) continue;
      basics_.trace_of.push_back(static_cast<std::uint32_t>(basics_.traces.size()));
      basics_.span_ids.push_back(r.span_id);
      basics_.parent_ids.push_back(r.parent_id);
      basics_.starts_ns.push_back(r.start_ns);
      basics_.ends_ns.push_back(r.end_ns);
      basics_.kinds.push_back(kind);
      basics_.statuses.push_back(static_cast<std::int32_t>(r.status));
      names_.push_back(r.name);
      messages_.push_back(r.status_message);
      spans_.push_back(span.parts);
    }
    if (row_count() == first) continue;
    basics_.trace_ids.push_back(id);
    basics_.traces.push_back({.first = first, .count = row_count() - first});
  }
}

void WireRows::read_column(const Attribute& attribute, Column& out) {
  out.values.resize(row_count());
  bool has_any = false;
  const auto each = [&](auto value) {
    for (std::uint32_t row = 0; row < row_count(); ++row) {
      out.values[row] = value(row);
      has_any = has_any || !out.values[row].is_nil();
    }
  };
  const auto found = [&](auto walk, std::string_view message) {
    Value value;
    walk(message, [&](std::string_view key, const AttributeValue& v) {
      if (key != attribute.name) return true;
      value = value_of(v);
      return false;
    });
    return value;
  };
  const auto text = [](std::string_view v) { return v.empty() ? Value() : Value::of_text(v); };
  switch (attribute.intrinsic) {
    case Intrinsic::kName:
      each([&](std::uint32_t row) { return Value::of_text(names_[row]); });
      break;
    case Intrinsic::kStatusMessage:
      each([&](std::uint32_t row) { return text(messages_[row]); });
      break;
    case Intrinsic::kInstrumentationName:
    case Intrinsic::kInstrumentationVersion: {
      const std::uint32_t field = attribute.intrinsic == Intrinsic::kInstrumentationName ? 1 : 2;
      each([&](std::uint32_t row) { return scope_intrinsic(spans_[row].scope, field); });
      break;
    }
    case Intrinsic::kEventName:
    case Intrinsic::kEventTimeSinceStart:
      each([&](std::uint32_t row) {
        return of_events(attribute, spans_[row].span, basics_.starts_ns[row]);
      });
      break;
    case Intrinsic::kLinkTraceId:
    case Intrinsic::kLinkSpanId:
      each([&](std::uint32_t row) { return of_links(attribute, spans_[row].span); });
      break;
    default: {
      const auto walk_span = [](std::string_view m, auto visit) {
        for_each_span_attribute(m, visit);
      };
      const auto walk_resource = [](std::string_view m, auto visit) {
        for_each_resource_attribute(m, visit);
      };
      const auto walk_scope = [](std::string_view m, auto visit) {
        for_each_scope_attribute(m, visit);
      };
      each([&](std::uint32_t row) -> Value {
        switch (attribute.scope) {
          case Scope::kSpan: return found(walk_span, spans_[row].span);
          case Scope::kResource: return found(walk_resource, spans_[row].resource);
          case Scope::kInstrumentation: return found(walk_scope, spans_[row].scope);
          case Scope::kEvent: return of_events(attribute, spans_[row].span, 0);
          case Scope::kLink: return of_links(attribute, spans_[row].span);
          case Scope::kAny: break;
        }
        return {};
      });
    }
  }
  if (!has_any) out.values.clear();
}

std::vector<Attribute> WireRows::attributes() {
  std::set<Attribute> found;
  const auto add = [&](Scope scope) {
    return [&found, scope](std::string_view key, const AttributeValue&) {
      found.insert({.scope = scope, .name = std::string(key)});
    };
  };
  for (const KeptSpan& span : spans_) {
    for_each_span_attribute(span.span, add(Scope::kSpan));
    for_each_resource_attribute(span.resource, add(Scope::kResource));
    for_each_scope_attribute(span.scope, add(Scope::kInstrumentation));
    for_each_event(span.span, [&](const SpanEvent& event) {
      for_each_event_attribute(event.wire, add(Scope::kEvent));
    });
    for_each_link(span.span, [&](const SpanLink& link) {
      for_each_link_attribute(link.wire, add(Scope::kLink));
    });
  }
  return {found.begin(), found.end()};
}

}  // namespace tarsier::tracing
