#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "server/scheduler.h"
#include "tracing/jaeger_api.h"
#include "tracing/tempo_api.h"
#include "tracing/trace_queries.h"
#include "tracing/trace_store.h"

namespace tarsier::server {

/// The store of kept traces with what answers questions about it, and the thread that maintains it.
/// Made by the composition before the receivers of spans, ended after them.
class TraceStorage final {
 public:
  /// Opens what is in `directory`.
  static Result<std::unique_ptr<TraceStorage>> open(FileSystem& files, std::string directory,
                                                    const tracing::TraceStoreOptions& options,
                                                    Logger& log);
  ~TraceStorage();

  tracing::TraceStore& store() { return *store_; }
  /// Shows undecided traces beside the stored ones. Before the first query; `undecided` must live
  /// until stop().
  void show_undecided(const tracing::UndecidedTraces* undecided);

  const tracing::TraceQueries& queries() const { return *queries_; }
  const tracing::TempoApi& tempo() const { return *tempo_; }
  const tracing::JaegerApi& jaeger() const { return *jaeger_; }
  void collect(MetricWriter& out) const { store_->collect(out); }
  /// Nothing is kept or asked any more.
  void stop();

 private:
  TraceStorage(std::unique_ptr<tracing::TraceStore> store, Logger& log);

  const std::unique_ptr<tracing::TraceStore> store_;
  Logger& log_;
  std::unique_ptr<tracing::TraceQueries> queries_;
  std::unique_ptr<tracing::TempoApi> tempo_;
  std::unique_ptr<tracing::JaegerApi> jaeger_;
  bool is_stopped_ = false;
  Scheduler scheduler_{"trace-store"};  // Last: it drives everything above.
};

}  // namespace tarsier::server
