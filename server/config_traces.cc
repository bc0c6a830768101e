#include "server/config_traces.h"

#include <charconv>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/quote.h"
#include "server/config_fields.h"
#include "server/config_sampling.h"
#include "server/config_trace_export.h"

namespace tarsier::server {
namespace {

using tracing::ServiceGraphOptions;
using tracing::SpanMetricNames;
using tracing::SpanMetricsOptions;

Status read_receivers(const YamlNode& node, Problems& problems, TraceReceiversConfig& out) {
  MapReader map(node, "traces.receivers", problems);
  map.read("otlp_http", out.has_otlp_http);
  map.read("otlp_grpc", out.has_otlp_grpc);
  map.read("zipkin", out.has_zipkin);
  map.read_bytes("max_request_bytes", out.request_bytes_max);
  map.read("max_request_spans", out.request_spans_max);
  map.finish();
  if (out.request_bytes_max == 0 || out.request_spans_max == 0) {
    return invalid_at(node, "traces.receivers: a limit must be above zero");
  }
  return {};
}

void read_storage(const YamlNode& node, Problems& problems, TraceStorageConfig& out) {
  MapReader map(node, "traces.storage", problems);
  map.read("retention", out.retention);
  map.read_bytes("max_bytes", out.max_bytes);
  map.finish();
}

/// Ascending finite numbers.
Status read_bounds(MapReader& map, std::string_view name, std::vector<double>& out) {
  std::vector<std::string> texts;
  map.read(name, texts);
  if (texts.empty()) return {};
  out.clear();
  for (const std::string& text : texts) {
    double bound = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bound);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    if (!is_number || !(bound > (out.empty() ? 0 : out.back())) || bound > 1e300) {
      return invalid_at(*map.find(name),
                        fmt::format("{} must be ascending numbers above zero, not {}",
                                    map.path_of(name), quote(text)));
    }
    out.push_back(bound);
  }
  return {};
}

Status read_histograms(MapReader& map, bool& has_classic, bool& has_native) {
  std::string kind = has_classic ? (has_native ? "both" : "classic") : "native";
  map.read("histograms", kind);
  if (kind != "classic" && kind != "native" && kind != "both") {
    return invalid_at(*map.find("histograms"),
                      fmt::format("{} must be classic, native or both, not {}",
                                  map.path_of("histograms"), quote(kind)));
  }
  has_classic = kind != "native";
  has_native = kind != "classic";
  return {};
}

void read_size(MapReader& map, std::string_view name, std::size_t& out) {
  std::uint64_t wide = out;
  map.read(name, wide);
  out = wide;
}

Status require_positive(const YamlNode& node, std::string_view what, Duration d) {
  if (d.ms > 0) return {};
  return invalid_at(node, fmt::format("{} must be above zero", what));
}

Status read_span_metrics(const YamlNode& node, Problems& problems, SpanMetricsOptions& out) {
  MapReader map(node, "traces.span_metrics", problems);
  map.read("enabled", out.enabled);
  std::string names = "tempo";
  map.read("names", names);
  if (names != "tempo" && names != "connector") {
    return invalid_at(
        *map.find("names"),
        fmt::format("traces.span_metrics.names must be tempo or connector, not {}", quote(names)));
  }
  out.names = names == "tempo" ? SpanMetricNames::kTempo : SpanMetricNames::kConnector;
  map.read("namespace", out.metric_namespace);
  std::string unit = "ms";
  map.read("unit", unit);
  if (unit != "ms" && unit != "s") {
    return invalid_at(*map.find("unit"), fmt::format("traces.span_metrics.unit must be ms or s, "
                                                     "not {}",
                                                     quote(unit)));
  }
  out.in_seconds = unit == "s";
  map.read("dimensions", out.dimensions);
  if (const YamlNode* intrinsic = map.find("intrinsic_dimensions")) {
    MapReader own(*intrinsic, "traces.span_metrics.intrinsic_dimensions", problems);
    own.read("service", out.has_service);
    own.read("span_name", out.has_span_name);
    own.read("span_kind", out.has_span_kind);
    own.read("status_code", out.has_status_code);
    own.read("status_message", out.has_status_message);
    own.finish();
  }
  TRY(read_histograms(map, out.has_classic_histograms, out.has_native_histograms));
  TRY(read_bounds(map, "histogram_buckets", out.histogram_buckets));
  map.read("span_multiplier_key", out.span_multiplier_key);
  map.read("interval", out.interval);
  map.read("stale_after", out.stale_after);
  map.read("exemplars", out.has_exemplars);
  map.read("exemplar_label", out.exemplar_label);
  map.read("exemplar_interval", out.exemplar_interval);
  read_size(map, "max_exemplars_per_second", out.exemplars_per_second_max);
  read_size(map, "max_span_names_per_service", out.span_names_per_service_max);
  read_size(map, "max_active_series", out.active_series_max);
  map.finish();
  TRY(require_positive(node, "traces.span_metrics.interval", out.interval));
  return require_positive(node, "traces.span_metrics.stale_after", out.stale_after);
}

Status read_service_graph(const YamlNode& node, Problems& problems, ServiceGraphOptions& out) {
  MapReader map(node, "traces.service_graph", problems);
  map.read("enabled", out.enabled);
  map.read("wait", out.wait);
  read_size(map, "max_items", out.max_items);
  map.read("dimensions", out.dimensions);
  map.read("enable_client_server_prefix", out.enable_client_server_prefix);
  map.read("enable_messaging_system_latency_histogram",
           out.enable_messaging_system_latency_histogram);
  map.read("enable_virtual_node_label", out.enable_virtual_node_label);
  map.read("peer_attributes", out.peer_attributes);
  TRY(read_histograms(map, out.has_classic_histograms, out.has_native_histograms));
  TRY(read_bounds(map, "histogram_buckets", out.histogram_buckets));
  map.read("interval", out.interval);
  map.read("stale_after", out.stale_after);
  read_size(map, "max_active_series", out.active_series_max);
  map.finish();
  TRY(require_positive(node, "traces.service_graph.wait", out.wait));
  TRY(require_positive(node, "traces.service_graph.interval", out.interval));
  return require_positive(node, "traces.service_graph.stale_after", out.stale_after);
}

// What differs from the defaults is shown, field by field.

template <typename T>
void changed(Emitter& out, std::string_view name, const T& value, const T& standard) {
  if (value == standard) return;
  if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    out.list(2, name, value);
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    std::vector<std::string> texts;
    for (const double bound : value) texts.push_back(plain_number(bound));
    out.list(2, name, texts);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    out.line(2, fmt::format("{}: {}", name, value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.field(2, name, std::string_view(value));
  } else {
    out.field(2, name, value);
  }
}

std::string histograms_text(bool has_classic, bool has_native) {
  return has_classic ? (has_native ? "both" : "classic") : "native";
}

void render_receivers(Emitter& out, const TraceReceiversConfig& now) {
  const TraceReceiversConfig standard;
  if (now == standard) return;
  out.line(1, "receivers:");
  changed(out, "otlp_http", now.has_otlp_http, standard.has_otlp_http);
  changed(out, "otlp_grpc", now.has_otlp_grpc, standard.has_otlp_grpc);
  changed(out, "zipkin", now.has_zipkin, standard.has_zipkin);
  if (now.request_bytes_max != standard.request_bytes_max) {
    out.line(2, fmt::format("max_request_bytes: {}B", now.request_bytes_max));
  }
  changed(out, "max_request_spans", now.request_spans_max, standard.request_spans_max);
}

void render_span_metrics(Emitter& out, const SpanMetricsOptions& now) {
  const SpanMetricsOptions standard;
  if (now == standard) return;
  out.line(1, "span_metrics:");
  changed(out, "enabled", now.enabled, standard.enabled);
  if (now.names == SpanMetricNames::kConnector) out.line(2, "names: connector");
  changed(out, "namespace", now.metric_namespace, standard.metric_namespace);
  if (now.in_seconds) out.line(2, "unit: s");
  changed(out, "dimensions", now.dimensions, standard.dimensions);
  const bool has_all = now.has_service && now.has_span_name && now.has_span_kind &&
                       now.has_status_code && !now.has_status_message;
  if (!has_all) {
    out.line(2, "intrinsic_dimensions:");
    out.field(3, "service", now.has_service);
    out.field(3, "span_name", now.has_span_name);
    out.field(3, "span_kind", now.has_span_kind);
    out.field(3, "status_code", now.has_status_code);
    out.field(3, "status_message", now.has_status_message);
  }
  changed(out, "histograms", histograms_text(now.has_classic_histograms, now.has_native_histograms),
          histograms_text(standard.has_classic_histograms, standard.has_native_histograms));
  changed(out, "histogram_buckets", now.histogram_buckets, standard.histogram_buckets);
  changed(out, "span_multiplier_key", now.span_multiplier_key, standard.span_multiplier_key);
  changed(out, "interval", now.interval, standard.interval);
  changed(out, "stale_after", now.stale_after, standard.stale_after);
  changed(out, "exemplars", now.has_exemplars, standard.has_exemplars);
  changed(out, "exemplar_label", now.exemplar_label, standard.exemplar_label);
  changed(out, "exemplar_interval", now.exemplar_interval, standard.exemplar_interval);
  changed(out, "max_exemplars_per_second", now.exemplars_per_second_max,
          standard.exemplars_per_second_max);
  changed(out, "max_span_names_per_service", now.span_names_per_service_max,
          standard.span_names_per_service_max);
  changed(out, "max_active_series", now.active_series_max, standard.active_series_max);
}

void render_service_graph(Emitter& out, const ServiceGraphOptions& now) {
  const ServiceGraphOptions standard;
  if (now == standard) return;
  out.line(1, "service_graph:");
  changed(out, "enabled", now.enabled, standard.enabled);
  changed(out, "wait", now.wait, standard.wait);
  changed(out, "max_items", now.max_items, standard.max_items);
  changed(out, "dimensions", now.dimensions, standard.dimensions);
  changed(out, "enable_client_server_prefix", now.enable_client_server_prefix,
          standard.enable_client_server_prefix);
  changed(out, "enable_messaging_system_latency_histogram",
          now.enable_messaging_system_latency_histogram,
          standard.enable_messaging_system_latency_histogram);
  changed(out, "enable_virtual_node_label", now.enable_virtual_node_label,
          standard.enable_virtual_node_label);
  changed(out, "peer_attributes", now.peer_attributes, standard.peer_attributes);
  changed(out, "histograms", histograms_text(now.has_classic_histograms, now.has_native_histograms),
          histograms_text(standard.has_classic_histograms, standard.has_native_histograms));
  changed(out, "histogram_buckets", now.histogram_buckets, standard.histogram_buckets);
  changed(out, "interval", now.interval, standard.interval);
  changed(out, "stale_after", now.stale_after, standard.stale_after);
  changed(out, "max_active_series", now.active_series_max, standard.active_series_max);
}

void render_storage(Emitter& out, const TraceStorageConfig& now) {
  const TraceStorageConfig standard;
  if (now == standard) return;
  out.line(1, "storage:");
  changed(out, "retention", now.retention, standard.retention);
  if (now.max_bytes != standard.max_bytes) {
    out.field(2, "max_bytes", fmt::format("{}B", now.max_bytes));
  }
}

}  // namespace

Result<TracesConfig> read_traces(const YamlNode& node, const ConfigSources& sources,
                                 Problems& problems) {
  MapReader map(node, "traces", problems);
  TracesConfig out;
  if (const YamlNode* part = map.find("receivers")) {
    TRY(read_receivers(*part, problems, out.receivers));
  }
  if (const YamlNode* part = map.find("sampling")) {
    out.sampling = TRY(read_sampling(*part, problems));
  }
  if (const YamlNode* part = map.find("span_metrics")) {
    TRY(read_span_metrics(*part, problems, out.span_metrics));
  }
  if (const YamlNode* part = map.find("service_graph")) {
    TRY(read_service_graph(*part, problems, out.service_graph));
  }
  if (const YamlNode* part = map.find("storage")) read_storage(*part, problems, out.storage);
  if (const YamlNode* part = map.find("export")) {
    out.export_to = TRY(read_trace_export(*part, sources, problems));
  }
  map.finish();
  return out;
}

void render_traces(Emitter& out, const TracesConfig& traces) {
  Emitter parts;
  render_receivers(parts, traces.receivers);
  render_sampling(parts, traces.sampling);
  render_span_metrics(parts, traces.span_metrics);
  render_service_graph(parts, traces.service_graph);
  render_storage(parts, traces.storage);
  if (traces.export_to) render_trace_export(parts, *traces.export_to);
  const std::string text = parts.take();
  if (text.empty()) return;
  out.line(0, "traces:");
  out.indented(0, text);
}

}  // namespace tarsier::server
