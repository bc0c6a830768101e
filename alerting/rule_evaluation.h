#pragma once

#include <cstdint>
#include <vector>

#include "alerting/alert_table.h"
#include "alerting/rule.h"
#include "alerting/series_output.h"
#include "alerting/template_text.h"
#include "base/result.h"
#include "query/value.h"

namespace tarsier::alerting {

// What a rule makes of the answer to its query. Pure; failures carry Prometheus' texts and mean
// that the rule gives nothing this time.

/// What a template sees of an element.
TemplateSample template_sample(const query::VectorElement& element);

/// The samples a recording rule writes.
Result<std::vector<OutputSample>> recorded_samples(const Rule& rule,
                                                   const query::QueryResult& answer,
                                                   std::uint64_t limit);

/// How templates fared, for metrics.
struct TemplateCounts {
  std::uint64_t expansions = 0;
  std::uint64_t failures = 0;
};
/// The alerts whose condition holds: labels and annotations expanded. An expansion that fails
/// leaves its error as the text.
Result<std::vector<ActiveAlert>> active_alerts(const Rule& rule, const query::QueryResult& answer,
                                               const TemplateContext& context,
                                               TemplateCounts& counts);

/// `ALERTS` and `ALERTS_FOR_STATE` of the pending and firing alerts.
std::vector<OutputSample> synthetic_samples(const AlertTable& alerts);
/// The series above that stand for one alert in this state.
std::vector<tsdb::Labels> synthetic_series(const AlertRecord& alert);

}  // namespace tarsier::alerting
