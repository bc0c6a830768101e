#include "alerting/rule_evaluation.h"

#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "query/expression.h"

namespace tarsier::alerting {
namespace {

constexpr std::string_view kAlertsMetric = "ALERTS";
constexpr std::string_view kForStateMetric = "ALERTS_FOR_STATE";

Status refuse(const query::QueryResult& answer) {
  if (answer.type == query::ResultType::kVector || answer.type == query::ResultType::kScalar) {
    return {};
  }
  return invalid("rule result is not a vector or scalar");
}

/// A scalar is one sample without labels.
std::vector<query::VectorElement> elements_of(const query::QueryResult& answer) {
  if (answer.type == query::ResultType::kScalar) return {{.labels = {}, .value = answer.scalar}};
  return answer.vector;
}

double unix_seconds(Timestamp t) {
  // Truncated, as Prometheus writes it.
  return static_cast<double>(t.ms / 1000);
}

tsdb::Labels state_labels(const AlertRecord& alert) {
  tsdb::LabelsBuilder builder(alert.labels);
  builder.set(tsdb::kMetricName, kAlertsMetric);
  builder.set("alertstate", alert_state_name(alert.state));
  return builder.build();
}

tsdb::Labels for_state_labels(const AlertRecord& alert) {
  tsdb::LabelsBuilder builder(alert.labels);
  builder.set(tsdb::kMetricName, kForStateMetric);
  return builder.build();
}

}  // namespace

Result<std::vector<OutputSample>> recorded_samples(const Rule& rule,
                                                   const query::QueryResult& answer,
                                                   std::uint64_t limit) {
  TRY(refuse(answer));
  std::vector<OutputSample> out;
  std::unordered_set<tsdb::Labels> seen;
  tsdb::LabelsBuilder builder;
  for (query::VectorElement& element : elements_of(answer)) {
    builder.reset(element.labels);
    builder.set(tsdb::kMetricName, rule.name());
    for (const auto& [name, value] : rule.labels()) builder.set(name, value);
    out.push_back(
        {.labels = builder.build(), .value = element.value, .histogram = element.histogram});
    if (!seen.insert(out.back().labels).second) {
      return invalid("vector contains metrics with the same labelset after applying rule labels");
    }
  }
  if (limit > 0 && out.size() > limit) {
    return limit_exceeded(fmt::format("exceeded limit of {} with {} series", limit, out.size()));
  }
  return out;
}

TemplateSample template_sample(const query::VectorElement& element) {
  TemplateSample out{.labels = element.labels, .value = element.value};
  if (element.histogram) out.histogram = query::histogram_text(*element.histogram);
  return out;
}

Result<std::vector<ActiveAlert>> active_alerts(const Rule& rule, const query::QueryResult& answer,
                                               const TemplateContext& context,
                                               TemplateCounts& counts) {
  TRY(refuse(answer));
  std::vector<ActiveAlert> out;
  tsdb::LabelsBuilder builder;
  for (query::VectorElement& element : elements_of(answer)) {
    const TemplateSample sample = template_sample(element);
    const auto expand = [&](const TemplateText& text) {
      bool failed = false;
      std::string expanded = text.expand_or_error(sample, context, failed);
      ++counts.expansions;
      if (failed) ++counts.failures;
      return expanded;
    };
    builder.reset(element.labels);
    builder.remove(tsdb::kMetricName);
    for (const Rule::Template& label : rule.label_templates()) {
      builder.set(label.name, expand(label.text));
    }
    builder.set("alertname", rule.name());
    ActiveAlert alert{.labels = builder.build(), .annotations = {}, .value = element.value};
    for (const Rule::Template& annotation : rule.annotation_templates()) {
      alert.annotations.emplace_back(annotation.name, expand(annotation.text));
    }
    out.push_back(std::move(alert));
  }
  return out;
}

std::vector<OutputSample> synthetic_samples(const AlertTable& alerts) {
  std::vector<OutputSample> out;
  for (const auto& [labels, alert] : alerts.records()) {
    if (alert.state == AlertState::kInactive) continue;
    out.push_back({.labels = state_labels(alert), .value = 1});
    out.push_back({.labels = for_state_labels(alert), .value = unix_seconds(alert.active_at)});
  }
  return out;
}

std::vector<tsdb::Labels> synthetic_series(const AlertRecord& alert) {
  if (alert.state == AlertState::kInactive) return {};
  return {state_labels(alert), for_state_labels(alert)};
}

}  // namespace tarsier::alerting
