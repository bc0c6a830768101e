#include "server/router.h"

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

HttpRequest request(std::string method, std::string path) {
  HttpRequest out;
  out.method = std::move(method);
  out.path = path;
  out.raw_path = std::move(path);
  return out;
}

HttpResponse call(const HttpDecision& decision, HttpRequest req) {
  HttpResponse got;
  CHECK(decision.handler != nullptr);
  (*decision.handler)(std::move(req), [&](HttpResponse response) { got = std::move(response); });
  return got;
}

HttpHandler say(std::string text) {
  return [text](HttpRequest r, HttpResponder respond) {
    std::string body = text + " " + r.path;
    for (const auto& [name, value] : r.parameters) body += " " + name + "=" + value;
    respond({.body = body});
  };
}

std::unique_ptr<Router> make_router(std::string prefix = "") {
  auto router = Router::create({.prefix = std::move(prefix), .cors_origin = "https://a\\..*"});
  CHECK(router.ok());
  (*router)->add({.path = "/api/v1/query", .methods = {"GET", "POST"}, .handler = say("query")});
  (*router)->add({.path = "/api/v1/label/*/values", .handler = say("values")});
  (*router)->add({.path = "/-/healthy",
                  .methods = {"GET", "HEAD"},
                  .handler = say("healthy"),
                  .is_api = false,
                  .needs_ready = false});
  return std::move(*router);
}

std::string header(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(Router, EarlyRoutesAreAskedWhileTheServerStartsOnly) {
  const auto router = make_router();
  router->add({.path = "/early", .handler = say("early"), .is_early = true});
  EXPECT_EQ(router->decide(request("GET", "/api/v1/query")).answer.status, 503);
  EXPECT_NE(router->decide(request("GET", "/early")).handler, nullptr);
  router->set_state(Router::State::kStopping);
  EXPECT_EQ(router->decide(request("GET", "/early")).answer.status, 503);
}

TEST(Router, FindsExactPathsAndPatterns) {
  const auto router = make_router();
  router->set_state(Router::State::kReady);
  const auto body = [&](const std::string& path) {
    const HttpDecision decision = router->decide(request("GET", path));
    return decision.handler ? call(decision, request("GET", path)).body
                            : std::to_string(decision.answer.status);
  };
  EXPECT_EQ(body("/api/v1/query"), "query /api/v1/query");
  EXPECT_EQ(body("/api/v1/label/job/values"), "values /api/v1/label/job/values");
  EXPECT_EQ(body("/api/v1/label//values"), "404");
  EXPECT_EQ(body("/api/v1/query/"), "404");
  EXPECT_EQ(body("/api/v1/label/a/b/values"), "404");
}

TEST(Router, SaysWhichMethodsAreAllowed) {
  const auto router = make_router();
  const HttpDecision decision = router->decide(request("DELETE", "/api/v1/query"));
  EXPECT_EQ(decision.answer.status, 405);
  EXPECT_EQ(header(decision.answer, "Allow"), "GET, OPTIONS, POST");
  EXPECT_EQ(router->decide(request("HEAD", "/api/v1/query")).answer.status, 405);
  EXPECT_NE(router->decide(request("HEAD", "/-/healthy")).handler, nullptr);
  const HttpDecision unknown = router->decide(request("GET", "/nope"));
  EXPECT_EQ(unknown.answer.status, 404);
  EXPECT_EQ(unknown.answer.body, "404 page not found\n");
  EXPECT_EQ(router->decide(request("OPTIONS", "/anything")).answer.status, 204);
}

TEST(Router, HoldsBackWhatNeedsAReadyServer) {
  const auto router = make_router();
  const HttpDecision starting = router->decide(request("GET", "/api/v1/query"));
  EXPECT_EQ(starting.answer.status, 503);
  EXPECT_EQ(starting.answer.body, "Service Unavailable");
  EXPECT_EQ(header(starting.answer, "X-Prometheus-Stopping"), "false");
  EXPECT_EQ(header(starting.answer, "Retry-After"), "5");
  EXPECT_NE(router->decide(request("GET", "/-/healthy")).handler, nullptr);
  router->set_state(Router::State::kStopping);
  EXPECT_EQ(header(router->decide(request("GET", "/api/v1/query")).answer, "X-Prometheus-Stopping"),
            "true");
}

TEST(Router, ReadsFormsBeforeTheUrl) {
  const auto router = make_router();
  router->set_state(Router::State::kReady);
  HttpRequest post = request("POST", "/api/v1/query");
  post.url_parameters = {{"query", "url"}, {"x", "1"}};
  post.parameters = post.url_parameters;
  post.body = "query=b%2Bc";
  const HttpDecision decision = router->decide(post);
  EXPECT_EQ(call(decision, post).body, "query /api/v1/query query=url x=1");
  post.headers = {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
  EXPECT_EQ(call(decision, post).body, "query /api/v1/query query=b+c query=url x=1");
}

TEST(Router, EchoesAllowedOrigins) {
  const auto router = make_router();
  router->set_state(Router::State::kReady);
  HttpRequest get = request("GET", "/api/v1/query");
  const HttpDecision decision = router->decide(get);
  const HttpHeaders without_origin = call(decision, get).headers;
  EXPECT_EQ(without_origin, (HttpHeaders{{"Vary", "Accept-Encoding"}, {"Vary", "Origin"}}));
  EXPECT_EQ(header(call(decision, get), "Access-Control-Allow-Origin"), "");
  get.headers = {{"Origin", "https://a.example"}};
  EXPECT_EQ(header(call(decision, get), "Access-Control-Allow-Origin"), "https://a.example");
  get.headers = {{"Origin", "https://b.example"}};
  EXPECT_EQ(header(call(decision, get), "Access-Control-Allow-Origin"), "");
}

TEST(Router, ServesBelowItsPrefix) {
  const auto router = make_router("/p");
  router->set_state(Router::State::kReady);
  EXPECT_EQ(router->decide(request("GET", "/api/v1/query")).answer.status, 404);
  EXPECT_EQ(header(router->decide(request("GET", "/")).answer, "Location"), "/p/");
  HttpRequest get = request("GET", "/p/api/v1/query");
  EXPECT_EQ(call(router->decide(get), get).body, "query /api/v1/query");
}

TEST(Router, CountsAnswersByHandlerAndCode) {
  const auto router = make_router();
  router->set_state(Router::State::kReady);
  HttpRequest get = request("GET", "/api/v1/label/job/values");
  call(router->decide(get), get);
  MetricWriter out;
  router->collect(out);
  EXPECT_NE(out.take().find("prometheus_http_requests_total{handler=\"/api/v1/label/:name/values\","
                            "code=\"200\"} 1\n"),
            std::string::npos);
}

}  // namespace
}  // namespace tarsier::server
