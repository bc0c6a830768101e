#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/otlp_http.h"
#include "base/result.h"
#include "base/time.h"
#include "server/tls.h"

namespace tarsier::server {

/// One unary call as it came: the message's bytes, unpacked.
struct RpcRequest {
  std::string method;  ///< "/package.Service/Method".
  std::string message;
  HttpHeaders metadata;  ///< Names in lower case.
  std::string peer;      ///< "address:port".
  Timestamp received;
};

struct RpcAnswer {
  RpcCode code = RpcCode::kOk;
  std::string error;                    ///< With any code but kOk.
  std::string message;                  ///< With kOk.
  std::optional<Duration> retry_after;  ///< Becomes a google.rpc.RetryInfo: the caller comes again.
};

/// Sends the one answer to a call. From any thread, once; dropped without an answer it tells the
/// caller of an internal error.
using RpcResponder = std::function<void(RpcAnswer)>;
/// Serves one call. Must not block; may answer at once or later.
using RpcHandler = std::function<void(RpcRequest, RpcResponder)>;

/// Certificates and who must show one.
struct RpcTls {
  TlsMaterial material;
  ClientCertificates clients = ClientCertificates::kNone;
  /// Whether a client with these names in its certificate may call.
  std::function<bool(const std::vector<std::string>& names)> allows_names;
};

struct GrpcServerOptions {
  std::string address = "0.0.0.0:4317";
  /// Of one message, packed and unpacked. What the OTLP specification recommends; gRPC's own
  /// default is 4 MiB.
  std::size_t message_bytes_max = std::size_t{64} << 20;
  std::optional<RpcTls> tls;  ///< Nothing: plain text.
};

/// A gRPC server for unary calls whose messages are bytes to it (grpc.io; callback API of a generic
/// service, so no generated code, and no copy but the one into `RpcRequest::message`). Messages may
/// be gzipped. The library's own threads run the handlers. Made and ended by the composition.
class GrpcServer final {
 public:
  /// kIo when the address is taken.
  static Result<std::unique_ptr<GrpcServer>> listen(GrpcServerOptions options, RpcHandler handler);
  /// Ends as after drain() without grace.
  ~GrpcServer();

  /// The address really bound.
  const std::string& address() const;
  /// Takes no more calls and lets running ones finish for at most `grace`; the rest is cancelled.
  void drain(Duration grace);

 private:
  struct Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::server
