#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/buffer/stamped_span.h"
#include "tracing/kept_trace.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// Spans of several batches as the store takes them: views, and what keeps them alive.
class SpanViews final {
 public:
  /// The spans added from here on are this batch's.
  void begin_batch(std::shared_ptr<const SpanBatch> batch) { batches_.push_back(std::move(batch)); }
  /// REQUIRES: a batch was begun and has the index.
  void add(std::uint32_t index) { add(index, batches_.back()->spans()[index].wire); }
  /// The span as it goes on when its trace was kept with this threshold.
  void add_kept(std::uint32_t index, std::optional<Threshold> threshold) {
    const SpanRecord& span = batches_.back()->spans()[index];
    std::optional<std::string> stamped = stamped_span(span, threshold);
    add(index, stamped ? stamped_.emplace_back(*std::move(stamped)) : span.wire);
  }
  std::span<const KeptSpan> spans() const { return spans_; }

 private:
  void add(std::uint32_t index, std::string_view wire) {
    const SpanBatch& batch = *batches_.back();
    const SpanRecord& span = batch.spans()[index];
    const SpanResource& resource = batch.resource_of(span);
    const SpanScope& scope = batch.scope_of(span);
    spans_.push_back({.resource = resource.wire,
                      .resource_schema_url = resource.schema_url,
                      .scope = scope.wire,
                      .scope_schema_url = scope.schema_url,
                      .span = wire});
  }

  std::vector<std::shared_ptr<const SpanBatch>> batches_;
  std::vector<KeptSpan> spans_;
  std::deque<std::string> stamped_;  ///< Their bytes stay where they are.
};

}  // namespace tarsier::tracing
