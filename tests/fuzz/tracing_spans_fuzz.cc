#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tracing/span.h"
#include "tracing/span_writer.h"
#include "tracing/trace_state.h"

namespace tarsier {
namespace {

using namespace tracing;

/// Everything a batch promises to be whole is read to its end.
void read_all(const SpanRecord& span, const SpanBatch& batch) {
  std::string text;
  const auto attribute = [&](std::string_view key, const AttributeValue& value) {
    text.assign(key);
    append_text(value, text);
    append_json(value, text);
  };
  CHECK(for_each_span_attribute(span.wire, attribute));
  CHECK(for_each_resource_attribute(batch.resource_of(span).wire, attribute));
  CHECK(for_each_scope_attribute(batch.scope_of(span).wire, attribute));
  CHECK(for_each_event(span.wire, [&](const SpanEvent& event) {
    CHECK(for_each_event_attribute(event.wire, attribute));
  }));
  CHECK(for_each_link(span.wire, [&](const SpanLink& link) {
    CHECK(for_each_link_attribute(link.wire, attribute));
  }));
  parse_otel_trace_state(span.trace_state);
}

}  // namespace

void fuzz_one(Bytes input) {
  const auto batch = SpanBatch::decode(std::string(as_text(input)), {.spans_max = 1000});
  if (!batch.ok()) return;
  RequestWriter again;
  for (const SpanRecord& span : (*batch)->spans()) {
    read_all(span, **batch);
    SpanRecord alone;
    CHECK(read_span(span.wire, alone) && alone.span_id == span.span_id);
    again.resource((*batch)->resource_of(span).wire).scope((*batch)->scope_of(span).wire);
    again.span(span.wire);
  }
  const auto twice = SpanBatch::decode(again.take());
  CHECK(twice.ok() && (*twice)->spans().size() == (*batch)->spans().size());
}

}  // namespace tarsier
