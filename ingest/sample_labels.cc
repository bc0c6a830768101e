#include "ingest/sample_labels.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/quote.h"

namespace tarsier::ingest {
namespace {

/// Error texts show this much of a name or value.
std::string_view cut(std::string_view text) { return text.substr(0, 50); }

Status set_exposed(const ExposedLabels& exposed, tsdb::LabelsBuilder& labels) {
  labels.reset({});
  for (const tsdb::LabelView& label : exposed.views()) {
    if (!labels.get(label.name).empty()) {
      return invalid(fmt::format("label name {} is not unique: invalid sample", quote(label.name)));
    }
    labels.set(label.name, label.value);
  }
  return {};
}

bool is_exposed(const ExposedLabels& exposed, std::string_view name) {
  return std::any_of(exposed.views().begin(), exposed.views().end(),
                     [&](const tsdb::LabelView& label) { return label.name == name; });
}

/// The target wins; what it pushes aside becomes `exported_<name>`, shorter names first, so that
/// the result does not depend on the order of the labels.
void override_exposed(const tsdb::Labels& target_labels, tsdb::LabelsBuilder& labels) {
  std::vector<std::pair<std::string, std::string>> displaced;
  for (const tsdb::LabelView& label : target_labels) {
    const std::string_view value = labels.get(label.name);
    if (!value.empty()) displaced.emplace_back(label.name, value);
    labels.set(label.name, label.value);
  }
  std::stable_sort(displaced.begin(), displaced.end(),
                   [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
  for (const auto& [name, value] : displaced) {
    std::string renamed = "exported_" + name;
    while (!labels.get(renamed).empty()) renamed = "exported_" + renamed;
    labels.set(renamed, value);
  }
}

Status check_names(const tsdb::LabelsBuilder& labels, NameValidation validation) {
  const std::string_view metric = labels.get(tsdb::kMetricName);
  if (metric.empty()) return invalid("missing metric name (__name__ label)");
  bool is_valid = is_valid_metric_name(metric, validation);
  for (const auto& [name, value] : labels.pairs()) {
    is_valid = is_valid && is_valid_label_name(name, validation);
  }
  if (is_valid) return {};
  return invalid(fmt::format("invalid metric name or label names: {}", labels.build().to_string()));
}

Status check_limits(const tsdb::LabelsBuilder& labels, const ScrapeConfig& config) {
  const std::string_view metric = cut(labels.get(tsdb::kMetricName));
  const std::size_t count = labels.pairs().size();
  if (config.label_limit != 0 && count > config.label_limit) {
    return limit_exceeded(
        fmt::format("label_limit exceeded (metric: {}, number of labels: {}, limit: {})", metric,
                    count, config.label_limit));
  }
  for (const auto& [name, value] : labels.pairs()) {
    if (config.label_name_length_limit != 0 && name.size() > config.label_name_length_limit) {
      return limit_exceeded(fmt::format(
          "label_name_length_limit exceeded (metric: {}, label name: {}, length: {}, limit: {})",
          metric, cut(name), name.size(), config.label_name_length_limit));
    }
    if (config.label_value_length_limit != 0 && value.size() > config.label_value_length_limit) {
      return limit_exceeded(fmt::format(
          "label_value_length_limit exceeded (metric: {}, label name: {}, value: {}, length: {}, "
          "limit: {})",
          metric, cut(name), quote(cut(value)), value.size(), config.label_value_length_limit));
    }
  }
  return {};
}

}  // namespace

Result<bool> make_sample_labels(const ExposedLabels& exposed, const tsdb::Labels& target_labels,
                                const ScrapeConfig& config, tsdb::LabelsBuilder& labels) {
  TRY(set_exposed(exposed, labels));
  if (config.honor_labels) {
    for (const tsdb::LabelView& label : target_labels) {
      if (!is_exposed(exposed, label.name)) labels.set(label.name, label.value);
    }
  } else {
    override_exposed(target_labels, labels);
  }
  if (!apply_relabel_rules(config.metric_relabel_rules, labels)) return false;
  if (labels.pairs().empty()) return false;
  TRY(check_names(labels, config.name_validation));
  TRY(check_limits(labels, config));
  return true;
}

}  // namespace tarsier::ingest
