#include "server/config_trace_export.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"

namespace tarsier::server {
namespace {

using tracing::ExportCompression;
using tracing::TraceExportOptions;

constexpr std::pair<std::string_view, ExportCompression> kCompressions[] = {
    {"gzip", ExportCompression::kGzip},
    {"zstd", ExportCompression::kZstd},
    {"none", ExportCompression::kNone}};

}  // namespace

Result<TraceExportOptions> read_trace_export(const YamlNode& node, const ConfigSources& sources,
                                             Problems& problems) {
  MapReader map(node, "traces.export", problems);
  TraceExportOptions out;
  std::string endpoint;
  map.read("endpoint", endpoint);
  map.read("traces_endpoint", out.url);
  if (out.url.empty() && !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    out.url = endpoint + "/v1/traces";
  }
  if (out.url.empty()) {
    return invalid_at(node,
                      "traces.export: endpoint is missing: the base URL of an OTLP/HTTP "
                      "receiver, such as http://tempo:4318");
  }
  if (!out.url.starts_with("http://") && !out.url.starts_with("https://")) {
    return invalid_at(node, fmt::format("traces.export: endpoint must begin with http:// or "
                                        "https://, not {}",
                                        quote(out.url)));
  }
  std::string traces = "kept";
  map.read("traces", traces);
  if (traces != "kept" && traces != "all") {
    return invalid_at(
        *map.find("traces"),
        fmt::format("traces.export.traces must be kept or all, not {}", quote(traces)));
  }
  out.is_all = traces == "all";
  std::string compression = "gzip";
  map.read("compression", compression);
  bool is_known = false;
  for (const auto& [name, value] : kCompressions) {
    if (name != compression) continue;
    out.compression = value;
    is_known = true;
  }
  if (!is_known) {
    return invalid_at(*map.find("compression"),
                      fmt::format("traces.export.compression must be gzip, zstd or none, not {}",
                                  quote(compression)));
  }
  map.read("timeout", out.timeout);
  map.read_bytes("max_queue_bytes", out.queue_bytes_max);
  if (out.timeout.ms <= 0 || out.queue_bytes_max == 0) {
    return invalid_at(node, "traces.export: timeout and max_queue_bytes must be above zero");
  }
  out.http = TRY(read_http_client(map, sources));
  map.finish();
  return out;
}

void render_trace_export(Emitter& out, const TraceExportOptions& options) {
  const TraceExportOptions standard;
  out.line(1, "export:");
  out.field(2, "traces_endpoint", std::string_view(options.url));
  if (options.is_all) out.line(2, "traces: all");
  for (const auto& [name, value] : kCompressions) {
    if (value == options.compression && value != standard.compression) {
      out.field(2, "compression", name);
    }
  }
  if (options.timeout != standard.timeout) out.field(2, "timeout", options.timeout);
  if (options.queue_bytes_max != standard.queue_bytes_max) {
    out.line(2, fmt::format("max_queue_bytes: {}B", options.queue_bytes_max));
  }
  render_http_client(out, 2, options.http);
}

}  // namespace tarsier::server
