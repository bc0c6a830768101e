#pragma once

#include <cstdint>
#include <string>

#include "base/metric.h"

namespace tarsier::ingest {

/// What one destination tells of itself, under Prometheus' names.
struct ForwardMetrics {
  struct Kind {
    Counter sent;  ///< Tried, whatever became of them.
    Counter failed;
    Counter retried;
    Counter dropped_relabelled;
    Counter dropped_too_old;
  };
  Kind samples;
  Kind histograms;
  Kind exemplars;
  Counter metadata;
  Counter metadata_failed;
  Counter bytes;  ///< Of samples, compressed.
  Counter metadata_bytes;
  Gauge pending;  ///< Samples and histograms in shards.
  Gauge highest_read_seconds;
  Gauge highest_sent_seconds;
  Gauge shards;
  Gauge shards_desired;
  Counter enqueue_retries;
  Counter segments_lost;
  Counter read_errors;
  Gauge segment;       ///< That is being read.
  Gauge bytes_behind;  ///< Of the log, about.
  HistogramMetric batch_seconds{
      {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300}};
};

}  // namespace tarsier::ingest
