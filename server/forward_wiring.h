#pragma once

#include <memory>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "ingest/forwarder.h"
#include "server/config.h"
#include "server/scheduler.h"
#include "tsdb/db.h"

namespace tarsier::server {

/// Remote write out with its thread. Made by the composition after storage and HTTP client, ended
/// before them.
class ForwardWiring final {
 public:
  ForwardWiring(tsdb::Db& db, HttpClient& client, Logger& log);
  ~ForwardWiring();

  /// From any thread.
  void apply(const Config& config);
  /// Waits a moment for requests on their way, and stores how far each receiver got. What was not
  /// sent is in the log for the next start. The HTTP client must still be there.
  void stop();
  void collect(MetricWriter& out) const { forwarder_.collect(out); }

 private:
  ingest::Forwarder forwarder_;
  Scheduler scheduler_{"forwarder"};  // Last: it drives the one above.
};

}  // namespace tarsier::server
