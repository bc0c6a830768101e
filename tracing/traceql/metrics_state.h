#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "tracing/traceql/exponential_buckets.h"
#include "tracing/traceql/metrics.h"

namespace tarsier::tracing::traceql {

/// What one series has in one step.
struct MetricsCell {
  double count = 0;
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
};

/// What one series has.
struct MetricsCollector::Accumulated {
  std::vector<MetricsCell> cells;
  std::vector<ExponentialBuckets> buckets;             ///< Of quantiles, one per step.
  std::map<std::int64_t, std::vector<double>> powers;  ///< Of histograms: counts by bound 2^n.
  bool has_durations = false;  ///< Bounds of histograms are shown in seconds.
  std::vector<SeriesExemplar> exemplars;
};

/// One function or operator of the query.
struct MetricsCollector::Node {
  const Metrics* metrics = nullptr;
  std::vector<std::unique_ptr<Node>> operands;
  std::map<SeriesLabels, Accumulated> groups;
  /// Of compare(): by attribute and value, counts for baseline and selection.
  struct Compared {
    std::map<LabelValue, std::array<std::vector<double>, 2>> values;
    std::array<std::vector<double>, 2> totals;
    bool is_cut = false;
  };
  std::map<Attribute, Compared> compared;
};

}  // namespace tarsier::tracing::traceql
