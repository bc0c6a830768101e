#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/regex.h"
#include "base/result.h"
#include "server/http_server.h"

namespace tarsier::server {

/// One path with what serves it.
struct Route {
  /// Below the route prefix. One segment may be `*` and matches any one segment, still encoded.
  std::string path;
  std::vector<std::string> methods = {"GET"};
  HttpHandler handler;
  /// 10 MiB is what Go takes of a form.
  std::uint64_t body_size_max = std::uint64_t{10} << 20;
  bool is_api = true;       ///< Answers carry CORS headers.
  bool needs_ready = true;  ///< 503 while the log is replayed and while the server stops.
  bool is_early = false;    ///< The handler is asked while the log is replayed all the same.
  bool compress = true;
  std::string wrong_method_text = "Method Not Allowed\n";  ///< Body of the 405.
};

/// Finds the handler of a request: prefix, path, method, readiness, CORS; reads form parameters and
/// counts what was answered. Routes are added before the server listens; afterwards any number of
/// threads. Must outlive the server.
class Router final {
 public:
  struct Options {
    std::string prefix;  ///< "" or "/p", without a slash at the end.
    std::string cors_origin = ".*";
    /// Paths that this mode does not have, and what they answer instead.
    std::function<bool(std::string_view path)> is_refused;
    std::function<HttpResponse()> refusal;
  };
  /// kInvalid when `cors_origin` is no regular expression.
  static Result<std::unique_ptr<Router>> create(Options options);

  void add(Route route);
  HttpDecision decide(const HttpRequest& request) const;

  enum class State : unsigned char { kStarting, kReady, kStopping };
  void set_state(State state) { state_.store(state); }
  State state() const { return state_.load(); }

  /// prometheus_http_*.
  void collect(MetricWriter& out) const;

  /// What is said until the server is ready, and when it stops.
  HttpResponse unavailable_response() const;

 private:
  struct Entry {
    Route route;
    std::vector<std::string> segments;
    std::string label;    ///< The `handler` of its metrics.
    HttpHandler counted;  ///< The handler inside everything a route does around it.
    mutable Mutex mutex;
    std::map<int, std::uint64_t> count_by_status GUARDED_BY(mutex);
    HistogramMetric duration_seconds;
    HistogramMetric response_bytes;
    Entry();
  };

  Router(Options options, Regex cors_origin);
  const Entry* find(std::string_view raw_path) const;
  void add_cors(std::string_view origin, HttpHeaders& headers) const;
  void serve(Entry& entry, HttpRequest request, HttpResponder respond) const;

  const Options options_;
  const Regex cors_origin_;
  std::atomic<State> state_{State::kStarting};
  std::deque<Entry> entries_;
  std::map<std::string, Entry*, std::less<>> exact_;  // Routes without a `*`.
};

}  // namespace tarsier::server
