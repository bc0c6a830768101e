#include "tracing/buffer/stamped_span.h"

#include <string_view>

#include "base/protobuf_reader.h"
#include "base/protobuf_writer.h"
#include "tracing/trace_state.h"

namespace tarsier::tracing {
namespace {

constexpr std::uint32_t kTraceStateField = 3;
/// W3C Trace Context level 2: the low 56 bits of the trace id are random.
constexpr std::uint32_t kRandomFlag = 2;

/// Field order is free in a message: what is there keeps its place, the new one goes last.
std::string with_trace_state(std::string_view span, std::string_view trace_state) {
  std::string out;
  out.reserve(span.size() + trace_state.size() + 3);
  ProtobufReader fields(span);
  std::size_t begin = 0;
  while (fields.next()) {
    const std::size_t end = fields.offset();
    if (fields.field() != kTraceStateField) out += span.substr(begin, end - begin);
    begin = end;
  }
  if (!trace_state.empty()) ProtobufWriter(out).bytes(kTraceStateField, trace_state);
  return out;
}

}  // namespace

std::optional<std::string> stamped_span(const SpanRecord& span,
                                        std::optional<Threshold> threshold) {
  // Most spans have none, and most of what is kept is kept whole.
  const bool has_member = trace_state_member(span.trace_state, "ot").has_value();
  if (!threshold && !has_member) return std::nullopt;
  if (threshold && threshold->value == 0 && !has_member && (span.flags & kRandomFlag) == 0) {
    return std::nullopt;
  }
  const OtelTraceState own = parse_otel_trace_state(span.trace_state);
  if (threshold && own.threshold && *own.threshold >= threshold->value) return std::nullopt;
  std::string trace_state = with_threshold(span.trace_state, threshold);
  if (trace_state == span.trace_state) return std::nullopt;
  return with_trace_state(span.wire, trace_state);
}

}  // namespace tarsier::tracing
