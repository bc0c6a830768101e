#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tarsier::ingest {

// ExportMetricsServiceRequest (opentelemetry-proto v1) as far as metrics are stored, the same for
// its protobuf and JSON form. Times are milliseconds, attribute values are text already.

using OtlpAttributes = std::vector<std::pair<std::string, std::string>>;

enum class OtlpKind : unsigned char {
  kNone,
  kGauge,
  kSum,
  kHistogram,
  kExponentialHistogram,
  kSummary
};
enum class OtlpTemporality : unsigned char { kUnspecified = 0, kDelta = 1, kCumulative = 2 };

struct OtlpExemplar {
  Timestamp t;
  double value = 0;
  std::string trace_id;  ///< Lower-case hex.
  std::string span_id;
  OtlpAttributes attributes;
};

/// Buckets of an exponential histogram from index `offset` on.
struct OtlpBuckets {
  std::int32_t offset = 0;
  std::vector<std::uint64_t> counts;
};

/// A data point of any kind; what its metric's kind does not have stays empty.
struct OtlpPoint {
  OtlpAttributes attributes;
  Timestamp t;
  bool has_no_value = false;
  double value = 0;
  std::uint64_t count = 0;
  std::optional<double> sum;
  std::vector<double> bounds;                ///< Histogram: explicit bounds.
  std::vector<std::uint64_t> bucket_counts;  ///< One more than bounds, or none.
  std::int32_t scale = 0;
  std::uint64_t zero_count = 0;
  OtlpBuckets positive;
  OtlpBuckets negative;
  std::vector<std::pair<double, double>> quantiles;  ///< Summary: quantile and value.
  std::vector<OtlpExemplar> exemplars;
};

struct OtlpMetric {
  std::string name;
  std::string description;
  std::string unit;
  OtlpKind kind = OtlpKind::kNone;
  OtlpTemporality temporality = OtlpTemporality::kUnspecified;
  bool is_monotonic = false;
  std::vector<OtlpPoint> points;
};

struct OtlpScope {
  std::string name;
  std::string version;
  std::string schema_url;
  OtlpAttributes attributes;
  std::vector<OtlpMetric> metrics;
};

struct OtlpResource {
  OtlpAttributes attributes;
  std::vector<OtlpScope> scopes;
};

struct OtlpRequest {
  std::vector<OtlpResource> resources;
  std::size_t point_count = 0;
};

/// kCorruption with the place when `body` is none, kLimit beyond `points_max` points.
Result<OtlpRequest> decode_otlp_protobuf(std::string_view body, std::size_t points_max);
Result<OtlpRequest> decode_otlp_json(std::string_view body, std::size_t points_max);

}  // namespace tarsier::ingest
