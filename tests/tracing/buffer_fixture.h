#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tests/tracing/memory_sink.h"
#include "tests/tracing/trace_builder.h"
#include "tracing/trace_buffer.h"

namespace tarsier::tracing::testing {

/// A buffer with its decision log on a disk of a test, and the clock it runs by.
struct BufferWorld {
  std::unique_ptr<tarsier::testing::FaultyFileSystem> files =
      std::make_unique<tarsier::testing::FaultyFileSystem>();
  std::string policies = "[]";
  TraceBufferOptions options;
  DecisionLog::Options decision_options;
  Duration decision_wait = seconds(30);
  std::optional<Duration> wait_after_root = seconds(2);
  bool decides_early = false;
  std::uint64_t trace_bytes_max = 0;
  Timestamp now{1'700'000'000'000};

  NullLogger logger;
  MemorySink sink;
  OperationTable operations;
  TraceSummaries summaries;
  std::shared_ptr<TailSampler> sampler;
  std::unique_ptr<DecisionLog> decisions;
  std::unique_ptr<TraceBuffer> buffer;

  ~BufferWorld() { stop(); }
  void stop() {
    buffer.reset();
    decisions.reset();
  }
  SamplingRules rules() {
    sampler = std::make_shared<TailSampler>(compile_policies(std::string_view(policies)).value(),
                                            operations, TailSampler::Options{});
    return {.sampler = sampler,
            .decision_wait = decision_wait,
            .decision_wait_after_root_received = wait_after_root,
            .decides_early = decides_early,
            .trace_bytes_max = trace_bytes_max};
  }
  Status start() {
    stop();
    TRY(files->create_directories("traces"));
    TRY(files->sync_directory("."));
    decisions = TRY(DecisionLog::open(*files, "traces/decisions", decision_options, now, logger));
    buffer = TRY(TraceBuffer::open("traces/spans", options, rules(),
                                   {*files, sink, *decisions, summaries, logger}, now));
    return {};
  }
  /// True when the sender was told success.
  bool send(std::shared_ptr<const SpanBatch> batch) {
    const SpanAdmission admission = buffer->accept(std::move(batch));
    if (admission.retry_after) return false;
    bool is_acknowledged = false;
    buffer->when_accepted(admission.position,
                          [&](const Status& status) { is_acknowledged = status.ok(); });
    return is_acknowledged;
  }
  bool send(TraceId id, const std::vector<SpanSketch>& spans) { return send(batch_of(id, spans)); }
  /// Lets time pass in ticks.
  void pass(Duration duration) {
    const Timestamp end = now + duration;
    while (now < end) {
      now = std::min(end, now + milliseconds(100));
      buffer->run_due(now);
    }
  }
};

}  // namespace tarsier::tracing::testing
