#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "server/grpc_server.h"
#include "server/http_server.h"
#include "server/routes.h"

namespace tarsier::server {

class Flags;

/// OTLP/gRPC (4317): hands the messages of Export calls to the doors that OTLP/HTTP has, so both
/// mean the same, behind the guard of the main port. Signals nobody takes are UNIMPLEMENTED, after
/// which senders stop. Made and ended by the composition.
class OtlpRpc final {
 public:
  /// Null when it is off, or when its default port is taken, which is logged. `doors` must outlive
  /// it. `tls` is what the main port has.
  static Result<std::unique_ptr<OtlpRpc>> listen(const Flags& flags, const Doors& doors,
                                                 Logger& log, HttpGuard guard,
                                                 std::optional<RpcTls> tls);

  const std::string& address() const { return server_->address(); }
  void drain(Duration grace) { server_->drain(grace); }
  void collect(MetricWriter& out) const;

 private:
  OtlpRpc(const Doors& doors, HttpGuard guard) : doors_(doors), guard_(std::move(guard)) {}
  using Decide = std::function<void(std::optional<RpcAnswer> refusal)>;
  void admit(const std::shared_ptr<const RpcRequest>& head, Decide decide);
  std::optional<RpcAnswer> refusal_of(const RpcRequest& head) const;
  void serve(RpcRequest request, RpcResponder respond);
  void count(const std::string& signal, RpcCode code);

  const Doors& doors_;
  const HttpGuard guard_;
  mutable Mutex mutex_;
  std::map<std::pair<std::string, RpcCode>, std::uint64_t> counts_ GUARDED_BY(mutex_);
  std::unique_ptr<GrpcServer> server_;  // Last: its threads use everything above.
};

/// What a door for OTLP/HTTP protobuf requests answered, in gRPC's words.
RpcAnswer rpc_answer_of(const HttpResponse& response);

}  // namespace tarsier::server
