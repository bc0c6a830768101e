#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tracing/span.h"
#include "tracing/span_writer.h"
#include "tracing/tail_sampler.h"

namespace tarsier::tracing::testing {

/// One span in a few words: `{.name = "GET /", .is_error = true}`.
struct SpanSketch {
  std::uint64_t id = 1;
  std::uint64_t parent = 0;
  std::string service = "shop";
  std::string name = "GET /";
  std::uint64_t start_ms = 1'000'000;
  std::uint64_t duration_ms = 10;
  StatusCode status = StatusCode::kUnset;
  SpanKind kind = SpanKind::kServer;
  std::string trace_state;
  std::uint32_t flags = 0;
  std::function<void(SpanWriter&)> also;  ///< Attributes, events.
  std::function<void(ResourceWriter&)> resource;
};

inline std::string span_wire(TraceId trace, const SpanSketch& sketch) {
  SpanWriter span(trace, SpanId{sketch.id});
  if (sketch.parent != 0) span.parent(SpanId{sketch.parent});
  span.name(sketch.name).kind(sketch.kind);
  span.times(sketch.start_ms * 1'000'000, (sketch.start_ms + sketch.duration_ms) * 1'000'000);
  if (sketch.status != StatusCode::kUnset) span.status(sketch.status);
  if (!sketch.trace_state.empty()) span.trace_state(sketch.trace_state);
  if (sketch.flags != 0) span.flags(sketch.flags);
  if (sketch.also) sketch.also(span);
  return span.wire();
}

inline void append_span(RequestWriter& request, TraceId trace, const SpanSketch& sketch) {
  ResourceWriter resource;
  resource.attribute("service.name", sketch.service);
  if (sketch.resource) sketch.resource(resource);
  request.resource(resource.wire());
  request.scope(ScopeWriter().name("test").wire());
  request.span(span_wire(trace, sketch));
}

inline std::shared_ptr<const SpanBatch> batch_of(TraceId trace,
                                                 const std::vector<SpanSketch>& spans) {
  RequestWriter request;
  for (const SpanSketch& span : spans) append_span(request, trace, span);
  return SpanBatch::decode(request.take()).value();
}

/// What a sampler knows of a trace of these spans.
inline TraceEvidence evidence_of(const TailSampler& sampler, TraceId trace,
                                 const std::vector<SpanSketch>& spans) {
  const auto batch = batch_of(trace, spans);
  TailSampler::Scratch scratch;
  sampler.begin_batch(*batch, scratch);
  TraceEvidence out;
  for (const SpanRecord& span : batch->spans()) sampler.observe(*batch, span, scratch, out);
  return out;
}

}  // namespace tarsier::tracing::testing
