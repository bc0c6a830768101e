#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/mutex.h"
#include "tracing/kept_trace.h"
#include "tracing/span.h"

namespace tarsier::tracing::testing {

/// A store of kept traces that remembers spans by (trace, span, kind) and can fail.
class MemorySink final : public KeptTraceSink {
 public:
  struct Kept {
    std::map<std::pair<std::uint64_t, std::int32_t>, std::string> spans;  ///< Their services.
    std::map<std::uint64_t, std::string> trace_states;                    ///< By span id.
    SamplingDecision decision;
    std::size_t calls = 0;
  };

  Status keep(std::span<const KeptTrace> traces, Timestamp) override {
    const MutexLock lock(mutex_);
    if (fails_) return io_error("the store is away");
    for (const KeptTrace& trace : traces) {
      Kept& kept = traces_[trace.trace_id];
      ++kept.calls;
      if (trace.decision) kept.decision = *trace.decision;
      for (const KeptSpan& span : trace.spans) {
        SpanRecord record;
        CHECK(read_span(span.span, record));
        CHECK(record.trace_id == trace.trace_id);
        std::string service;
        for_each_resource_attribute(span.resource,
                                    [&](std::string_view key, const AttributeValue& value) {
                                      if (key == "service.name") service = value.bytes;
                                    });
        kept.trace_states[record.span_id.value] = std::string(record.trace_state);
        const auto kind = static_cast<std::int32_t>(record.kind);
        kept.spans[{record.span_id.value, kind}] = std::move(service);
      }
    }
    return {};
  }
  Status sync() override {
    const MutexLock lock(mutex_);
    if (fails_) return io_error("the store is away");
    synced_ = traces_;
    return {};
  }

  /// What a power cut leaves.
  void lose_unsynced() {
    const MutexLock lock(mutex_);
    traces_ = synced_;
  }
  void fail(bool fails) {
    const MutexLock lock(mutex_);
    fails_ = fails;
  }
  std::map<TraceId, Kept> traces() const {
    const MutexLock lock(mutex_);
    return traces_;
  }
  bool has(TraceId id) const {
    const MutexLock lock(mutex_);
    return traces_.contains(id);
  }
  Kept kept(TraceId id) const {
    const MutexLock lock(mutex_);
    const auto found = traces_.find(id);
    return found == traces_.end() ? Kept() : found->second;
  }

 private:
  mutable Mutex mutex_;
  std::map<TraceId, Kept> traces_ GUARDED_BY(mutex_);
  std::map<TraceId, Kept> synced_ GUARDED_BY(mutex_);
  bool fails_ GUARDED_BY(mutex_) = false;
};

}  // namespace tarsier::tracing::testing
