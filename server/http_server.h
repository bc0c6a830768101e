#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "server/tls.h"

namespace tarsier::server {

struct HttpServerOptions {
  /// `host:port`; an empty host is all interfaces, port 0 a free one (see `addresses()`).
  std::vector<std::string> listen_addresses = {"0.0.0.0:9090"};
  /// Connections beyond this are answered 503 and closed. Prometheus' default.
  std::size_t connection_count_max = 512;
  /// From the first byte of a request to the end of its header: a slow header costs a connection.
  Duration header_timeout = seconds(20);
  /// From the end of the header to the end of the body. Prometheus' default.
  Duration body_timeout = minutes(5);
  /// Between requests. Prometheus' default.
  Duration idle_timeout = minutes(5);
  /// A client that takes nothing of an answer for this long is given up.
  Duration write_timeout = minutes(1);
  std::size_t header_size_max = std::size_t{64} << 10;
  /// Bodies of all requests that are being read or handled, together. Beyond it a request whose body
  /// is not small is answered 429 with Retry-After before its body is read: a thousand senders with
  /// 32 MiB each must not take the memory of those who are served.
  std::uint64_t body_bytes_in_flight_max = std::uint64_t{128} << 20;
  /// Answers smaller than this are sent as they are.
  std::size_t compress_size_min = 1024;
  /// Threads that run the network and the handlers called on it.
  std::size_t thread_count = 2;
};

/// What to do with a request whose header has arrived: read at most `body_size_max` bytes and call
/// `handler`, or answer at once with `answer`.
struct HttpDecision {
  const HttpHandler* handler = nullptr;  ///< Must outlive the server.
  std::uint64_t body_size_max = 0;
  bool compress = true;  ///< Whether the answer may be gzipped.
  HttpResponse answer;   ///< When there is no handler.
};

/// Who may connect and ask; null members: everybody, without encryption.
struct HttpGuard {
  /// For the next connection. An error closes it.
  std::function<Result<TlsContext>()> tls_context;
  /// Whether a client with these names in its certificate may go on.
  std::function<bool(const std::vector<std::string>& names)> allows_names;
  /// Tells nothing when the request, of which only the header is here, may pass; else the answer.
  /// May tell later, on any thread.
  std::function<void(const HttpRequest&, std::function<void(std::optional<HttpResponse>)>)> admit;
  /// Has the last word on every answer. On any thread.
  std::function<void(HttpResponse&)> decorate;
};

/// Decides by method, path, URL parameters and headers; the body is still empty. Called on network
/// threads, several at once; must not block.
using HttpDispatch = std::function<HttpDecision(const HttpRequest&)>;

/// The HTTP/1.1 server: keep-alive and pipelining (answers in order, one request of a connection at
/// a time), Expect: 100-continue, gzip answers, limits and timeouts above. A client that closes its
/// connection cancels the CancelToken of its request. Request bodies are handed over as sent.
/// Handlers run on the network threads and must not block; their responder may be called from any
/// thread. Made and ended by the program's main thread.
class HttpServer final {
 public:
  /// Binds and listens; kIo when an address is taken.
  static Result<std::unique_ptr<HttpServer>> listen(HttpServerOptions options,
                                                    HttpDispatch dispatch, Logger& log,
                                                    HttpGuard guard = {});
  /// Cuts off whatever is left. Every responder must have been called or dropped by then, or must
  /// be so soon after its token is cancelled.
  ~HttpServer();

  /// The addresses really bound, `host:port`.
  const std::vector<std::string>& addresses() const;
  /// Takes no more connections and requests and lets running requests finish for at most `grace`.
  void drain(Duration grace);
  /// Closes every connection and so cancels every running request. Does not wait. Call after
  /// drain().
  void cut_off();
  std::size_t connection_count() const;
  void collect(MetricWriter& out) const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::server
