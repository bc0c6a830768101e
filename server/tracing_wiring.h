#pragma once

#include <memory>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "server/config.h"
#include "server/config_traces.h"
#include "server/scheduler.h"
#include "tracing/service_graph.h"
#include "tracing/span_door.h"
#include "tracing/span_metrics.h"
#include "tracing/span_sink.h"
#include "tracing/trace_pins.h"
#include "tsdb/db.h"

namespace tarsier::server {

/// Receivers of spans, and the metrics made of them, with the thread that writes those. Made by the
/// composition after storage, ended before it.
class TracingWiring final {
 public:
  struct Doors {
    tsdb::Db& db;
    Logger& log;
    /// Where spans wait for the decision on their trace, and who keeps traces that exemplars lead
    /// to; both outlive this. Null: spans are counted, and not kept.
    tracing::SpanSink* sink = nullptr;
    tracing::TracePins* pins = nullptr;
    /// Sees every span that comes in; outlives this. Null: nobody.
    tracing::SpanObserver* exporter = nullptr;
  };
  /// `config` is in force from the beginning.
  TracingWiring(Doors doors, const Config& config);
  ~TracingWiring();

  /// Puts a configuration in force. Counters whose options change begin anew.
  void apply(const Config& config);
  /// Writes what was counted. No request may come any more.
  void stop();

  /// POST /v1/traces.
  void receive_otlp(HttpRequest request, HttpResponder respond);
  /// The same for requests that came another way.
  void receive_spans(HttpRequest request, HttpResponder respond);
  bool takes_grpc() const;
  /// POST /api/v2/spans.
  void receive_zipkin(HttpRequest request, HttpResponder respond);
  void collect(MetricWriter& out) const;

 private:
  struct Parts;
  std::shared_ptr<const Parts> parts() const;
  std::shared_ptr<const Parts> make_parts(const TracesConfig& config, const Parts* old) const;

  const Doors doors_;
  mutable Mutex mutex_;
  std::shared_ptr<const Parts> parts_ GUARDED_BY(mutex_);
  tracing::SpanDoor door_;
  bool is_stopped_ = false;
  Scheduler scheduler_{"tracing"};  // Last: it drives everything above.
};

}  // namespace tarsier::server
