#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/http.h"

namespace tarsier::server {

struct HttpClientOptions {
  /// An idle connection is kept this long for the next request to the same host.
  Duration idle_timeout = seconds(90);
  std::size_t idle_connections_per_host_max = 4;
  int redirects_max = 10;
  /// For answers whose request sets no limit: what a scrape could reasonably be, so that one broken
  /// server cannot take all memory.
  std::uint64_t body_size_max = std::uint64_t{1} << 30;
  std::string user_agent = "Tarsier";
  /// Where CA, certificate and key files are read, anew for every connection; null: nowhere.
  FileSystem* files = nullptr;
  /// For `proxy_from_environment`; null: there are no variables.
  std::function<std::optional<std::string>(const std::string&)> environment;
};

/// The real HttpClient: HTTP/1.1 over TCP and TLS on one network thread of its own, through a proxy
/// where `HttpFetch::config` says so; of that config it looks at `tls` and `proxy`, the rest is
/// AuthorizingHttpClient's. Connections are kept and reused per host and config; a request on a
/// reused connection that the server had already closed is sent again on a new one. Redirects of
/// GET are followed, without credentials to another host. gzip and zstd answers arrive decoded.
/// Failures:
///   kInvalid      the URL cannot be fetched
///   kTimeout      "context deadline exceeded"
///   kLimit        the body is longer than allowed
///   kUnavailable  no connection ("dial tcp 127.0.0.1:1: connect: connection refused"), no trust
///                 ("tls: failed to verify certificate: x509: ..."), or it broke
///   kCorruption   the answer is not HTTP, or not the gzip it claims to be
///   kCancelled    the client ended first
class TcpHttpClient final : public HttpClient {
 public:
  explicit TcpHttpClient(HttpClientOptions options);
  /// Every fetch still running is told it was cancelled, on the client's thread, before this
  /// returns.
  ~TcpHttpClient() override;

  void fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::server
