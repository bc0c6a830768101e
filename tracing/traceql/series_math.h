#pragma once

#include <cstdint>
#include <vector>

#include "tracing/traceql/metrics.h"

namespace tarsier::tracing::traceql {

enum class NumberSide : std::uint8_t { kLeft, kRight };

/// Every point with a number beside it; a division by zero gives no point.
std::vector<MetricsSeries> combine_with_number(std::vector<MetricsSeries> series, Op op,
                                               double number, NumberSide side);
/// Series of equal labels (`__name__` aside) are joined; one without labels joins with every series
/// of the other side. Where one side has no point there is none.
std::vector<MetricsSeries> combine_series(std::vector<MetricsSeries> left, Op op,
                                          std::vector<MetricsSeries> right);
/// topk, bottomk and filters, in order. What is left out of a step has no point there.
void apply_stages(std::vector<MetricsSeries>& series, const std::vector<SeriesStage>& stages);

}  // namespace tarsier::tracing::traceql
