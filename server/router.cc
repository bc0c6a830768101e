#include "server/router.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/clock.h"
#include "server/http_answer.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

constexpr double kNsPerSecond = 1e9;

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // The slash.
    const std::size_t size = std::min(path.find('/'), path.size());
    segments.emplace_back(path.substr(0, size));
    path.remove_prefix(size);
  }
  return segments;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  return std::equal(pattern.begin(), pattern.end(), path.begin(), path.end(),
                    [](const std::string& want, const std::string& got) {
                      return want == got || (want == "*" && !got.empty());
                    });
}

bool is_form(const HttpRequest& request) {
  return request.header("Content-Type").starts_with("application/x-www-form-urlencoded");
}

std::string allowed_methods(const Route& route) {
  std::vector<std::string> methods = route.methods;
  methods.emplace_back("OPTIONS");
  std::sort(methods.begin(), methods.end());
  std::string out;
  for (const std::string& method : methods) out += (out.empty() ? "" : ", ") + method;
  return out;
}

}  // namespace

// The buckets are Prometheus' own, so that its dashboards show ours.
Router::Entry::Entry()
    : duration_seconds({.1, .2, .4, 1, 3, 8, 20, 60, 120}),
      response_bytes({100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}) {}

Router::Router(Options options, Regex cors_origin)
    : options_(std::move(options)), cors_origin_(std::move(cors_origin)) {}

Result<std::unique_ptr<Router>> Router::create(Options options) {
  Regex cors_origin = TRY(Regex::compile(options.cors_origin));
  return std::unique_ptr<Router>(new Router(std::move(options), std::move(cors_origin)));
}

void Router::add(Route route) {
  CHECK(route.path.starts_with('/') && route.handler, route.path);
  Entry& entry = entries_.emplace_back();
  entry.route = std::move(route);
  if (options_.is_refused && options_.is_refused(entry.route.path)) {
    entry.route.is_early = false;
    entry.route.handler = [this](const HttpRequest&, const HttpResponder& respond) {
      respond(options_.refusal());
    };
  }
  entry.segments = split_path(entry.route.path);
  entry.label = entry.route.path;
  if (const std::size_t star = entry.label.find('*'); star != std::string::npos) {
    entry.label.replace(star, 1, ":name");
  } else {
    CHECK(exact_.emplace(entry.route.path, &entry).second, entry.route.path);
  }
  entry.counted = [this, &entry](HttpRequest request, HttpResponder respond) {
    serve(entry, std::move(request), std::move(respond));
  };
}

const Router::Entry* Router::find(std::string_view raw_path) const {
  if (!raw_path.starts_with(options_.prefix)) return nullptr;
  raw_path.remove_prefix(options_.prefix.size());
  if (!raw_path.starts_with('/')) return nullptr;
  if (const auto found = exact_.find(raw_path); found != exact_.end()) return found->second;
  const std::vector<std::string> segments = split_path(raw_path);
  for (const Entry& entry : entries_) {
    if (matches(entry.segments, segments)) return &entry;
  }
  return nullptr;
}

void Router::add_cors(std::string_view origin, HttpHeaders& headers) const {
  headers.emplace_back("Vary", "Origin");
  if (origin.empty()) return;
  headers.emplace_back("Access-Control-Allow-Headers",
                       "Accept, Authorization, Content-Type, Origin");
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  headers.emplace_back("Access-Control-Expose-Headers", "Date");
  if (cors_origin_.full_match(origin)) {
    headers.emplace_back("Access-Control-Allow-Origin", origin);
  }
}

HttpResponse Router::unavailable_response() const {
  HttpResponse response = text_response(503, "Service Unavailable");
  const bool is_stopping = state_.load() == State::kStopping;
  response.headers.emplace_back("X-Prometheus-Stopping", is_stopping ? "true" : "false");
  response.headers.emplace_back("Retry-After", "5");
  return response;
}

HttpDecision Router::decide(const HttpRequest& request) const {
  if (request.method == "OPTIONS") {
    HttpResponse response;
    response.status = 204;
    add_cors(request.header("Origin"), response.headers);
    return {.answer = std::move(response)};
  }
  if (request.raw_path == "/" && !options_.prefix.empty()) {
    HttpResponse response = text_response(302, "");
    response.headers.emplace_back("Location", options_.prefix + "/");
    return {.answer = std::move(response)};
  }
  const Entry* entry = find(request.raw_path);
  if (!entry) return {.answer = text_response(404, "404 page not found\n")};
  const Route& route = entry->route;
  if (std::find(route.methods.begin(), route.methods.end(), request.method) ==
      route.methods.end()) {
    HttpResponse response = text_response(405, route.wrong_method_text);
    response.headers.emplace_back("Allow", allowed_methods(route));
    return {.answer = std::move(response)};
  }
  const State state = state_.load();
  const bool is_early = route.is_early && state == State::kStarting;
  if (route.needs_ready && state != State::kReady && !is_early) {
    return {.answer = unavailable_response()};
  }
  return {
      .handler = &entry->counted, .body_size_max = route.body_size_max, .compress = route.compress};
}

void Router::serve(Entry& entry, HttpRequest request, HttpResponder respond) const {
  request.path.erase(0, options_.prefix.size());
  request.raw_path.erase(0, options_.prefix.size());
  if ((request.method == "POST" || request.method == "PUT") && is_form(request)) {
    std::vector<std::pair<std::string, std::string>> form = parse_form(request.body);
    form.insert(form.end(), request.url_parameters.begin(), request.url_parameters.end());
    request.parameters = std::move(form);
  }
  const std::string origin(request.header("Origin"));
  const std::int64_t begin_ns = monotonic_ns();
  // No copy of the answer on its way: each layer passes it on.
  HttpResponder counted = [this, &entry, origin, begin_ns,
                           respond = std::move(respond)](HttpResponse response) {
    if (entry.route.compress) response.headers.emplace_back("Vary", "Accept-Encoding");
    if (entry.route.is_api) add_cors(origin, response.headers);
    entry.duration_seconds.observe(static_cast<double>(monotonic_ns() - begin_ns) / kNsPerSecond);
    entry.response_bytes.observe(static_cast<double>(response.body.size()));
    {
      MutexLock lock(entry.mutex);
      ++entry.count_by_status[response.status];
    }
    respond(std::move(response));
  };
  entry.route.handler(std::move(request), std::move(counted));
}

void Router::collect(MetricWriter& out) const {
  for (const Entry& entry : entries_) {
    std::map<int, std::uint64_t> counts;
    {
      MutexLock lock(entry.mutex);
      counts = entry.count_by_status;
    }
    if (counts.empty()) counts[200] = 0;
    for (const auto& [status, count] : counts) {
      out.counter("prometheus_http_requests_total", "Counter of HTTP requests.",
                  static_cast<double>(count),
                  {{"handler", entry.label}, {"code", std::to_string(status)}});
    }
  }
  for (const Entry& entry : entries_) {
    out.histogram("prometheus_http_request_duration_seconds",
                  "Histogram of latencies for HTTP requests.", entry.duration_seconds,
                  {{"handler", entry.label}});
  }
  for (const Entry& entry : entries_) {
    out.histogram("prometheus_http_response_size_bytes",
                  "Histogram of response size for HTTP requests.", entry.response_bytes,
                  {{"handler", entry.label}});
  }
}

}  // namespace tarsier::server
