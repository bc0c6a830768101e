#include "server/query_routes.h"

#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/api.h"
#include "query/api.h"
#include "query/federate.h"
#include "query/monitor.h"
#include "query/queries_json.h"
#include "query/remote_read.h"
#include "query/search.h"
#include "server/clock.h"
#include "server/early_reads.h"
#include "server/feature_flags.h"
#include "server/features_api.h"
#include "server/flags.h"
#include "server/handlers.h"
#include "server/notifications.h"
#include "server/openapi.h"
#include "server/url.h"
#include "tsdb/appender.h"

namespace tarsier::server {
namespace {

const std::vector<std::string> kGetAndPost = {"GET", "POST"};

/// What stands in the raw path for the `*` behind `before`, decoded.
std::string segment_behind(const HttpRequest& request, std::string_view before) {
  const std::string_view rest = std::string_view(request.raw_path).substr(before.size());
  const std::string_view segment = rest.substr(0, rest.find('/'));
  return percent_decode(segment).value_or(std::string(segment));
}

HttpResponse cancel_response(const HttpRequest& request, query::QueryMonitor& monitor) {
  const std::string text = segment_behind(request, "/api/tarsier/v1/queries/");
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return api_error(ApiErrorType::kBadData, "a query's id is a number");
  }
  if (!monitor.cancel(id)) return api_error(ApiErrorType::kNotFound, "no such query is running");
  return api_success([](JsonWriter& json) { json.begin_object().end_object(); });
}

HttpResponse search_response(const Doors& doors, const HttpRequest& request, query::SearchIn in) {
  query::SearchOptions options;
  options.limit_max = doors.flags.number("web.search.max-limit");
  std::map<std::string, query::SearchMetadata, std::less<>> known;
  bool is_loaded = false;
  options.metadata = [&](std::string_view name) -> std::optional<query::SearchMetadata> {
    if (!is_loaded) {
      for (const auto& [metric, m] : doors.db->metadata()) {
        known.try_emplace(metric, query::SearchMetadata{std::string(tsdb::metric_type_name(m.type)),
                                                        m.help, m.unit});
      }
      is_loaded = true;
    }
    const auto it = known.find(name);
    return it == known.end() ? std::nullopt : std::optional(it->second);
  };
  return query::search(request, *doors.db, in, options);
}

void add_reads(Router& router, const Doors& doors) {
  const auto read = [&](const char* path, std::vector<std::string> methods, Answer answer) {
    router.add({.path = path,
                .methods = std::move(methods),
                .handler = pooled_handler(doors, std::move(answer))});
  };
  read("/api/v1/query_exemplars", kGetAndPost,
       [&](const HttpRequest& r) { return doors.query->query_exemplars(r); });
  read("/api/v1/format_query", kGetAndPost,
       [&](const HttpRequest& r) { return doors.query->format_query(r); });
  read("/api/v1/parse_query", kGetAndPost,
       [&](const HttpRequest& r) { return doors.query->parse_query(r); });
  read("/api/v1/series", kGetAndPost, [&](const HttpRequest& r) { return doors.query->series(r); });
  read("/api/v1/labels", kGetAndPost, [&](const HttpRequest& r) { return doors.query->labels(r); });
  read("/api/v1/label/*/values", {"GET"}, [&](const HttpRequest& r) {
    return doors.query->label_values(r, segment_behind(r, "/api/v1/label/"));
  });
}

void add_queries(Router& router, const Doors& doors) {
  // Answered from blocks while the log is replayed, when blocks are all they need.
  const auto query = [&](const char* path, EarlyReads::Endpoint endpoint, const char* end) {
    const auto answer = [&doors, endpoint, end](const HttpRequest& r, double queued) {
      return doors.is_ready() ? (doors.query->*endpoint)(r, queued)
                              : doors.early->answer(endpoint, end, r, doors.unavailable(), queued);
    };
    router.add({.path = path,
                .methods = kGetAndPost,
                .handler = query_handler(doors, answer),
                .is_early = true});
  };
  query("/api/v1/query", &query::Api::query, "time");
  query("/api/v1/query_range", &query::Api::query_range, "end");
}

void add_costs(Router& router, const Doors& doors) {
  const auto query = [&](const char* path, EarlyReads::Endpoint endpoint) {
    router.add(
        {.path = path,
         .methods = kGetAndPost,
         .handler = query_handler(doors, [&doors, endpoint](const HttpRequest& r, double queued) {
           return (doors.query->*endpoint)(r, queued);
         })});
  };
  query("/api/v1/query_cost", &query::Api::query_cost);
  query("/api/v1/query_range_cost", &query::Api::query_cost);
  query("/api/tarsier/v1/explain", &query::Api::explain);
}

/// Doors for other servers.
void add_exports(Router& router, const Doors& doors) {
  router.add({.path = "/federate",
              .handler = pooled_handler(doors,
                                        [&](const HttpRequest& r) {
                                          return query::federate(
                                              r, *doors.db, r.received,
                                              doors.flags.duration("query.lookback-delta"),
                                              doors.external_labels());
                                        }),
              .is_api = false});
  router.add(
      {.path = "/api/v1/read",
       .methods = {"POST"},
       .handler = gated_handler(
           doors, doors.flags.number("storage.remote.read-concurrent-limit"),
           [&](const HttpRequest& r) {
             const query::RemoteReadOptions options{
                 .samples_max = doors.flags.number("storage.remote.read-sample-limit"),
                 .frame_bytes_max = doors.flags.number("storage.remote.read-max-bytes-in-frame")};
             return query::remote_read(r, *doors.db, options, doors.external_labels(),
                                       [&doors](std::function<void()> task) {
                                         return doors.query_pool->try_submit(std::move(task));
                                       });
           }),
       .body_size_max = std::uint64_t{32} << 20,
       .compress = false});
}

void add_search(Router& router, const Doors& doors) {
  const bool is_on = has_feature(doors.flags, "search-api");
  const auto find = [&](const char* path, query::SearchIn in) {
    router.add({.path = path,
                .methods = kGetAndPost,
                .handler = pooled_handler(doors,
                                          [&doors, in, is_on](const HttpRequest& r) {
                                            if (is_on) return search_response(doors, r, in);
                                            return api_error(ApiErrorType::kUnavailable,
                                                             "search API disabled");
                                          }),
                .compress = false});
  };
  find("/api/v1/search/metric_names", query::SearchIn::kMetricNames);
  find("/api/v1/search/label_names", query::SearchIn::kLabelNames);
  find("/api/v1/search/label_values", query::SearchIn::kLabelValues);
}

void add_descriptions(Router& router, const Doors& doors) {
  const auto get = [&](const char* path, Answer answer) {
    router.add({.path = path, .handler = inline_handler(std::move(answer))});
  };
  get("/api/v1/features", [&](const HttpRequest&) { return features_response(doors.flags); });
  get("/api/v1/openapi.yaml", [](const HttpRequest& r) { return openapi_response(r); });
  const auto told = [&](const char* path, Answer answer) {
    router.add({.path = path,
                .handler = inline_handler(std::move(answer)),
                .needs_ready = false,
                .compress = false});
  };
  told("/api/v1/notifications", [&](const HttpRequest&) { return doors.notifications->list(); });
  told("/api/v1/notifications/live",
       [&](const HttpRequest&) { return doors.notifications->live(); });
}

void add_listings(Router& router, const Doors& doors) {
  router.add({.path = "/api/tarsier/v1/queries", .handler = inline_handler([&](const HttpRequest&) {
                                                   return api_success([&](JsonWriter& json) {
                                                     query::write_queries(json, *doors.monitor,
                                                                          now());
                                                   });
                                                 })});
  router.add({.path = "/api/tarsier/v1/queries/*/cancel",
              .methods = {"POST"},
              .handler = inline_handler(
                  [&](const HttpRequest& r) { return cancel_response(r, *doors.monitor); })});
}

}  // namespace

void add_query_routes(Router& router, const Doors& doors) {
  add_queries(router, doors);
  add_reads(router, doors);
  add_costs(router, doors);
  add_exports(router, doors);
  add_search(router, doors);
  add_descriptions(router, doors);
  add_listings(router, doors);
}

}  // namespace tarsier::server
