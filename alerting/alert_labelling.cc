#include "alerting/alert_labelling.h"

#include <utility>

namespace tarsier::alerting {

void relabel_alerts(std::vector<Alert>& alerts, const AlertRelabel& relabel) {
  if (!relabel) return;
  tsdb::LabelsBuilder builder;
  std::erase_if(alerts, [&](Alert& alert) {
    builder.reset(alert.labels);
    if (!relabel(builder)) return true;
    alert.labels = builder.build();
    return false;
  });
}

std::optional<tsdb::Labels> labels_outside(const tsdb::Labels& labels, const AlertLabelling& how) {
  if (how.external_labels.empty() && !how.relabel) return labels;
  tsdb::LabelsBuilder builder;
  builder.reset(labels);
  for (const tsdb::LabelView& label : how.external_labels) {
    if (builder.get(label.name).empty()) builder.set(label.name, label.value);
  }
  if (how.relabel && !how.relabel(builder)) return std::nullopt;
  return builder.build();
}

std::vector<Alert> labelled(const std::vector<Alert>& alerts, const AlertLabelling& how) {
  std::vector<Alert> out = alerts;
  std::erase_if(out, [&](Alert& alert) {
    std::optional<tsdb::Labels> labels = labels_outside(alert.labels, how);
    if (labels) alert.labels = std::move(*labels);
    return !labels.has_value();
  });
  return out;
}

Fingerprint alert_id(const tsdb::Labels& labels, const AlertLabelling& how) {
  return fingerprint_of(labels_outside(labels, how).value_or(labels));
}

bool has_alert_id(const tsdb::Labels& labels, const AlertLabelling& how, Fingerprint id) {
  return fingerprint_of(labels) == id || alert_id(labels, how) == id;
}

void CurrentLabelling::apply(AlertLabelling labelling) {
  auto next = std::make_shared<const AlertLabelling>(std::move(labelling));
  MutexLock lock(mutex_);
  labelling_ = std::move(next);
}

std::shared_ptr<const AlertLabelling> CurrentLabelling::get() const {
  MutexLock lock(mutex_);
  return labelling_;
}

Status LabellingSink::deliver(const AlertBatch& batch) {
  AlertBatch outside{
      .source = batch.source, .at = batch.at, .position = batch.position, .alerts = {}};
  outside.alerts = labelled(batch.alerts, *labelling_.get());
  if (outside.alerts.empty()) return {};
  return inner_.deliver(outside);
}

}  // namespace tarsier::alerting
