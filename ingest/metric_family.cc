#include "ingest/metric_family.h"

#include <algorithm>

namespace tarsier::ingest {
namespace {

constexpr std::string_view kCounter[] = {"_total", "_created"};
constexpr std::string_view kSummary[] = {"_count", "_sum", "_created"};
constexpr std::string_view kHistogram[] = {"_bucket", "_count", "_sum", "_created"};
constexpr std::string_view kGaugeHistogram[] = {"_bucket", "_gcount", "_gsum"};
constexpr std::string_view kInfo[] = {"_info"};

}  // namespace

std::span<const std::string_view> family_suffixes(tsdb::MetricType type) {
  switch (type) {
    case tsdb::MetricType::kCounter: return kCounter;
    case tsdb::MetricType::kSummary: return kSummary;
    case tsdb::MetricType::kHistogram: return kHistogram;
    case tsdb::MetricType::kGaugeHistogram: return kGaugeHistogram;
    case tsdb::MetricType::kInfo: return kInfo;
    case tsdb::MetricType::kUnknown:
    case tsdb::MetricType::kGauge:
    case tsdb::MetricType::kStateset: return {};
  }
  return {};
}

bool is_in_family(std::string_view metric, std::string_view family, tsdb::MetricType type) {
  if (metric == family) return true;
  if (!metric.starts_with(family)) return false;
  const auto suffixes = family_suffixes(type);
  return std::find(suffixes.begin(), suffixes.end(), metric.substr(family.size())) !=
         suffixes.end();
}

std::string_view family_of(std::string_view metric, tsdb::MetricType type) {
  for (const std::string_view suffix : family_suffixes(type)) {
    const bool is_total = suffix == "_total";
    if (!is_total && metric.size() > suffix.size() && metric.ends_with(suffix)) {
      return metric.substr(0, metric.size() - suffix.size());
    }
  }
  return metric;
}

}  // namespace tarsier::ingest
