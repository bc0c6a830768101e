#include "server/tracing_wiring.h"

#include <algorithm>
#include <utility>

#include "base/keyed_hash.h"
#include "server/clock.h"
#include "server/http_answer.h"
#include "tracing/otlp_traces.h"
#include "tracing/zipkin.h"

namespace tarsier::server {
namespace {

const TracesConfig& traces_of(const Config& config) {
  static const TracesConfig kDefaults;
  return config.traces ? *config.traces : kDefaults;
}

tracing::SpanRequestLimits limits_of(const TraceReceiversConfig& receivers) {
  return {.body_bytes_max = receivers.request_bytes_max,
          .spans = {.spans_max = receivers.request_spans_max}};
}

}  // namespace

/// What a configuration makes; replaced as a whole, ended when the last request lets go of it.
struct TracingWiring::Parts {
  TraceReceiversConfig receivers;
  std::shared_ptr<tracing::SpanMetrics> span_metrics;    ///< Null: off.
  std::shared_ptr<tracing::ServiceGraph> service_graph;  ///< Null: off.
};

TracingWiring::TracingWiring(Doors doors, const Config& config)
    : doors_(std::move(doors)),
      parts_(make_parts(traces_of(config), nullptr)),
      door_({.sink = doors_.sink, .observers = [this] {
               const std::shared_ptr<const Parts> now_in_force = parts();
               std::vector<std::shared_ptr<tracing::SpanObserver>> out;
               if (now_in_force->span_metrics) out.push_back(now_in_force->span_metrics);
               if (now_in_force->service_graph) out.push_back(now_in_force->service_graph);
               if (doors_.exporter != nullptr) {
                 // Not shared with anybody: it lives longer than the door.
                 out.emplace_back(std::shared_ptr<void>(), doors_.exporter);
               }
               return out;
             }}) {
  scheduler_.add([this](Timestamp t) {
    const std::shared_ptr<const Parts> now_in_force = parts();
    Timestamp next = kNever;
    if (now_in_force->span_metrics) next = std::min(next, now_in_force->span_metrics->run_due(t));
    if (now_in_force->service_graph) next = std::min(next, now_in_force->service_graph->run_due(t));
    return next;
  });
}

TracingWiring::~TracingWiring() { stop(); }

std::shared_ptr<const TracingWiring::Parts> TracingWiring::parts() const {
  const MutexLock lock(mutex_);
  return parts_;
}

std::shared_ptr<const TracingWiring::Parts> TracingWiring::make_parts(const TracesConfig& config,
                                                                      const Parts* old) const {
  const Timestamp t = now();
  auto out = std::make_shared<Parts>();
  out->receivers = config.receivers;
  const auto make_appender = [this] { return doors_.db.appender(); };
  if (old != nullptr && old->span_metrics && old->span_metrics->options() == config.span_metrics) {
    out->span_metrics = old->span_metrics;
  } else if (config.span_metrics.enabled) {
    out->span_metrics = std::make_shared<tracing::SpanMetrics>(
        config.span_metrics,
        tracing::SpanMetrics::Doors{.make_appender = make_appender,
                                    .pins = doors_.pins,
                                    .hash_key = draw_hash_key(),
                                    .log = &doors_.log},
        t);
  }
  if (old != nullptr && old->service_graph &&
      old->service_graph->options() == config.service_graph) {
    out->service_graph = old->service_graph;
  } else if (config.service_graph.enabled) {
    out->service_graph = std::make_shared<tracing::ServiceGraph>(
        config.service_graph,
        tracing::ServiceGraph::Doors{
            .make_appender = make_appender, .hash_key = draw_hash_key(), .log = &doors_.log},
        t);
  }
  return out;
}

void TracingWiring::apply(const Config& config) {
  const std::shared_ptr<const Parts> old = parts();
  const std::shared_ptr<const Parts> next = make_parts(traces_of(config), old.get());
  {
    const MutexLock lock(mutex_);
    parts_ = next;
  }
  // On the thread that writes, so that nobody else does at the same time.
  scheduler_.post([this, old, next] {
    if (old->span_metrics && old->span_metrics != next->span_metrics) {
      old->span_metrics->write(now());
    }
    if (old->service_graph && old->service_graph != next->service_graph) {
      old->service_graph->write(now());
    }
    scheduler_.wake();
  });
}

void TracingWiring::stop() {
  if (std::exchange(is_stopped_, true)) return;
  scheduler_.stop();
  const std::shared_ptr<const Parts> last = parts();
  if (last->span_metrics) last->span_metrics->write(now());
  if (last->service_graph) last->service_graph->write(now());
}

void TracingWiring::receive_otlp(HttpRequest request, HttpResponder respond) {
  if (!parts()->receivers.has_otlp_http) {
    return respond(
        text_response(404, "traces over OTLP/HTTP are off: traces.receivers.otlp_http\n"));
  }
  receive_spans(std::move(request), std::move(respond));
}

void TracingWiring::receive_spans(HttpRequest request, HttpResponder respond) {
  tracing::receive_otlp_traces(std::move(request), std::move(respond), door_,
                               limits_of(parts()->receivers), doors_.log);
}

bool TracingWiring::takes_grpc() const { return parts()->receivers.has_otlp_grpc; }

void TracingWiring::receive_zipkin(HttpRequest request, HttpResponder respond) {
  const TraceReceiversConfig receivers = parts()->receivers;
  if (!receivers.has_zipkin) {
    return respond(text_response(404, "Zipkin spans are off: traces.receivers.zipkin\n"));
  }
  tracing::receive_zipkin_spans(std::move(request), std::move(respond), door_, limits_of(receivers),
                                doors_.log);
}

void TracingWiring::collect(MetricWriter& out) const {
  door_.collect(out);
  const std::shared_ptr<const Parts> now_in_force = parts();
  if (now_in_force->span_metrics) now_in_force->span_metrics->collect(out);
  if (now_in_force->service_graph) now_in_force->service_graph->collect(out);
}

}  // namespace tarsier::server
