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
constexpr std::string_view kTenantHeader = "x-scope-orgid";  // gRPC's names are in lower case.
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

/// Names of signals come from outside: only those we know are told apart.
std::string known_signal_of(std::string_view method) {
  std::string signal = signal_of(method);
  const bool is_known =
      signal == "traces" || signal == "metrics" || signal == "logs" || signal == "profiles";
  return is_known ? signal : std::string();
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

/// Who may not call, and what nobody takes, is refused before its message is read.
void OtlpRpc::admit(const std::shared_ptr<const RpcRequest>& head, Decide decide) {
  Decide counted = [this, signal = known_signal_of(head->method),
                    decide = std::move(decide)](std::optional<RpcAnswer> refusal) {
    if (refusal) count(signal, refusal->code);
    decide(std::move(refusal));
  };
  if (!guard_.admit) return counted(refusal_of(*head));
  auto asked = std::make_shared<HttpRequest>();
  asked->method = "POST";
  asked->path = asked->raw_path = head->method;
  asked->headers = head->metadata;
  asked->peer = head->peer;
  guard_.admit(*asked, [this, head, asked, counted](std::optional<HttpResponse> refusal) {
    if (!refusal) return counted(refusal_of(*head));
    if (refusal->status == 429) {  // Too many now: RESOURCE_EXHAUSTED would make the sender drop.
      return counted(RpcAnswer{.code = RpcCode::kUnavailable,
                               .error = std::move(refusal->body),
                               .retry_after = kRateRetry});
    }
    counted(RpcAnswer{.code = rpc_code_of(refusal->status), .error = std::move(refusal->body)});
  });
}

std::optional<RpcAnswer> OtlpRpc::refusal_of(const RpcRequest& head) const {
  const std::string signal = signal_of(head.method);
  if (signal != "traces" && signal != "metrics") {
    return RpcAnswer{.code = RpcCode::kUnimplemented,
                     .error = signal.empty()
                                  ? fmt::format("unknown method {}", head.method)
                                  : fmt::format("{} are not stored here; this server takes OTLP "
                                                "traces and metrics",
                                                signal)};
  }
  if (!doors_.is_ready()) {
    return RpcAnswer{.code = RpcCode::kUnavailable,
                     .error = "the server is not ready",
                     .retry_after = kNotReadyRetry};
  }
  const bool is_metrics = signal == "metrics";
  const bool is_on =
      is_metrics ? doors_.flags.is_on("web.enable-otlp-receiver") : doors_.tracing->takes_grpc();
  if (is_on) return std::nullopt;
  return RpcAnswer{.code = RpcCode::kUnimplemented,
                   .error = is_metrics ? "metrics over OTLP are off: --web.enable-otlp-receiver"
                                       : "traces over OTLP/gRPC are off: "
                                         "traces.receivers.otlp_grpc"};
}

void OtlpRpc::serve(RpcRequest request, RpcResponder respond) {
  const std::string signal = known_signal_of(request.method);
  HttpRequest door_request;
  door_request.method = "POST";
  door_request.headers = {{"Content-Type", "application/x-protobuf"}};
  for (auto& [name, value] : request.metadata) {
    if (name == kTenantHeader) door_request.headers.emplace_back(name, std::move(value));
  }
  door_request.body = std::move(request.message);
  door_request.peer = std::move(request.peer);
  door_request.received = request.received;
  HttpResponder answer = [this, signal,
                          respond = std::move(respond)](const HttpResponse& response) {
    RpcAnswer told = rpc_answer_of(response);
    count(signal, told.code);
    respond(std::move(told));
  };
  if (signal == "metrics") {
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
  Result<std::unique_ptr<GrpcServer>> server = GrpcServer::listen(
      {.address = wanted.address, .tls = std::move(tls)},
      [rpc = out.get()](RpcRequest request, RpcResponder respond) {
        rpc->serve(std::move(request), std::move(respond));
      },
      [rpc = out.get()](const std::shared_ptr<const RpcRequest>& head, Decide decide) {
        rpc->admit(head, std::move(decide));
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
