#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "tracing/kept_trace.h"
#include "tracing/span.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {

/// A span as a test states it.
struct LabSpan {
  using Scalar = std::variant<std::string, std::int64_t, double, bool>;

  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  std::string service = "shop";
  std::string name = "op";
  SpanKind kind = SpanKind::kInternal;
  StatusCode status = StatusCode::kUnset;
  std::string message;
  std::uint64_t start_ns = 0;
  std::uint64_t duration_ns = 0;
  std::map<std::string, Scalar> attributes;
  std::vector<std::string> events;  ///< Names; each has the attribute `event.word`.
};

/// Traces in their wire form, which live as long as this.
class SpanLab final {
 public:
  void add(TraceId id, const std::vector<LabSpan>& spans) {
    std::vector<KeptSpan>& parts = parts_.emplace_back();
    for (const LabSpan& span : spans) {
      parts.push_back({.resource = keep(ResourceWriter()
                                            .attribute("service.name", span.service)
                                            .attribute("host", "h-" + span.service)
                                            .wire()),
                       .scope = keep(ScopeWriter().name("lab").version("1").wire()),
                       .span = keep(wire_of(id, span))});
    }
    traces_.push_back({.trace_id = id, .spans = parts});
  }
  const std::vector<KeptTrace>& traces() const { return traces_; }

  static std::string wire_of(TraceId id, const LabSpan& span) {
    SpanWriter out(id, SpanId{span.id});
    if (span.parent != 0) out.parent(SpanId{span.parent});
    out.name(span.name).kind(span.kind).times(span.start_ns, span.start_ns + span.duration_ns);
    for (const auto& [key, value] : span.attributes) {
      std::visit([&](const auto& v) { out.attribute(key, v); }, value);
    }
    for (const std::string& name : span.events) {
      out.event(EventWriter(span.start_ns + 5, name).attribute("word", "w-" + name));
    }
    if (span.status != StatusCode::kUnset || !span.message.empty()) {
      out.status(span.status, span.message);
    }
    return out.wire();
  }

 private:
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  std::deque<std::string> texts_;
  std::deque<std::vector<KeptSpan>> parts_;
  std::vector<KeptTrace> traces_;
};

}  // namespace tarsier::tracing
