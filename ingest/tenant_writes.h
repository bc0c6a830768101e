#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "ingest/otlp_metrics.h"
#include "ingest/push_receiver.h"
#include "ingest/remote_write.h"
#include "ingest/write_limits.h"

namespace tarsier::ingest {

/// Everything a set of doors is made with.
struct TenantWritesOptions {
  std::vector<WriteLimit> limits;
  HaDedup dedup;
  RemoteWriteOptions remote_write;
  PushOptions push;
  std::function<std::shared_ptr<const OtlpOptions>()> otlp;
  Duration lookback = minutes(5);
  std::function<Timestamp()> clock;
  std::function<HashKey()> draw_key;
};

/// The write doors of every tenant: requests go to the doors of the tenant their `X-Scope-OrgID`
/// names if it has limits of its own, else to those of everybody. Samples of all are stored
/// together: tenancy is of limits only. A body that is too large is answered 413 here. Any number
/// of threads.
class TenantWrites final {
 public:
  TenantWrites(WriteDoor door, TenantWritesOptions options, Logger& log);
  ~TenantWrites();

  void remote_write(HttpRequest request, HttpResponder respond);
  void otlp_metrics(HttpRequest request, HttpResponder respond);
  using Push = void (PushReceiver::*)(HttpRequest, HttpResponder);
  void push(Push handle, HttpRequest request, HttpResponder respond);
  void collect(MetricWriter& out) const;

 private:
  struct Doors {
    std::unique_ptr<WriteGate> gate;  ///< Null: nothing is limited.
    std::unique_ptr<RemoteWriteReceiver> remote_write;
    std::unique_ptr<OtlpMetricsReceiver> otlp;
    std::unique_ptr<PushReceiver> push;
  };
  std::unique_ptr<Doors> make_doors(const WriteDoor& door, const WriteLimit* limit, Logger& log);
  /// Null when the request was answered.
  Doors* doors_for(const HttpRequest& request, const HttpResponder& respond);

  const TenantWritesOptions options_;
  ReplicaElection election_;
  std::unique_ptr<Doors> everybody_;
  std::map<std::string, std::unique_ptr<Doors>, std::less<>> named_;
};

}  // namespace tarsier::ingest
