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

std::vector<Alert> labelled(const std::vector<Alert>& alerts, const AlertLabelling& how) {
  std::vector<Alert> out = alerts;
  if (!how.external_labels.empty()) {
    tsdb::LabelsBuilder builder;
    for (Alert& alert : out) {
      builder.reset(alert.labels);
      for (const tsdb::LabelView& label : how.external_labels) {
        if (builder.get(label.name).empty()) builder.set(label.name, label.value);
      }
      alert.labels = builder.build();
    }
  }
  relabel_alerts(out, how.relabel);
  return out;
}

void LabellingSink::apply(AlertLabelling labelling) {
  auto next = std::make_shared<const AlertLabelling>(std::move(labelling));
  MutexLock lock(mutex_);
  labelling_ = std::move(next);
}

Status LabellingSink::deliver(const AlertBatch& batch) {
  std::shared_ptr<const AlertLabelling> labelling;
  {
    MutexLock lock(mutex_);
    labelling = labelling_;
  }
  AlertBatch outside{
      .source = batch.source, .at = batch.at, .position = batch.position, .alerts = {}};
  outside.alerts = labelled(batch.alerts, *labelling);
  if (outside.alerts.empty()) return {};
  return inner_.deliver(outside);
}

}  // namespace tarsier::alerting
