#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "alerting/alert.h"
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

/// The labels an alert of ours has outside; nothing where relabelling drops it.
std::optional<tsdb::Labels> labels_outside(const tsdb::Labels& labels, const AlertLabelling& how);

/// The id of an alert of ours wherever it is shown: Alertmanager's fingerprint of the labels it has
/// outside, so that what a page carries can be given to every command. One that relabelling drops
/// goes by its own labels.
Fingerprint alert_id(const tsdb::Labels& labels, const AlertLabelling& how);
/// Whether `id` means this alert: its id, or the fingerprint of its own labels.
bool has_alert_id(const tsdb::Labels& labels, const AlertLabelling& how, Fingerprint id);

/// The labelling in force. Any number of threads.
class CurrentLabelling final {
 public:
  void apply(AlertLabelling labelling);
  std::shared_ptr<const AlertLabelling> get() const;

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const AlertLabelling> labelling_ GUARDED_BY(mutex_) =
      std::make_shared<const AlertLabelling>();
};

/// A sink that is told of alerts with the labels they have outside: what stands in for an
/// Alertmanager sees what an Alertmanager would. Borrows both. Any number of threads.
class LabellingSink final : public AlertSink {
 public:
  LabellingSink(AlertSink& inner, const CurrentLabelling& labelling)
      : inner_(inner), labelling_(labelling) {}

  Status deliver(const AlertBatch& batch) override;

 private:
  AlertSink& inner_;
  const CurrentLabelling& labelling_;
};

}  // namespace tarsier::alerting
