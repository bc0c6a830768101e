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

/// One unary call as it came: the message's bytes, unpacked. Empty where it was not read yet.
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
/// Decides about a call before its message is read, which costs memory: with an answer it is
/// refused. Must not block; must decide once, at once or later, from any thread.
using RpcGate = std::function<void(std::shared_ptr<const RpcRequest> head,
                                   std::function<void(std::optional<RpcAnswer> refusal)> decide)>;

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
  /// Of all messages that are read or served at one time: beyond it calls are told to come again.
  /// The library's own buffers have as much besides.
  std::size_t memory_bytes_max = std::size_t{256} << 20;
  /// Of one connection; others wait for one to end.
  int calls_per_connection_max = 128;
  std::optional<RpcTls> tls;  ///< Nothing: plain text.
};

/// A gRPC server for unary calls whose messages are bytes to it (grpc.io; callback API of a generic
/// service, so no generated code, and no copy but the one into `RpcRequest::message`). Messages may
/// be gzipped. The library's own threads run the handlers. Made and ended by the composition.
class GrpcServer final {
 public:
  /// kIo when the address is taken.
  /// Without a gate every call is read.
  static Result<std::unique_ptr<GrpcServer>> listen(GrpcServerOptions options, RpcHandler handler,
                                                    RpcGate gate = nullptr);
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
