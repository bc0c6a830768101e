#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/http.h"
#include "base/mutex.h"

namespace tarsier::server {

/// Adds to a fetch what its `config` says about its sender: credentials, configured headers, an
/// OAuth2 token; everything else is `inner`'s business. Secrets in files are read for each fetch.
/// Headers the caller set stay. A token is fetched once for all who wait for it, kept until ten
/// seconds before it ends, and sent as a bearer. Failures of its own:
///   kUnavailable  a file cannot be read, or the token could not be had ("oauth2: ...")
/// Any number of threads; `inner` and `files` must outlive it, and `inner` answers or cancels every
/// fetch before it is gone.
class AuthorizingHttpClient final : public HttpClient {
 public:
  AuthorizingHttpClient(HttpClient& inner, FileSystem& files,
                        std::function<std::int64_t()> monotonic_ns);
  ~AuthorizingHttpClient() override;

  void fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) override;

 private:
  using Done = std::function<void(Result<HttpResponse>)>;
  struct Waiting {
    HttpFetch request;
    Done done;
    std::int64_t since_ns;
  };
  /// The token of one OAuth2 section.
  struct Token {
    OAuth2Config config;
    std::string value;  ///< Empty until there is one.
    std::int64_t ends_ns = 0;
    bool in_body = false;  ///< This server wants the client's secret in the body.
    bool is_asked_for = false;
    std::vector<Waiting> waiting;
  };

  Status add_headers(HttpFetch& request) const;
  void fetch_with_token(HttpFetch request, Done done);
  void ask_for_token(const std::shared_ptr<Token>& token, Duration timeout);
  void on_token(const std::shared_ptr<Token>& token, Duration timeout, bool in_body,
                const Result<HttpResponse>& answer);
  void conclude(const std::shared_ptr<Token>& token, const Result<std::string>& outcome);
  void send(HttpFetch request, const std::string& token, Done done);
  Result<HttpFetch> token_request(const OAuth2Config& config, Duration timeout, bool in_body) const;

  HttpClient& inner_;
  FileSystem& files_;
  const std::function<std::int64_t()> monotonic_ns_;
  Mutex mutex_;
  std::vector<std::shared_ptr<Token>> tokens_ GUARDED_BY(mutex_);
};

/// What is configured, or what its file holds now without blanks around it.
Result<std::string> text_of(const TextOrFile& value, FileSystem& files);

}  // namespace tarsier::server
