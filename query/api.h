#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "base/http.h"
#include "base/time.h"
#include "query/engine.h"
#include "tsdb/querier.h"

namespace tarsier::query {

struct Expr;

struct ApiOptions {
  /// Caps the `timeout` parameter of a request. `--query.timeout`
  Duration timeout = minutes(2);
  /// Points a range query may ask for per series, and one more.
  std::int64_t points_max = 11'000;
};

/// What only the server has. Both must be set.
struct ApiClock {
  /// Expires the token at that moment, if somebody still holds it then.
  std::function<void(const std::shared_ptr<CancelToken>&, Timestamp)> expire_at;
  /// Seconds that only grow, for statistics.
  std::function<double()> elapsed_seconds;
};

/// The endpoints below /api/v1 that read: each a function from request to response that blocks
/// while it works, so the server runs them on its query threads. An endpoint's parameters, texts
/// and JSON are Prometheus'. Any number of threads. Engine and storage must outlive it.
class Api final {
 public:
  Api(const Engine& engine, tsdb::Queryable& storage, ApiOptions options, ApiClock clock);

  HttpResponse query(const HttpRequest& request) const;
  HttpResponse query_range(const HttpRequest& request) const;
  HttpResponse series(const HttpRequest& request) const;
  HttpResponse labels(const HttpRequest& request) const;
  /// `name` is the percent-decoded path segment.
  HttpResponse label_values(const HttpRequest& request, std::string_view name) const;
  /// No exemplars are stored: always an empty list, which tells clients there are none.
  HttpResponse query_exemplars(const HttpRequest& request) const;
  /// The query in canonical form, on several lines where it is long.
  HttpResponse format_query(const HttpRequest& request) const;
  /// The query's syntax tree.
  HttpResponse parse_query(const HttpRequest& request) const;

 private:
  Result<std::unique_ptr<Expr>> parse(const HttpRequest& request) const;
  Result<HttpResponse> try_query(const HttpRequest& request) const;
  Result<HttpResponse> try_query_range(const HttpRequest& request) const;
  Result<HttpResponse> try_series(const HttpRequest& request) const;
  Result<HttpResponse> try_labels(const HttpRequest& request) const;
  Result<HttpResponse> try_label_values(const HttpRequest& request, std::string_view name) const;
  Result<HttpResponse> run(const HttpRequest& http, const QueryRequest& request, Duration limit,
                           std::size_t series_max) const;

  const Engine& engine_;
  tsdb::Queryable& storage_;
  const ApiOptions options_;
  const ApiClock clock_;
};

/// Undoes the "values" escaping of names in URLs: `U__a_2e_b` is `a.b`. What is not such a name, or
/// is malformed, comes back as it is.
std::string unescape_name(std::string_view name);

}  // namespace tarsier::query
