#include "server/trace_export_wiring.h"

#include <utility>

#include "server/config_traces.h"

namespace tarsier::server {
namespace {

std::optional<tracing::TraceExportOptions> options_of(const Config& config) {
  return config.traces ? config.traces->export_to : std::nullopt;
}

}  // namespace

TraceExportWiring::TraceExportWiring(const Doors& doors, const std::string& directory,
                                     const Config& config)
    : log_(doors.log),
      exporter_({.files = doors.files,
                 .client = doors.client,
                 .store = doors.store,
                 .wake = [this] { scheduler_.wake(); },
                 .log = doors.log},
                join_path(directory, "export")) {
  // Here, so that nothing that is kept from now on is missed.
  apply_now(options_of(config));
  scheduler_.add([this](Timestamp due) { return exporter_.run_due(due); });
}

TraceExportWiring::~TraceExportWiring() { stop(); }

void TraceExportWiring::apply(const Config& config) {
  scheduler_.post([this, options = options_of(config)]() mutable {
    apply_now(std::move(options));
    scheduler_.wake();
  });
}

void TraceExportWiring::apply_now(std::optional<tracing::TraceExportOptions> options) {
  const Status applied = exporter_.apply(std::move(options));
  if (!applied.ok()) log_.error("Traces are not sent on", {{"err", applied.message()}});
}

void TraceExportWiring::stop() { scheduler_.stop(); }

}  // namespace tarsier::server
