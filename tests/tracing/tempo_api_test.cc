#include "tracing/tempo_api.h"

#include <string>

#include "tests/tracing/query_lab.h"

namespace tarsier::tracing {
namespace {

constexpr const char* kCart = "00000000000000000000000000000abc";

TEST(TempoApi, AnswersASearchInTempoShape) {
  QueryLab lab;
  lab.keep_shop();
  lab.flush();
  const TempoApi api(lab.queries());
  const HttpResponse response = api.search(QueryLab::request(
      {{"q", "{ status = error } | select(span.db.system) | count() > 0"}, {"limit", "20"}}));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  const std::string set =
      R"({"spans":[{"spanID":"0000000000000002","name":"SELECT",)"
      R"("startTimeUnixNano":"1800000000001000000","durationNanos":"446979497",)"
      R"("attributes":[{"key":"status","value":{"stringValue":"error"}},)"
      R"({"key":"db.system","value":{"stringValue":"pg"}}]}],"matched":1,)"
      "\"attributes\":[{\"key\":\"count()\",\"value\":{\"intValue\":\"1\"}}]}";
  const std::string expected =
      R"({"traces":[{"traceID":"00000000000000000000000000000abc","rootServiceName":"shop",)"
      R"("rootTraceName":"GET /cart","startTimeUnixNano":"1800000000000000000","durationMs":2000,)"
      R"("spanSet":)" +
      set + R"(,"spanSets":[)" + set +
      R"(],"serviceStats":{"db":{"spanCount":1,"errorCount":1},"shop":{"spanCount":1}}}],)";
  EXPECT_EQ(response.body.substr(0, expected.size()), expected);
}

TEST(TempoApi, ShowsATraceInBothVersionsAndEncodings) {
  QueryLab lab;
  lab.keep_shop();
  const TempoApi api(lab.queries());
  const std::string span =
      R"({"traceId":"AAAAAAAAAAAAAAAAAAAKvA==","spanId":"AAAAAAAAAAE=","name":"GET /cart",)"
      R"("kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1800000000000000000",)"
      R"("endTimeUnixNano":"1800000002000000000",)"
      R"("attributes":[{"key":"http.status_code","value":{"intValue":"500"}}]})";
  const std::string resource =
      R"([{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},)"
      R"({"key":"host","value":{"stringValue":"h-shop"}}]},)"
      R"("scopeSpans":[{"scope":{"name":"lab","version":"1"},"spans":[)" +
      span + "]}]},";
  const HttpResponse v1 = api.trace_v1(QueryLab::request(), "aBc");
  EXPECT_EQ(v1.body.substr(0, 11 + resource.size()), R"({"batches":)" + resource);
  const HttpResponse v2 = api.trace_v2(QueryLab::request(), kCart);
  EXPECT_EQ(v2.body.substr(0, 26 + resource.size()), R"({"trace":{"resourceSpans":)" + resource);
  EXPECT_NE(v2.body.find(R"("code":"STATUS_CODE_ERROR")"), std::string::npos);

  const HttpRequest wants_protobuf = QueryLab::request({}, "application/protobuf");
  const HttpResponse bare = api.trace_v1(wants_protobuf, kCart);
  EXPECT_EQ(bare.content_type, "application/protobuf");
  const auto decoded = SpanBatch::decode(bare.body);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ((*decoded)->spans().size(), 2u);
  const HttpResponse wrapped = api.trace_v2(wants_protobuf, kCart);
  EXPECT_NE(wrapped.body.find(bare.body), std::string::npos);

  EXPECT_EQ(api.trace_v1(QueryLab::request(), "1234").status, 404);
  EXPECT_EQ(api.trace_v2(QueryLab::request(), "1234").status, 404);
  EXPECT_EQ(api.trace_v1(QueryLab::request(), "xyz").status, 400);
  EXPECT_EQ(api.trace_v1(QueryLab::request(), std::string(33, '1')).status, 400);
}

TEST(TempoApi, BoundsLargeTraces) {
  QueryLab lab;
  lab.keep_shop();
  const TempoApi api(lab.queries(), {.trace_bytes_max = 50});
  EXPECT_EQ(api.trace_v1(QueryLab::request(), kCart).status, 422);
  const HttpResponse v2 = api.trace_v2(QueryLab::request(), kCart);
  EXPECT_EQ(v2.status, 200);
  EXPECT_NE(v2.body.find(R"("status":"PARTIAL","message":"trace exceeds max size: 1 of 2 spans)"),
            std::string::npos);
}

TEST(TempoApi, RefusesWrongSearches) {
  QueryLab lab;
  const TempoApi api(lab.queries());
  const auto status = [&](std::vector<std::pair<std::string, std::string>> parameters) {
    const HttpResponse response = api.search(QueryLab::request(std::move(parameters)));
    EXPECT_EQ(response.content_type,
              response.status == 200 ? "application/json" : "text/plain; charset=utf-8");
    return response.status;
  };
  EXPECT_EQ(status({{"q", "{"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"tags", "a=b"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"limit", "0"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"limit", "-1"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"limit", "x"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"spss", "101"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"start", "10"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"start", "10"}, {"end", "10"}}), 400);
  EXPECT_EQ(status({{"q", "{}"}, {"start", "10"}, {"end", "800000"}}), 400);
  EXPECT_EQ(status({{"tags", "a=b a=c"}}), 400);
  EXPECT_EQ(status({{"q", "{ 1 / 0 = 1 }"}}), 200);
  EXPECT_EQ(status({{"q", "{}"}, {"start", "10"}, {"end", "20"}}), 200);
  EXPECT_EQ(status({{"q", "{} | rate()"}}), 400);
  lab.keep_shop();
  EXPECT_EQ(status({{"q", "{ 1 / 0 = 1 }"}}), 400);
}

TEST(TempoApi, TranslatesTags) {
  const auto translated = [](const std::string& tags) {
    const Result<std::string> out = traceql_of_tags(tags, "", "");
    return out.ok() ? *out : out.status().message();
  };
  EXPECT_EQ(translated(""), "{}");
  EXPECT_EQ(translated("name=GET error=true"),
            "{ name =~ \"(?is).*GET.*\" } && { status = error }");
  EXPECT_EQ(translated("a=\"b c\""), "{ .a =~ \"(?is).*b\\\\ c.*\" }");
  EXPECT_EQ(translated("http.status_code=500"),
            "{ .http.status_code =~ \"(?is).*500.*\" || .http.status_code = 500 }");
  EXPECT_EQ(translated("a"), "invalid tags: expected key=value");
  EXPECT_EQ(*traceql_of_tags("", "1s", "2s"), "{ traceDuration >= 1s } && { traceDuration <= 2s }");
  QueryLab lab;
  lab.keep_shop();
  const TempoApi api(lab.queries());
  EXPECT_NE(api.search(QueryLab::request({{"tags", "db.system=PG"}})).body.find(kCart),
            std::string::npos);
  EXPECT_NE(api.search(QueryLab::request({{"db.system", "pg"}})).body.find(kCart),
            std::string::npos);
}

TEST(TempoApi, ListsTagsAndValues) {
  QueryLab lab;
  lab.keep_shop();
  lab.flush();
  const TempoApi api(lab.queries());
  EXPECT_EQ(api.tags_v1(QueryLab::request()).body,
            R"({"tagNames":["db.system","host","http.status_code","service.name"],"metrics":{}})");
  EXPECT_EQ(api.tags_v2(QueryLab::request({{"scope", "span"}})).body,
            R"({"scopes":[{"name":"span","tags":["db.system","http.status_code"]}],"metrics":{}})");
  EXPECT_EQ(api.tags_v2(QueryLab::request({{"scope", "oops"}})).status, 400);
  const auto values = [&](const std::string& tag, const std::string& q = "") {
    return api.tag_values_v2(QueryLab::request({{"q", q}}), tag).body;
  };
  EXPECT_EQ(
      values("resource.service.name"),
      R"({"tagValues":[{"type":"string","value":"db"},{"type":"string","value":"shop"}],"metrics":{}})");
  EXPECT_EQ(
      values(".http.status_code"),
      R"({"tagValues":[{"type":"int","value":"200"},{"type":"int","value":"500"}],"metrics":{}})");
  EXPECT_EQ(values("name", "{ status = error && .x = }"),
            R"({"tagValues":[{"type":"string","value":"SELECT"}],"metrics":{}})");
  EXPECT_EQ(values("event:name"),
            R"({"tagValues":[{"type":"string","value":"retry"}],"metrics":{}})");
  EXPECT_NE(values("status").find(R"({"type":"keyword","value":"error"})"), std::string::npos);
  EXPECT_EQ(api.tag_values_v1(QueryLab::request(), "service.name").body,
            R"({"tagValues":["db","shop"],"metrics":{}})");
  EXPECT_EQ(api.tag_values_v2(QueryLab::request(), "a b").status, 400);
}

TEST(TempoApi, ComputesMetrics) {
  QueryLab lab;
  lab.keep_shop();
  const TempoApi api(lab.queries());
  const auto range = [&](std::vector<std::pair<std::string, std::string>> more) {
    std::vector<std::pair<std::string, std::string>> parameters = {
        {"q", "{ status = error } | count_over_time()"},
        {"start", "1800000000"},
        {"end", "1800000060"}};
    parameters.insert(parameters.begin(), more.begin(), more.end());
    return QueryLab::request(std::move(parameters));
  };
  const std::string series =
      R"({"series":[{"labels":[{"key":"__name__","value":{"stringValue":"count_over_time"}}],)";
  const std::string ranged = api.metrics_range(range({{"step", "30s"}})).body;
  EXPECT_EQ(ranged.substr(0, ranged.find(",\"metrics\"")),
            series + R"("samples":[{"timestampMs":"1800000000000","value":0},)"
                     R"({"timestampMs":"1800000030000","value":1},)"
                     R"({"timestampMs":"1800000060000","value":0}]}])");
  const std::string instant = api.metrics_instant(range({})).body;
  EXPECT_EQ(instant.substr(0, instant.find(",\"metrics\"")), series + R"("value":1}])");
  const std::string exemplars = api.metrics_range(range({{"step", "60"}, {"exemplars", "5"}})).body;
  EXPECT_NE(exemplars.find(R"("exemplars":[{"labels":[{"key":"trace:id","value":)"
                           R"({"stringValue":"00000000000000000000000000000abc"}}])"),
            std::string::npos);
  EXPECT_EQ(api.metrics_range(range({{"step", "0"}})).status, 400);
  EXPECT_EQ(api.metrics_range(range({{"end", "1700000000"}})).status, 400);
  EXPECT_EQ(api.metrics_range(QueryLab::request()).status, 400);
}

}  // namespace
}  // namespace tarsier::tracing
