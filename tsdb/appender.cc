#include "tsdb/appender.h"

namespace tarsier::tsdb {

std::string_view append_outcome_text(AppendOutcome outcome) {
  switch (outcome) {
    case AppendOutcome::kAppended: return "appended";
    case AppendOutcome::kIgnored: return "already there";
    case AppendOutcome::kDuplicate: return "duplicate sample for timestamp";
    case AppendOutcome::kOutOfOrder: return "out of order sample";
    case AppendOutcome::kOutOfBounds: return "out of bounds";
    case AppendOutcome::kTooOld: return "too old sample";
    case AppendOutcome::kUnknownSeries: return "unknown series reference";
    case AppendOutcome::kInvalid: return "invalid histogram";
  }
  return "unknown";
}

std::string_view exemplar_outcome_text(AppendOutcome outcome) {
  switch (outcome) {
    case AppendOutcome::kDuplicate: return "duplicate exemplar";
    case AppendOutcome::kOutOfOrder: return "out of order exemplar";
    case AppendOutcome::kUnknownSeries: return "unknown series for exemplar";
    case AppendOutcome::kInvalid: return "invalid exemplar";
    default: return append_outcome_text(outcome);
  }
}

std::string_view metric_type_name(MetricType type) {
  switch (type) {
    case MetricType::kUnknown: return "unknown";
    case MetricType::kCounter: return "counter";
    case MetricType::kGauge: return "gauge";
    case MetricType::kHistogram: return "histogram";
    case MetricType::kGaugeHistogram: return "gaugehistogram";
    case MetricType::kSummary: return "summary";
    case MetricType::kInfo: return "info";
    case MetricType::kStateset: return "stateset";
  }
  return "unknown";
}

}  // namespace tarsier::tsdb
