#include "server/sampling_wiring.h"

#include <utility>

#include "server/clock.h"

namespace tarsier::server {

Result<std::unique_ptr<SamplingWiring>> SamplingWiring::open(
    const Doors& doors, const std::string& directory, const tracing::SamplingConfig& config) {
  auto out = std::unique_ptr<SamplingWiring>(new SamplingWiring());
  const Timestamp t = now();
  out->log_ = &doors.log;
  out->config_ = config;
  out->summaries_ = std::make_unique<tracing::TraceSummaries>(
      static_cast<std::size_t>(config.recorded_traces_max));
  out->decisions_ = TRY(tracing::DecisionLog::open(
      doors.files, join_path(directory, "decisions"),
      {.retention = config.decision_retention, .disk_bytes_max = config.decision_bytes}, t,
      doors.log));
  tracing::SamplingRules rules = TRY(tracing::make_rules(config, out->operations_));
  out->buffer_ = TRY(tracing::TraceBuffer::open(
      join_path(directory, "spans"),
      {.memory_bytes_max = config.memory_bytes, .log_bytes_max = config.log_bytes},
      std::move(rules),
      {doors.files, doors.sink, *out->decisions_, *out->summaries_, doors.log}, t));
  out->api_ = std::make_unique<tracing::SamplingApi>(tracing::SamplingApi::Doors{
      *out->buffer_, *out->decisions_, *out->summaries_, out->operations_});
  out->scheduler_.add(
      [buffer = out->buffer_.get()](Timestamp due) { return buffer->run_due(due); });
  return out;
}

SamplingWiring::~SamplingWiring() { stop(); }

void SamplingWiring::apply(const tracing::SamplingConfig& config) {
  if (config == config_) return;
  config_ = config;
  Result<tracing::SamplingRules> rules = tracing::make_rules(config, operations_);
  if (!rules.ok()) {
    log_->error("The sampling policies stay as they were", {{"err", rules.status().message()}});
    return;
  }
  buffer_->set_rules(std::move(rules).value());
}

void SamplingWiring::stop() {
  if (std::exchange(is_stopped_, true)) return;
  scheduler_.stop();
  if (!buffer_) return;
  if (const Status status = buffer_->close(now()); !status.ok()) {
    log_->error("Undecided traces may not be on the disk", {{"err", status.message()}});
  }
}

void SamplingWiring::collect(MetricWriter& out) const {
  buffer_->collect(out);
  decisions_->collect(out, now());
}

}  // namespace tarsier::server
