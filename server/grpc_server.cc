#include "server/grpc_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>

#include "base/mutex.h"
#include "server/clock.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

// Less would keep the library from reading anything.
constexpr std::size_t kLibraryBytesMin = std::size_t{32} << 20;
constexpr Duration kBusyRetry = seconds(1);
constexpr const char* kAlternativeName = "x509_subject_alternative_name";

std::string text_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Dump(&slices).ok()) return out;
  out.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return out;
}

grpc::ByteBuffer buffer_of(const std::string& text) {
  const grpc::Slice slice(text);
  return {&slice, 1};
}

grpc::Status status_of(const RpcAnswer& answer) {
  if (answer.code == RpcCode::kOk) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(answer.code);
  if (!answer.retry_after) return {code, answer.error};
  return {code, answer.error, rpc_status_wire(answer.code, answer.error, answer.retry_after)};
}

/// "ipv4:127.0.0.1:5" and "ipv6:%5B::1%5D:5" without what gRPC adds.
std::string peer_text(const std::string& peer) {
  const std::size_t colon = peer.find(':');
  const std::string address = colon == std::string::npos ? peer : peer.substr(colon + 1);
  return percent_decode(address).value_or(address);
}

HttpHeaders metadata_of(const grpc::CallbackServerContext& context) {
  HttpHeaders out;
  for (const auto& [name, value] : context.client_metadata()) {
    out.emplace_back(std::string(name.data(), name.size()),
                     std::string(value.data(), value.size()));
  }
  return out;
}

class Call;

/// What outlives a call on behalf of its responder: the way to it, while it is there.
class CallLink final {
 public:
  explicit CallLink(Call* call) : call_(call) {}
  ~CallLink() { finish({.code = RpcCode::kInternal, .error = "the call was dropped"}); }
  CallLink(const CallLink&) = delete;
  CallLink& operator=(const CallLink&) = delete;

  /// Answers, unless that has happened.
  void finish(RpcAnswer answer);
  /// Reads the message, unless the call was answered. `self` is this.
  void read(const std::shared_ptr<CallLink>& self);

 private:
  Mutex mutex_;
  Call* call_ GUARDED_BY(mutex_);
};

/// What all calls share.
struct RpcShared {
  const GrpcServerOptions& options;
  const RpcHandler& handler;
  const RpcGate& gate;
  std::atomic<std::size_t> message_bytes{0};  ///< Of messages that are being served.
};

/// Some of the memory that messages may take, until this is gone.
class MessageMemory final {
 public:
  explicit MessageMemory(RpcShared& server) : server_(server) {}
  ~MessageMemory() { server_.message_bytes.fetch_sub(bytes_, std::memory_order_relaxed); }
  MessageMemory(const MessageMemory&) = delete;
  MessageMemory& operator=(const MessageMemory&) = delete;
  bool take(std::size_t bytes) {
    bytes_ = bytes;
    return server_.message_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes <=
           server_.options.memory_bytes_max;
  }

 private:
  RpcShared& server_;
  std::size_t bytes_ = 0;
};

/// One call. Asks the gate, reads its message, has it handled, answers; the library deletes it by
/// OnDone().
class Call final : public grpc::ServerGenericBidiReactor {
 public:
  Call(grpc::GenericCallbackServerContext& context, RpcShared& server)
      : context_(context), server_(server) {}

  void begin() {
    const auto link = std::make_shared<CallLink>(this);
    {
      const MutexLock lock(mutex_);
      link_ = link;
    }
    if (!may_call()) {
      return link->finish({.code = RpcCode::kUnauthenticated, .error = "certificate not allowed"});
    }
    head_ = std::make_shared<RpcRequest>(RpcRequest{.method = context_.method(),
                                                    .message = {},
                                                    .metadata = metadata_of(context_),
                                                    .peer = peer_text(context_.peer()),
                                                    .received = now()});
    if (!server_.gate) return wait_for_message(link);
    // The decision holds the link: dropping it undecided is an answer, too.
    server_.gate(head_, [link](std::optional<RpcAnswer> refusal) {
      refusal ? link->finish(std::move(*refusal)) : wait_for_message(link);
    });
  }

  void OnReadDone(bool is_whole) override {
    const std::shared_ptr<CallLink> link = std::exchange(reading_, nullptr);
    // After it was cancelled nobody calls OnCancel again.
    if (context_.IsCancelled()) return link->finish({.code = RpcCode::kUnknown});
    if (!is_whole) {
      return link->finish({.code = RpcCode::kInvalidArgument, .error = "a message is missing"});
    }
    if (message_.Length() > server_.options.message_bytes_max) {
      return link->finish(
          {.code = RpcCode::kResourceExhausted,
           .error = fmt::format("message of {} bytes is larger than {} bytes", message_.Length(),
                                server_.options.message_bytes_max)});
    }
    const auto memory = std::make_shared<MessageMemory>(server_);
    if (!memory->take(message_.Length())) {
      message_.Clear();
      return link->finish({.code = RpcCode::kUnavailable,
                           .error = "too many messages are being served",
                           .retry_after = kBusyRetry});
    }
    RpcRequest request = *head_;
    request.message = text_of(message_);
    message_.Clear();
    // The responder holds the link: dropping it unanswered is an answer, too.
    server_.handler(std::move(request),
                    [link, memory](RpcAnswer answer) { link->finish(std::move(answer)); });
  }

  void OnCancel() override {
    std::shared_ptr<CallLink> link;
    {
      const MutexLock lock(mutex_);
      link = link_.lock();
    }
    if (link) link->finish({.code = RpcCode::kUnknown, .error = "cancelled"});
  }

  void OnDone() override { delete this; }

  void start_read() { StartRead(&message_); }
  void send(RpcAnswer answer) {
    if (answer.code != RpcCode::kOk) return Finish(status_of(answer));
    answer_ = buffer_of(answer.message);
    StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
  }

 private:
  friend class CallLink;
  static void wait_for_message(const std::shared_ptr<CallLink>& link);

  bool may_call() const {
    const std::optional<RpcTls>& tls = server_.options.tls;
    if (!tls || !tls->allows_names) return true;
    std::vector<std::string> names;
    if (const auto identity = context_.auth_context()) {
      for (const grpc::string_ref& name : identity->FindPropertyValues(kAlternativeName)) {
        names.emplace_back(name.data(), name.size());
      }
    }
    return tls->allows_names(names);
  }

  grpc::GenericCallbackServerContext& context_;
  RpcShared& server_;
  std::shared_ptr<RpcRequest> head_;
  grpc::ByteBuffer message_;
  grpc::ByteBuffer answer_;
  std::shared_ptr<CallLink> reading_;  // Keeps the call answerable while its message comes.
  Mutex mutex_;
  std::weak_ptr<CallLink> link_ GUARDED_BY(mutex_);
};

void Call::wait_for_message(const std::shared_ptr<CallLink>& link) { link->read(link); }

/// Under the lock: once it is answered, the library may end the call at any moment.
void CallLink::read(const std::shared_ptr<CallLink>& self) {
  const MutexLock lock(mutex_);
  if (call_ == nullptr) return;
  call_->reading_ = self;
  call_->start_read();
}

void CallLink::finish(RpcAnswer answer) {
  Call* call = nullptr;
  {
    const MutexLock lock(mutex_);
    call = std::exchange(call_, nullptr);
  }
  // Until it is finished, the library keeps the call.
  if (call != nullptr) call->send(std::move(answer));
}

class RawService final : public grpc::CallbackGenericService {
 public:
  RawService(const GrpcServerOptions& options, const RpcHandler& handler, const RpcGate& gate)
      : server_{.options = options, .handler = handler, .gate = gate} {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    auto* call = new Call(*context, server_);
    call->begin();
    return call;
  }

 private:
  RpcShared server_;
};

grpc_ssl_client_certificate_request_type request_type(ClientCertificates clients) {
  switch (clients) {
    case ClientCertificates::kRequest: return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY;
    case ClientCertificates::kRequireAny:
      return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY;
    case ClientCertificates::kVerifyIfGiven: return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    case ClientCertificates::kRequireVerified:
      return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    case ClientCertificates::kNone: break;
  }
  return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
}

std::shared_ptr<grpc::ServerCredentials> credentials_of(const GrpcServerOptions& options) {
  if (!options.tls) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls(request_type(options.tls->clients));
  tls.pem_root_certs = options.tls->material.ca;
  tls.pem_key_cert_pairs.push_back(
      {.private_key = options.tls->material.key, .cert_chain = options.tls->material.certificate});
  return grpc::SslServerCredentials(tls);
}

}  // namespace

struct GrpcServer::Impl {
  Impl(GrpcServerOptions o, RpcHandler h, RpcGate g)
      : options(std::move(o)),
        handler(std::move(h)),
        gate(std::move(g)),
        service(options, handler, gate) {}

  const GrpcServerOptions options;
  const RpcHandler handler;
  const RpcGate gate;
  RawService service;
  std::string address;
  std::unique_ptr<grpc::Server> server;
};

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<GrpcServer>> GrpcServer::listen(GrpcServerOptions options,
                                                       RpcHandler handler, RpcGate gate) {
  const auto [host, port] = TRY(parse_address(options.address));
  // The library would tell on standard error what is told below.
  gpr_set_log_function([](gpr_log_func_args*) {});
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler), std::move(gate));
  grpc::ServerBuilder builder;
  const std::string shown_host = host.find(':') == std::string::npos ? host : "[" + host + "]";
  int bound = 0;
  builder.AddListeningPort(
      fmt::format("{}:{}", host.empty() ? std::string("[::]") : shown_host, port),
      credentials_of(impl->options), &bound);
  // Without this a port that is taken is shared with whoever has it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(static_cast<int>(impl->options.message_bytes_max));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             impl->options.calls_per_connection_max);
  grpc::ResourceQuota quota("otlp");
  quota.Resize(std::max(impl->options.memory_bytes_max, kLibraryBytesMin));
  builder.SetResourceQuota(quota);
  builder.RegisterCallbackGenericService(&impl->service);
  impl->server = builder.BuildAndStart();
  if (!impl->server || bound == 0) {
    return io_error(fmt::format("listen tcp {}: cannot bind, or the certificate does not fit",
                                impl->options.address));
  }
  impl->address = fmt::format("{}:{}", shown_host, bound);
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::~GrpcServer() { drain(Duration{0}); }

const std::string& GrpcServer::address() const { return impl_->address; }

void GrpcServer::drain(Duration grace) {
  if (!impl_->server) return;
  impl_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace.ms));
  impl_->server.reset();
}

}  // namespace tarsier::server
