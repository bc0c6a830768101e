#include "tracing/traceql/parser.h"

#include <string>

#include <gtest/gtest.h>

#include "tracing/traceql/printer.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

struct Case {
  std::string query;
  std::string canonical;
};

std::string printed(const std::string& query) {
  const Result<Query> parsed = parse_query(query);
  return parsed.ok() ? print(*parsed) : parsed.status().message();
}

TEST(TraceqlParser, PrintsTheCanonicalForm) {
  const Case cases[] = {
      {"{}", "{ }"},
      {"{ true }", "{ true }"},
      {"{.a=1}", "{ .a = 1 }"},
      {"{ span.http.status_code >= 500 && resource.service.name=\"shop\" }",
       "{ span.http.status_code >= 500 && resource.service.name = \"shop\" }"},
      {"{ .a-1 = 2 }", "{ .a-1 = 2 }"},
      {"{ .a - 1 = 2 }", "{ .a - 1 = 2 }"},
      {"{ span.\"my attr\" = `raw\\n` }", "{ span.\"my attr\" = \"raw\\\\n\" }"},
      {"{ .foo\"bar baz\"qux = nil }", "{ .\"foobar bazqux\" = nil }"},
      {"{ a }", "parse error at position 2: unexpected a"},
      {"{ duration > 1.5s }", "{ duration > 1500ms }"},
      {"{ span:duration > 1d12h }", "{ duration > 129600s }"},
      {"{ duration > 10µs && traceDuration<3ns}", "{ duration > 10us && traceDuration < 3ns }"},
      {"{ status = error || kind != server }", "{ status = error || kind != server }"},
      {"{ parent.span.x = 1 && parent.y = 2 && parent.resource.z = 3 }",
       "{ parent.span.x = 1 && parent.y = 2 && parent.resource.z = 3 }"},
      {"{ parent = nil }", "{ parent = nil }"},
      {"{ !(.x = \"a\") }", "{ !(.x = \"a\") }"},
      {"{ !.x = true }", "{ !.x = true }"},
      {"{ (!.x) = true }", "{ !.x = true }"},
      {"{ 1 + 2 * 3 ^ 4 ^ 5 = (1 + 2) * 3 }", "{ 1 + 2 * 3 ^ 4 ^ 5 = (1 + 2) * 3 }"},
      {"{ (3 ^ 4) ^ 5 > -.x }", "{ (3 ^ 4) ^ 5 > -.x }"},
      {"{ .a || .b && .c }", "{ .a || .b && .c }"},
      {"{ .a || (.b && .c) }", "{ .a || (.b && .c) }"},
      {"{ .a = minInt }", "{ .a = minInt }"},
      {"{ .a = 2.0 }", "{ .a = 2.0 }"},
      {"{.a}>{.b}", "{ .a } > { .b }"},
      {"{.a} &>> {.b} || {.c}", "{ .a } &>> { .b } || { .c }"},
      {"{.a} >> ({.b} || {.c})", "{ .a } >> ({ .b } || { .c })"},
      {"{.a} !~ {.b}", "{ .a } !~ { .b }"},
      {"(({.a}))", "{ .a }"},
      {"{} | count() > 2 | by(resource.service.name) | coalesce() | select(name, .x)",
       "{ } | count() > 2 | by(resource.service.name) | coalesce() | select(name, .x)"},
      {"{} | avg(duration) * 2 > 1s + 3ms", "{ } | avg(duration) * 2 > 1s + 3ms"},
      {"({.a} | count() > 1) && {.b}", "({ .a } | count() > 1) && { .b }"},
      {"({.a} | count()) > ({.b} | count())", "({ .a } | count()) > ({ .b } | count())"},
      {"{} | rate()", "{ } | rate()"},
      {"{nestedSetParent<0 && true} | rate() by(resource.service.name) with(sample=true)",
       "{ nestedSetParent < 0 && true } | rate() by(resource.service.name) with(sample=true)"},
      {"{nestedSetParent<0} | quantile_over_time(duration, 0.9, .99) by(name)",
       "{ nestedSetParent < 0 } | quantile_over_time(duration, 0.9, 0.99) by(name)"},
      {"{nestedSetParent<0} | compare({status=error})",
       "{ nestedSetParent < 0 } | compare({ status = error })"},
      {"{} | compare({status=error}, 10, 1, 2)", "{ } | compare({ status = error }, 10, 1, 2)"},
      {"({nestedSetParent<0} &>> {status=error}) || ({nestedSetParent<0}) | select(status, "
       "resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)",
       "{ nestedSetParent < 0 } &>> { status = error } || { nestedSetParent < 0 } | select(status, "
       "resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)"},
      {"{status=error} | select(event.exception.message, event.exception.type) "
       "with(most_recent=true)",
       "{ status = error } | select(event.exception.message, event.exception.type) "
       "with(most_recent=true)"},
      {"({} | rate()) / ({.a} | rate()) * 100 > 5 | topk(3)",
       "(({ } | rate()) / ({ .a } | rate())) * 100 > 5 | topk(3)"},
      {"{} | rate() by(name) > 10 | topk(3)", "{ } | rate() by(name) > 10 | topk(3)"},
      {"{} | histogram_over_time(duration)", "{ } | histogram_over_time(duration)"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.query);
    EXPECT_EQ(printed(c.query), c.canonical);
    const Result<Query> parsed = parse_query(c.query);
    if (!parsed.ok()) continue;
    const Result<Query> again = parse_query(print(*parsed));
    ASSERT_TRUE(again.ok()) << print(*parsed) << ": " << again.status().message();
    EXPECT_TRUE(*again == *parsed) << print(*parsed);
  }
}

TEST(TraceqlParser, NamesThePlaceOfAnError) {
  const Case cases[] = {
      {"", "parse error at position 0: unexpected end of the query"},
      {"{", "parse error at position 1: unexpected end of the query"},
      {"{ .a = }", "parse error at position 7: unexpected }"},
      {"{ .a = 1 ", "parse error at position 9: unexpected end of the query, expected }"},
      {"{ foo.bar = 1 }", "parse error at position 2: unknown scope foo"},
      {"{ span:foo = 1 }", "parse error at position 2: unknown intrinsic span:foo"},
      {"{ \"abc }", "parse error at position 2: a string has no end"},
      {"{ .a =~ 5 }", "parse error at position 5: a regular expression must be a string"},
      {"{ .a > nil }", "parse error at position 5: > cannot be used with nil"},
      {"{ status > error }", "parse error at position 9: > cannot be used with this literal"},
      {"{ 1 }", "parse error at position 5: a filter must be true or false"},
      {"{} | count()",
       "parse error at position 12: an aggregate needs a comparison, such as "
       "count() > 1"},
      {"{} | by(.a, .b)", "parse error at position 10: by() takes one expression here"},
      {"{} | rate() by(.a, .b, .c, .d, .e, .f)",
       "parse error at position 37: too many attributes in by()"},
      {"{} | quantile_over_time(duration, 2)",
       "parse error at position 34: a quantile lies between 0 and 1"},
      {"{} {}", "parse error at position 3: unexpected {"},
      {"{} | topk(3)", "parse error at position 5: unexpected topk"},
      {"count() > 1 &", "parse error at position 12: unexpected character"},
      {"{ .a = 99999999999999999999 }", "parse error at position 7: an integer out of range"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.query);
    EXPECT_EQ(printed(c.query), c.canonical);
  }
  EXPECT_FALSE(parse_query("{ .a =~ \"(\" }").ok());
  EXPECT_FALSE(parse_query(std::string(1000, '(') + "{}" + std::string(1000, ')')).ok());
  std::string chain = "{ .a";
  for (int i = 0; i < 2000; ++i) chain += " && .a";
  EXPECT_FALSE(parse_query(chain + " }").ok());
}

TEST(TraceqlParser, AndBindsLikeOr) {
  const Result<Query> parsed = parse_query("{ .a || .b && .c }");
  ASSERT_TRUE(parsed.ok());
  const Field& filter = *parsed->pipeline[0].spansets.filter;
  EXPECT_EQ(filter.op, Op::kAnd);
  EXPECT_EQ(filter.operands[0].op, Op::kOr);
}

TEST(TraceqlVocabulary, PrintsDurationsLikeGo) {
  EXPECT_EQ(go_duration(0), "0s");
  EXPECT_EQ(go_duration(1), "1ns");
  EXPECT_EQ(go_duration(1500), "1.5µs");
  EXPECT_EQ(go_duration(446'979'497), "446.979497ms");
  EXPECT_EQ(go_duration(1'500'000'000), "1.5s");
  EXPECT_EQ(go_duration(60'000'000'000), "1m0s");
  EXPECT_EQ(go_duration(-3'723'000'000'001), "-1h2m3.000000001s");
}

TEST(TraceqlVocabulary, ReadsNamesOfTags) {
  const auto service = parse_attribute("resource.service.name");
  ASSERT_TRUE(service);
  EXPECT_EQ(service->scope, Scope::kResource);
  EXPECT_EQ(service->name, "service.name");
  EXPECT_EQ(attribute_text(*service), "resource.service.name");
  ASSERT_TRUE(parse_attribute("span:duration"));
  EXPECT_EQ(parse_attribute("span:duration")->intrinsic, Intrinsic::kDuration);
  EXPECT_FALSE(parse_attribute("nothing"));
  EXPECT_FALSE(parse_attribute(".a b"));
}

}  // namespace
}  // namespace tarsier::tracing::traceql
