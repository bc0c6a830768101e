#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/http_client_config.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// One HTTP request as a handler sees it: decoded path, parameters in order, whole body.
struct HttpRequest {
  std::string method;    ///< Upper case.
  std::string path;      ///< Percent-decoded, without the query string and the route prefix.
  std::string raw_path;  ///< The path as sent, for handlers with encoded segments.
  /// Form body first, then URL query, percent-decoded: "body wins" is "first wins".
  std::vector<std::pair<std::string, std::string>> parameters;
  /// The same from the URL alone.
  std::vector<std::pair<std::string, std::string>> url_parameters;
  HttpHeaders headers;
  std::string body;
  std::string peer;                     ///< "address:port" of the client, for logs.
  Timestamp received;                   ///< The server's clock when the request was complete.
  std::shared_ptr<CancelToken> cancel;  ///< Cancelled when the client goes away; never null.

  /// The first value of a header, compared without case; empty if absent.
  std::string_view header(std::string_view name) const;
  /// The first value of a parameter, or nothing.
  std::optional<std::string_view> parameter(std::string_view name) const;
  std::vector<std::string_view> parameter_values(std::string_view name) const;
};

/// An answer's body that is made while it is sent: asked for a piece when the last one is gone.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  /// Calls `done` once, now or later, on any thread: with the next piece, with an empty one at the
  /// end, or with an error, which breaks the connection. Destroyed without further calls when the
  /// client leaves; a `done` that is kept beyond that may be called or dropped.
  virtual void next(std::function<void(Result<std::string>)> done) = 0;
};

struct HttpResponse {
  int status = 200;
  /// Of a fetched answer: what the header said, empty if there was none.
  std::string content_type = "application/json";
  std::string body;
  HttpHeaders headers;
  /// Follows `body`, in chunks of unknown number. Null: `body` is all.
  std::shared_ptr<BodyStream> stream;
};

/// "Not Found" for 404; "Status" for numbers nobody defined.
std::string_view http_reason_phrase(int status);

/// Sends the one answer to a request. May be called from any thread, once; dropping it without an
/// answer sends 500, so no client waits for ever.
using HttpResponder = std::function<void(HttpResponse)>;
/// Handles one request. May answer at once or keep the responder and answer later.
using HttpHandler = std::function<void(HttpRequest, HttpResponder)>;

/// One fetch by our own client.
struct HttpFetch {
  std::string url;
  HttpHeaders headers;
  std::string method = "GET";
  std::string body;
  Duration timeout = seconds(10);
  std::uint64_t body_size_max = 0;  ///< 0 is no limit. Counted after decompression.
  bool follow_redirects = true;
  /// Credentials, trust, proxy and further headers; null: none of it. `follow_redirects` above
  /// decides, not the one in here.
  std::shared_ptr<const HttpClientConfig> config;
  /// Takes the body of a 200 piece by piece while it comes, on the client's threads; the response
  /// then has none, and `body_size_max` and Content-Encoding are the taker's business. False ends
  /// the fetch with kCancelled. Null: the body comes as a whole.
  std::function<bool(std::string_view piece)> on_piece;
  /// Ends the fetch with kCancelled within about a second when it fires. Null: nobody cancels.
  std::shared_ptr<const CancelToken> cancel;
};

/// The second of the three seams: requests to others. Answers come on the client's own threads.
/// A non-2xx answer is a success here: it has a response. Any number of threads.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual void fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) = 0;
};

}  // namespace tarsier
