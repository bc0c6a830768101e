#include "ingest/native_limits.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "tsdb/histogram_resolution.h"

namespace tarsier::ingest {
namespace {

std::size_t stored_buckets(const tsdb::IntegerHistogram& h) {
  return h.positive_deltas.size() + h.negative_deltas.size();
}
std::size_t stored_buckets(const tsdb::FloatHistogram& h) {
  return h.positive_counts.size() + h.negative_counts.size();
}

template <typename Histogram>
Status apply(const ScrapeConfig& config, Histogram& histogram) {
  if (histogram.is_stale()) return {};
  TRY(tsdb::prepare_for_storage(histogram));
  const tsdb::BucketLayout& layout = histogram.layout;
  if (config.native_histogram_min_bucket_factor > 0) {
    tsdb::reduce_to_schema(histogram, finest_schema(config.native_histogram_min_bucket_factor));
  }
  const std::uint64_t limit = config.native_histogram_bucket_limit;
  while (limit != 0 && stored_buckets(histogram) > limit) {
    if (layout.is_custom() || layout.schema <= tsdb::kExponentialSchemaMin) {
      return limit_exceeded("histogram bucket limit exceeded");
    }
    tsdb::reduce_to_schema(histogram, layout.schema - 1);
  }
  return {};
}

}  // namespace

std::int32_t finest_schema(double factor) {
  if (!(factor > 1)) return tsdb::kExponentialSchemaMax;
  const double schema = std::floor(-std::log2(std::log2(factor)));
  return static_cast<std::int32_t>(std::clamp(schema,
                                              static_cast<double>(tsdb::kExponentialSchemaMin),
                                              static_cast<double>(tsdb::kExponentialSchemaMax)));
}

Status apply_native_limits(const ScrapeConfig& config, tsdb::AnyHistogram& histogram) {
  return std::visit([&](auto& one) { return apply(config, one); }, histogram);
}

}  // namespace tarsier::ingest
