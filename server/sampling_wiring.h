#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "server/scheduler.h"
#include "tracing/decision_log.h"
#include "tracing/kept_trace.h"
#include "tracing/operation_table.h"
#include "tracing/sampling_api.h"
#include "tracing/sampling_config.h"
#include "tracing/trace_buffer.h"
#include "tracing/trace_summaries.h"

namespace tarsier::server {

/// The trace buffer, the tail sampler and the decision log, with the thread that drives them. Made
/// after the store of kept traces and ended before it.
class SamplingWiring final {
 public:
  struct Doors {
    FileSystem& files;
    tracing::KeptTraceSink& sink;
    Logger& log;
  };
  /// Takes up what is undecided in `directory`, that of all traces.
  static Result<std::unique_ptr<SamplingWiring>> open(const Doors& doors,
                                                      const std::string& directory,
                                                      const tracing::SamplingConfig& config);
  ~SamplingWiring();

  /// Policies and waits are in force for traces that begin from now on; sizes at the next start.
  void apply(const tracing::SamplingConfig& config);
  /// Brings everything to the disk. No request may come any more.
  void stop();

  /// Where spans go, who can be asked for pins, and what queries see beside the store.
  tracing::TraceBuffer& buffer() { return *buffer_; }
  const tracing::SamplingApi& api() const { return *api_; }
  void collect(MetricWriter& out) const;

 private:
  SamplingWiring() = default;

  Logger* log_ = nullptr;
  tracing::SamplingConfig config_;  // Of whoever applies.
  tracing::OperationTable operations_;
  std::unique_ptr<tracing::TraceSummaries> summaries_;
  std::unique_ptr<tracing::DecisionLog> decisions_;
  std::unique_ptr<tracing::TraceBuffer> buffer_;
  std::unique_ptr<tracing::SamplingApi> api_;
  bool is_stopped_ = false;
  Scheduler scheduler_{"sampling"};  // Last: it drives everything above.
};

}  // namespace tarsier::server
