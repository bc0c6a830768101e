#include "tsdb/db_metrics.h"

#include <chrono>

namespace tarsier::tsdb {

double monotonic_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

void DbMetrics::collect(const Options& options, MetricWriter& out) const {
  const auto count = [&out](std::string_view name, std::string_view help, std::uint64_t value) {
    out.counter(name, help, static_cast<double>(value));
  };
  // Without quantiles, as in Prometheus: so the time does not matter.
  const auto summary = [&out](std::string_view name, std::string_view help,
                              const SummaryMetric& metric) {
    out.summary(name, help, metric, {}, Timestamp{});
  };
  count("prometheus_tsdb_compactions_triggered_total",
        "Total number of triggered compactions for the partition.", maintenance_rounds.value());
  count("prometheus_tsdb_compactions_skipped_total",
        "Total number of skipped compactions due to disabled auto compaction.", 0);
  count("prometheus_tsdb_checkpoint_creations_total",
        "Total number of checkpoint creations attempted.",
        checkpoints.value() + checkpoints_failed.value());
  count("prometheus_tsdb_checkpoint_creations_failed_total",
        "Total number of checkpoint creations that failed.", checkpoints_failed.value());
  count("prometheus_tsdb_checkpoint_deletions_total",
        "Total number of checkpoint deletions attempted.",
        checkpoint_deletions.value() + checkpoint_deletions_failed.value());
  count("prometheus_tsdb_checkpoint_deletions_failed_total",
        "Total number of checkpoint deletions that failed.", checkpoint_deletions_failed.value());
  count("prometheus_tsdb_reloads_total",
        "Number of times the database reloaded block data from disk.", reloads.value());
  count("prometheus_tsdb_reloads_failures_total",
        "Number of times the database failed to reloadBlocks block data from disk.",
        reloads_failed.value());
  count("prometheus_tsdb_time_retentions_total",
        "The number of times that blocks were deleted because the maximum time limit was exceeded.",
        time_retentions.value());
  count("prometheus_tsdb_size_retentions_total",
        "The number of times that blocks were deleted because the maximum number of bytes was "
        "exceeded.",
        size_retentions.value());
  count("tarsier_tsdb_blocks_expired_total", "Blocks deleted by retention.",
        blocks_expired.value());
  out.gauge("prometheus_tsdb_retention_limit_bytes",
            "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled",
            static_cast<double>(options.retention_bytes));
  out.gauge("prometheus_tsdb_retention_limit_seconds", "How long to retain samples in storage.",
            static_cast<double>(options.retention.ms) / 1000);
  summary("prometheus_tsdb_head_gc_duration_seconds",
          "Runtime of garbage collection in the head block.", head_gc_seconds);
  // A truncation of the head is memory work only: it cannot fail.
  count("prometheus_tsdb_head_truncations_failed_total",
        "Total number of head truncations that failed.", 0);
  summary("prometheus_tsdb_wal_truncate_duration_seconds", "Duration of WAL truncation.",
          log_truncate_seconds);
  out.gauge("prometheus_tsdb_clean_start",
            "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: "
            "lockfile creation was clean",
            was_clean ? 1 : 0);
}

}  // namespace tarsier::tsdb
