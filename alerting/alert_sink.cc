#include "alerting/alert_sink.h"

namespace tarsier::alerting {

Status AlertFanOut::deliver(const AlertBatch& batch) {
  Status first;
  for (AlertSink* const sink : sinks_) {
    Status status = sink->deliver(batch);
    if (first.ok()) first = std::move(status);
  }
  return first;
}

}  // namespace tarsier::alerting
