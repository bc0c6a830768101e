#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "alerting/alert_sink.h"
#include "base/mutex.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// Rewrites the labels of an alert; false drops it. Empty: leaves it.
using AlertRelabel = std::function<bool(tsdb::LabelsBuilder&)>;

/// What happens to the labels of alerts that leave the process: first `external_labels` are added
/// where an alert lacks them, then `alert_relabel_configs` apply.
struct AlertLabelling {
  tsdb::Labels external_labels;
  AlertRelabel relabel;
};
/// Copies; those that relabelling drops are missing.
std::vector<Alert> labelled(const std::vector<Alert>& alerts, const AlertLabelling& how);
/// Applies one more relabelling; an empty one leaves everything.
void relabel_alerts(std::vector<Alert>& alerts, const AlertRelabel& relabel);

/// A sink that is told of alerts with the labels they have outside: what stands in for an
/// Alertmanager sees what an Alertmanager would. Borrows the sink. Any number of threads.
class LabellingSink final : public AlertSink {
 public:
  explicit LabellingSink(AlertSink& inner) : inner_(inner) {}

  void apply(AlertLabelling labelling);
  Status deliver(const AlertBatch& batch) override;

 private:
  AlertSink& inner_;
  Mutex mutex_;
  std::shared_ptr<const AlertLabelling> labelling_ GUARDED_BY(mutex_) =
      std::make_shared<const AlertLabelling>();
};

}  // namespace tarsier::alerting
