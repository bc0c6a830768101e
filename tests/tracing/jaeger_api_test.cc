#include "tracing/jaeger_api.h"

#include <string>

#include "tests/tracing/query_lab.h"
#include "tracing/explain_query.h"
#include "tracing/search_api.h"

namespace tarsier::tracing {
namespace {

constexpr const char* kCart = "00000000000000000000000000000abc";

std::string data_of(const HttpResponse& response) {
  EXPECT_EQ(response.status, 200) << response.body;
  const std::size_t end = response.body.rfind(",\"total\":");
  return response.body.substr(8, end - 8);
}

TEST(JaegerApi, ListsServicesOperationsAndDependencies) {
  QueryLab lab;
  lab.keep_shop();
  const JaegerApi api(lab.queries());
  for (const bool is_in_block : {false, true}) {
    if (is_in_block) lab.flush();
    EXPECT_EQ(api.services().body,
              R"({"data":["db","shop"],"total":2,"limit":0,"offset":0,"errors":null})");
    EXPECT_EQ(data_of(api.operation_names("shop")), R"(["GET /","GET /cart"])");
    EXPECT_EQ(data_of(api.operations(QueryLab::request({{"service", "db"}}))),
              R"([{"name":"SELECT","spanKind":"client"}])");
    EXPECT_EQ(
        data_of(api.operations(QueryLab::request({{"service", "db"}, {"spanKind", "server"}}))),
        "[]");
    EXPECT_EQ(data_of(api.dependencies(QueryLab::request())),
              R"([{"parent":"shop","child":"db","callCount":1}])");
    EXPECT_EQ(api.services_v3().body, R"({"services":["db","shop"]})");
    EXPECT_EQ(api.operations_v3(QueryLab::request({{"service", "db"}})).body,
              R"({"operations":[{"name":"SELECT","spanKind":"client"}]})");
  }
}

TEST(JaegerApi, ShowsATraceInJaegerShape) {
  QueryLab lab;
  lab.keep_shop();
  lab.flush();
  const JaegerApi api(lab.queries());
  EXPECT_EQ(
      data_of(api.trace("ABC")),
      R"([{"traceID":"00000000000000000000000000000abc","spans":[)"
      R"({"traceID":"00000000000000000000000000000abc","spanID":"0000000000000001","flags":0,)"
      R"("operationName":"GET /cart","references":[],"startTime":1800000000000000,)"
      R"("duration":2000000,"tags":[{"key":"http.status_code","type":"int64","value":500},)"
      R"({"key":"span.kind","type":"string","value":"server"},)"
      R"({"key":"otel.scope.name","type":"string","value":"lab"},)"
      R"({"key":"otel.scope.version","type":"string","value":"1"}],"logs":[],"processID":"p1",)"
      R"("warnings":null},)"
      R"({"traceID":"00000000000000000000000000000abc","spanID":"0000000000000002","flags":0,)"
      R"("operationName":"SELECT","references":[{"refType":"CHILD_OF",)"
      R"("traceID":"00000000000000000000000000000abc","spanID":"0000000000000001"}],)"
      R"("startTime":1800000000001000,"duration":446979,)"
      R"("tags":[{"key":"db.system","type":"string","value":"pg"},)"
      R"({"key":"span.kind","type":"string","value":"client"},)"
      R"({"key":"otel.scope.name","type":"string","value":"lab"},)"
      R"({"key":"otel.scope.version","type":"string","value":"1"},)"
      R"({"key":"otel.status_code","type":"string","value":"ERROR"},)"
      R"({"key":"error","type":"bool","value":true},)"
      R"({"key":"otel.status_description","type":"string","value":"boom"}],)"
      R"("logs":[{"timestamp":1800000000001000,"fields":[)"
      R"({"key":"event","type":"string","value":"retry"},)"
      R"({"key":"word","type":"string","value":"w-retry"}]}],"processID":"p2",)"
      R"("warnings":null}],"processes":{)"
      R"("p1":{"serviceName":"shop","tags":[{"key":"host","type":"string","value":"h-shop"}]},)"
      R"("p2":{"serviceName":"db","tags":[{"key":"host","type":"string","value":"h-db"}]}},)"
      R"("warnings":null}])");
  EXPECT_EQ(api.trace("1234").status, 404);
  EXPECT_EQ(api.trace("1234").body,
            R"({"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":404,)"
            R"("msg":"trace not found","traceID":"00000000000000000000000000001234"}]})");
  EXPECT_EQ(api.trace("xyz").status, 400);
}

TEST(JaegerApi, FindsTraces) {
  QueryLab lab;
  lab.keep_shop();
  const JaegerApi api(lab.queries());
  const auto finds_cart = [&](std::vector<std::pair<std::string, std::string>> parameters) {
    const HttpResponse response = api.traces(QueryLab::request(std::move(parameters)));
    EXPECT_EQ(response.status, 200) << response.body;
    return response.body.find(kCart) != std::string::npos;
  };
  EXPECT_TRUE(finds_cart({{"service", "db"}}));
  EXPECT_TRUE(finds_cart({{"service", "shop"}, {"operation", "GET /cart"}}));
  EXPECT_TRUE(finds_cart({{"service", "shop"}, {"tags", R"({"http.status_code":"500"})"}}));
  EXPECT_TRUE(finds_cart({{"service", "db"}, {"tags", R"({"error":"true"})"}}));
  EXPECT_TRUE(finds_cart({{"service", "db"}, {"tag", "db.system:pg"}, {"minDuration", "400ms"}}));
  EXPECT_TRUE(finds_cart({{"traceID", "abc"}}));
  EXPECT_FALSE(finds_cart({{"service", "db"}, {"maxDuration", "400ms"}}));
  EXPECT_FALSE(finds_cart({{"service", "db"}, {"tags", R"({"span.kind":"server"})"}}));
  EXPECT_FALSE(finds_cart({{"service", "db"}, {"start", "1900000000000000"}}));
  EXPECT_TRUE(
      finds_cart({{"service", "db"}, {"start", "1790000000000000"}, {"end", "1810000000000000"}}));
  EXPECT_EQ(api.traces(QueryLab::request()).status, 400);
  EXPECT_EQ(api.traces(QueryLab::request({{"service", "x"}, {"tags", "{"}})).status, 400);
  EXPECT_EQ(api.traces(QueryLab::request({{"service", "x"}, {"minDuration", "soon"}})).status, 400);
}

TEST(JaegerApi, SpeaksTheThirdVersion) {
  QueryLab lab;
  lab.keep_shop();
  const JaegerApi api(lab.queries());
  const auto query = [](std::string service) {
    return QueryLab::request({{"query.serviceName", std::move(service)},
                              {"query.startTimeMin", "2027-01-15T07:00:00Z"},
                              {"query.startTimeMax", "2027-01-15T09:00:00.000000000Z"}});
  };
  const std::string begin =
      R"({"result":{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name")";
  const HttpResponse found = api.traces_v3(query("db"));
  EXPECT_EQ(found.body.substr(0, begin.size()), begin);
  EXPECT_NE(found.body.find(R"("traceId":"00000000000000000000000000000abc")"), std::string::npos);
  EXPECT_NE(found.body.find(R"("kind":3)"), std::string::npos);
  EXPECT_EQ(api.trace_v3("abc").body.substr(0, begin.size()), begin);
  EXPECT_EQ(api.trace_v3("1234").status, 404);
  EXPECT_EQ(api.traces_v3(query("nobody")).status, 404);
  EXPECT_EQ(api.traces_v3(QueryLab::request()).body,
            R"({"error":{"httpCode":400,"message":"malformed parameter query.startTimeMin"}})");
  EXPECT_EQ(api.summaries_v3(query("db")).body,
            R"({"summaries":[{"traceId":"00000000000000000000000000000abc",)"
            R"("rootServiceName":"shop","rootOperationName":"GET /cart",)"
            R"("minStartTimeUnixNano":"1800000000000000000",)"
            R"("maxEndTimeUnixNano":"1800000002000000000","spanCount":2,"errorSpanCount":1,)"
            R"("orphanSpanCount":0,"services":[{"name":"db","spanCount":1,"errorSpanCount":1},)"
            R"({"name":"shop","spanCount":1,"errorSpanCount":0}]}]})");
}

TEST(SearchApi, GivesFacets) {
  QueryLab lab;
  lab.keep_shop();
  const HttpResponse response =
      search_traces(lab.queries(), QueryLab::request({{"q", "{ nestedSetParent < 0 }"}}));
  EXPECT_EQ(response.status, 200);
  EXPECT_NE(
      response.body.find(
          R"("facets":{"service":[{"value":"shop","count":2},{"value":"db","count":1}],)"
          R"("rootService":[{"value":"shop","count":2}],"rootName":[{"value":"GET /","count":1},)"
          R"({"value":"GET /cart","count":1}],"status":[{"value":"error","count":1},)"
          R"({"value":"ok","count":1}],"durationMs":[{"below":8,"count":1},)"
          R"({"below":2048,"count":1}]})"),
      std::string::npos)
      << response.body;
  EXPECT_EQ(search_traces(lab.queries(), QueryLab::request({{"q", "{"}})).status, 400);
  EXPECT_EQ(search_traces(lab.queries(), QueryLab::request({{"start", "x"}})).status, 400);
}

TEST(ExplainTraceql, TellsWhatAQueryWillDo) {
  const Result<std::string> text = explain_traceql("{ .a = 1 } >> { status = error } | by(name)");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text,
            "query:      { .a = 1 } >> { status = error } | by(name)\n"
            "gives:      span sets\n"
            "passes over: groups in which no span may pass\n"
            "            { status = error }\n"
            "reads:      .a status name\n");
  EXPECT_FALSE(explain_traceql("{").ok());
}

}  // namespace
}  // namespace tarsier::tracing
