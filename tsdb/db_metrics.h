#pragma once

#include <cstdint>

#include "base/metric.h"
#include "base/time.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// What the database tells of its maintenance, under Prometheus' names. Any number of threads.
struct DbMetrics {
  Counter checkpoints;
  Counter checkpoints_failed;
  Counter checkpoint_deletions;
  Counter checkpoint_deletions_failed;
  Counter reloads;
  Counter reloads_failed;
  Counter blocks_expired;
  Counter time_retentions;  ///< Rounds of maintenance that deleted blocks for their age ...
  Counter size_retentions;  ///< ... and for the size of all.
  Counter maintenance_rounds;
  SummaryMetric head_gc_seconds;
  SummaryMetric log_truncate_seconds;
  bool was_clean = true;  ///< Whether the process before this one ended as it should. Set once.

  void collect(const Options& options, MetricWriter& out) const;
};

/// A stopwatch for the summaries above; what time it is does not matter to it.
double monotonic_seconds();

}  // namespace tarsier::tsdb
