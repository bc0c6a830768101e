#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/time.h"
#include "ingest/remote_write.h"

namespace tarsier::ingest {

/// What becomes of points of delta temporality.
enum class OtlpDelta : unsigned char {
  kRefuse,
  kAccumulate,  ///< Feature otlp-deltatocumulative.
  kStore,       ///< As they are, of unknown type: otlp-native-delta-ingestion.
};

class DeltaAccumulator;

/// The `otlp` section, and what features add to it.
struct OtlpOptions {
  OtlpDelta delta = OtlpDelta::kRefuse;
  /// As the configuration spells it; see otlp_translation_exists().
  std::string translation_strategy = "UnderscoreEscapingWithSuffixes";
  std::vector<std::string> promote_resource_attributes;
  bool promote_all_resource_attributes = false;
  std::vector<std::string> ignore_resource_attributes;  ///< Only with promote_all.
  bool keep_identifying_resource_attributes = false;
  bool convert_histograms_to_nhcb = false;
  bool promote_scope_metadata = false;
  bool label_name_underscore_sanitization = true;
  bool label_name_preserve_multiple_underscores = true;
  bool operator==(const OtlpOptions&) const = default;

  std::size_t body_bytes_max() const { return std::size_t{32} << 20; }
  std::size_t points_max() const { return 1'000'000; }
};

bool otlp_translation_exists(const std::string& strategy);

/// POST /api/v1/otlp/v1/metrics: OpenTelemetry metrics in protobuf or JSON, plain or gzipped.
/// Gauges, sums and summaries become float series, histograms classic ones (or custom buckets),
/// exponential ones native histograms; each resource a `target_info`. A point that cannot be stored
/// does not take the others with it: the answer is 200 with a partial success that counts and names
/// what was rejected (delta temporality included, unless a feature says otherwise). Answers when
/// everything is durable; 503 with Retry-After says that nothing was stored and a retry is worth
/// it. Any number of threads.
class OtlpMetricsReceiver final {
 public:
  /// `options` is asked for each request, so that a reload counts at once; `deltas`, which may be
  /// shared, and `log` outlive this.
  OtlpMetricsReceiver(WriteDoor door, std::function<std::shared_ptr<const OtlpOptions>()> options,
                      Duration lookback, DeltaAccumulator& deltas, Logger& log);
  ~OtlpMetricsReceiver();

  /// May answer after the receiver is gone.
  void handle(HttpRequest request, HttpResponder respond);
  void collect(MetricWriter& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::ingest
