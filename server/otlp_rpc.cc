#include "server/otlp_rpc.h"

#include <charconv>

#include <fmt/format.h>

#include "base/protobuf_reader.h"
#include "ingest/tenant_writes.h"
#include "server/flags.h"
#include "server/otlp_listener.h"
#include "server/tracing_wiring.h"

namespace tarsier::server {
namespace {

constexpr int kDefaultPort = 4317;
constexpr const char* kFlag = "otlp.grpc-address";
constexpr Duration kNotReadyRetry = seconds(5);
constexpr Duration kRateRetry = seconds(1);

constexpr std::string_view kTraces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr std::string_view kMetrics =
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// "logs" of a method of the collector's; empty for methods of somebody else.
std::string signal_of(std::string_view method) {
  if (method == kTraces) return "traces";
  if (method == kMetrics) return "metrics";
  constexpr std::string_view kBase = "/opentelemetry.proto.collector.";
  if (!method.starts_with(kBase)) return {};
  method.remove_prefix(kBase.size());
  return std::string(method.substr(0, method.find('.')));
}

/// The message of a google.rpc.Status.
std::string status_message(std::string_view wire) {
  ProtobufReader fields(wire);
  while (fields.next()) {
    if (fields.field() == 2 && fields.type() == ProtobufReader::kBytes) {
      return std::string(fields.bytes());
    }
  }
  return {};
}

std::string_view code_text(RpcCode code) {
  switch (code) {
    case RpcCode::kOk: return "OK";
    case RpcCode::kInvalidArgument: return "INVALID_ARGUMENT";
    case RpcCode::kResourceExhausted: return "RESOURCE_EXHAUSTED";
    case RpcCode::kUnimplemented: return "UNIMPLEMENTED";
    case RpcCode::kInternal: return "INTERNAL";
    case RpcCode::kUnavailable: return "UNAVAILABLE";
    case RpcCode::kUnauthenticated: return "UNAUTHENTICATED";
    case RpcCode::kUnknown: break;
  }
  return "UNKNOWN";
}

}  // namespace

RpcAnswer rpc_answer_of(const HttpResponse& response) {
  if (response.status == 200) return {.message = response.body};
  RpcAnswer out{.code = rpc_code_of(response.status)};
  const bool is_status = response.content_type == "application/x-protobuf";
  out.error = is_status ? status_message(response.body) : response.body;
  for (const auto& [name, value] : response.headers) {
    std::int64_t whole = 0;
    if (name != "Retry-After") continue;
    if (std::from_chars(value.data(), value.data() + value.size(), whole).ec == std::errc()) {
      out.retry_after = seconds(whole);
    }
  }
  return out;
}

void OtlpRpc::count(const std::string& signal, RpcCode code) {
  const MutexLock lock(mutex_);
  ++counts_[{signal.empty() ? "other" : signal, code}];
}

void OtlpRpc::serve(RpcRequest request, RpcResponder respond) {
  // Names of signals come from outside: only those we know are told apart.
  std::string signal = signal_of(request.method);
  if (signal != "traces" && signal != "metrics" && signal != "logs" && signal != "profiles") {
    signal.clear();
  }
  RpcResponder counted = [this, signal, respond = std::move(respond)](RpcAnswer answer) {
    count(signal, answer.code);
    respond(std::move(answer));
  };
  if (!guard_.admit) return serve_admitted(std::move(request), counted);
  auto held = std::make_shared<RpcRequest>(std::move(request));
  auto asked = std::make_shared<HttpRequest>();
  asked->method = "POST";
  asked->path = asked->raw_path = held->method;
  asked->headers = held->metadata;
  asked->peer = held->peer;
  guard_.admit(*asked, [this, held, asked, counted](std::optional<HttpResponse> refusal) {
    if (!refusal) return serve_admitted(std::move(*held), counted);
    if (refusal->status == 429) {  // Too many now: RESOURCE_EXHAUSTED would make the sender drop.
      return counted({.code = RpcCode::kUnavailable,
                      .error = std::move(refusal->body),
                      .retry_after = kRateRetry});
    }
    counted({.code = rpc_code_of(refusal->status), .error = std::move(refusal->body)});
  });
}

void OtlpRpc::serve_admitted(RpcRequest request, const RpcResponder& respond) {
  const std::string signal = signal_of(request.method);
  if (signal != "traces" && signal != "metrics") {
    return respond({.code = RpcCode::kUnimplemented,
                    .error = signal.empty()
                                 ? fmt::format("unknown method {}", request.method)
                                 : fmt::format("{} are not stored here; this server takes OTLP "
                                               "traces and metrics",
                                               signal)});
  }
  if (!doors_.is_ready()) {
    return respond({.code = RpcCode::kUnavailable,
                    .error = "the server is not ready",
                    .retry_after = kNotReadyRetry});
  }
  const bool is_metrics = signal == "metrics";
  const bool is_on =
      is_metrics ? doors_.flags.is_on("web.enable-otlp-receiver") : doors_.tracing->takes_grpc();
  if (!is_on) {
    return respond({.code = RpcCode::kUnimplemented,
                    .error = is_metrics ? "metrics over OTLP are off: --web.enable-otlp-receiver"
                                        : "traces over OTLP/gRPC are off: "
                                          "traces.receivers.otlp_grpc"});
  }
  HttpRequest door_request;
  door_request.method = "POST";
  door_request.headers = {{"Content-Type", "application/x-protobuf"}};
  door_request.body = std::move(request.message);
  door_request.peer = std::move(request.peer);
  door_request.received = request.received;
  HttpResponder answer = [respond](const HttpResponse& response) {
    respond(rpc_answer_of(response));
  };
  if (is_metrics) {
    doors_.writes->otlp_metrics(std::move(door_request), std::move(answer));
  } else {
    doors_.tracing->receive_spans(std::move(door_request), std::move(answer));
  }
}

Result<std::unique_ptr<OtlpRpc>> OtlpRpc::listen(const Flags& flags, const Doors& doors,
                                                 Logger& log, HttpGuard guard,
                                                 std::optional<RpcTls> tls) {
  const ReceiverAddress wanted = receiver_address(flags, kFlag, kDefaultPort);
  if (wanted.address.empty()) return std::unique_ptr<OtlpRpc>();
  std::unique_ptr<OtlpRpc> out(new OtlpRpc(doors, std::move(guard)));
  Result<std::unique_ptr<GrpcServer>> server =
      GrpcServer::listen({.address = wanted.address, .tls = std::move(tls)},
                         [rpc = out.get()](RpcRequest request, RpcResponder respond) {
                           rpc->serve(std::move(request), std::move(respond));
                         });
  if (!server.ok()) {
    if (wanted.is_explicit) {
      return std::move(server).status().with_prefix(fmt::format("--{}", kFlag));
    }
    log.warn("OTLP/gRPC has no port", {{"err", server.status().message()}});
    return std::unique_ptr<OtlpRpc>();
  }
  out->server_ = std::move(*server);
  log.info("Listening for OTLP/gRPC", {{"address", out->address()}});
  return out;
}

void OtlpRpc::collect(MetricWriter& out) const {
  const auto counts = [this] {
    const MutexLock lock(mutex_);
    return counts_;
  }();
  for (const auto& [key, n] : counts) {
    out.counter("tarsier_otlp_grpc_requests_total", "OTLP/gRPC calls answered.",
                static_cast<double>(n), {{"signal", key.first}, {"code", code_text(key.second)}});
  }
}

}  // namespace tarsier::server
