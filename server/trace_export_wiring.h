#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "server/config.h"
#include "server/scheduler.h"
#include "tracing/trace_exporter.h"

namespace tarsier::server {

/// What sends traces on, with the thread that does. Stands between the trace buffer and the store
/// of kept traces: made after the one, ended after the other.
class TraceExportWiring final {
 public:
  struct Doors {
    FileSystem& files;
    HttpClient& client;
    tracing::KeptTraceSink& store;
    Logger& log;
  };
  /// The queue lies in `directory`, that of all traces. `config` is in force from the beginning.
  TraceExportWiring(const Doors& doors, const std::string& directory, const Config& config);
  ~TraceExportWiring();

  /// In force soon.
  void apply(const Config& config);
  /// Begins no request any more.
  void stop();

  tracing::TraceExporter& exporter() { return exporter_; }
  void collect(MetricWriter& out) const { exporter_.collect(out); }

 private:
  void apply_now(std::optional<tracing::TraceExportOptions> options);

  Logger& log_;
  tracing::TraceExporter exporter_;
  Scheduler scheduler_{"trace-export"};  // Last: it drives the exporter.
};

}  // namespace tarsier::server
