#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "tracing/kept_trace.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// Spans of several batches as the store takes them: views, and what keeps them alive.
class SpanViews final {
 public:
  /// The spans added from here on are this batch's.
  void begin_batch(std::shared_ptr<const SpanBatch> batch) { batches_.push_back(std::move(batch)); }
  /// REQUIRES: a batch was begun and has the index.
  void add(std::uint32_t index) {
    const SpanBatch& batch = *batches_.back();
    const SpanRecord& span = batch.spans()[index];
    const SpanResource& resource = batch.resource_of(span);
    const SpanScope& scope = batch.scope_of(span);
    spans_.push_back({.resource = resource.wire,
                      .resource_schema_url = resource.schema_url,
                      .scope = scope.wire,
                      .scope_schema_url = scope.schema_url,
                      .span = span.wire});
  }
  std::span<const KeptSpan> spans() const { return spans_; }

 private:
  std::vector<std::shared_ptr<const SpanBatch>> batches_;
  std::vector<KeptSpan> spans_;
};

}  // namespace tarsier::tracing
