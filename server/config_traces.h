#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "server/config.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"
#include "tracing/sampling_config.h"
#include "tracing/service_graph.h"
#include "tracing/span_metrics.h"
#include "tracing/trace_exporter.h"

namespace tarsier::server {

/// `traces.receivers`. Where they listen is said by flags.
struct TraceReceiversConfig {
  bool has_otlp_http = true;
  bool has_otlp_grpc = true;
  bool has_zipkin = true;
  /// Of one request, unpacked; what the OTLP specification recommends.
  std::uint64_t request_bytes_max = std::uint64_t{64} << 20;
  std::uint64_t request_spans_max = 1'000'000;
  bool operator==(const TraceReceiversConfig&) const = default;
};

/// `traces.storage`.
struct TraceStorageConfig {
  Duration retention = days(14);  ///< 0 keeps all.
  std::uint64_t max_bytes = 0;    ///< 0 is no limit.
  bool operator==(const TraceStorageConfig&) const = default;
};

/// The `traces` section: the collector of spans.
struct TracesConfig {
  TraceReceiversConfig receivers;
  tracing::SamplingConfig sampling;
  tracing::SpanMetricsOptions span_metrics;
  tracing::ServiceGraphOptions service_graph;
  TraceStorageConfig storage;
  std::optional<tracing::TraceExportOptions> export_to;  ///< `traces.export`.
};

/// Reads the section; what it leaves out has its default. What has the wrong shape goes to
/// `problems`; kInvalid with the place for what has the shape and makes no sense.
Result<TracesConfig> read_traces(const YamlNode& node, const ConfigSources& sources,
                                 Problems& problems);
/// What differs from the defaults, as YAML; nothing if nothing does.
void render_traces(Emitter& out, const TracesConfig& traces);

}  // namespace tarsier::server
