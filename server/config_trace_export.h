#pragma once

#include "base/result.h"
#include "server/config.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"
#include "tracing/trace_exporter.h"

namespace tarsier::server {

/// Reads `traces.export`; kInvalid with the place for what makes no sense.
Result<tracing::TraceExportOptions> read_trace_export(const YamlNode& node,
                                                      const ConfigSources& sources,
                                                      Problems& problems);
/// The section, one level below `traces`.
void render_trace_export(Emitter& out, const tracing::TraceExportOptions& options);

}  // namespace tarsier::server
