#pragma once

#include <memory>

#include "tracing/trace_pins.h"
#include "tsdb/appender.h"

namespace tarsier::server {

/// Samples of others on their way into storage: like `inner`, but once a commit holds exemplars
/// that name a trace (`trace_id`, as OpenTelemetry and OpenMetrics spell it), `pins` is asked to
/// keep those traces that are still undecided. What it cannot keep is stored nevertheless: others
/// decide about their traces themselves. `pins` outlives the appender.
std::unique_ptr<tsdb::Appender> pin_exemplars(std::unique_ptr<tsdb::Appender> inner,
                                              tracing::TracePins& pins);

}  // namespace tarsier::server
