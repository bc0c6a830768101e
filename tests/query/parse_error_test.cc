// What is refused, with the exact text and place: users see these messages, and dashboards show
// them, so they are a promise.

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "query/parse.h"

namespace tarsier::query {
namespace {

struct Case {
  std::string_view query;
  std::string_view error;
};

std::string error_of(std::string_view query, const ParseOptions& options) {
  const Result<ExprPtr> parsed = parse_expression(query, options);
  return parsed.ok() ? "accepted" : parsed.status().message();
}

void expect_errors(const std::vector<Case>& cases, const ParseOptions& options) {
  for (const Case& c : cases) EXPECT_EQ(error_of(c.query, options), c.error) << c.query;
}

const ParseOptions kEverything = {
    .experimental_functions = true, .extended_range_selectors = true, .fill_modifiers = true};

TEST(ParseError, NamesUnbalancedAndUnknownCharacters) {
  expect_errors(
      {
          {"", "unknown position: parse error: no expression found in input"},
          {"  # nothing here\n", "1:1: parse error: no expression found in input"},
          {"(up", "1:4: parse error: unclosed left parenthesis"},
          {"up)", "1:4: parse error: unexpected right parenthesis ')'"},
          {"up[5m", "1:6: parse error: unclosed left bracket"},
          {"up[", "1:4: parse error: unexpected end of input in duration expression"},
          {"up]", "1:3: parse error: unexpected right bracket ']'"},
          {"up{", "1:4: parse error: unexpected end of input inside braces"},
          {"up}", "1:3: parse error: unexpected character: '}'"},
          {"up{{", "1:4: parse error: unexpected left brace '{'"},
          {"up{a:b}", "1:5: parse error: unexpected character inside braces: ':'"},
          {"1 = ~ 2", "1:3: parse error: unexpected \"=\""},
          {"1 =~ 2", "1:3: parse error: unexpected character after '=': '~'"},
          {"1 ! 2", "1:3: parse error: unexpected character after '!': ' '"},
          {"1 !", "1:3: parse error: unexpected character after '!': '\uFFFD'"},
          {"up{a!b}", "1:5: parse error: unexpected character after '!' inside braces: 'b'"},
          {"größe", "1:3: parse error: unexpected character: 'ö'"},
          {"1 ; 2", "1:3: parse error: unexpected character: ';'"},
          {"up\u00a0+ 1", "1:3: parse error: unexpected character: '\\u00a0'"},
          {"a * on(b) group_left * c",
           "1:22: parse error: unexpected <op:*> in grouping opts, expected \"(\""},
          {"a * on(b) group_left",
           "1:21: parse error: unexpected end of input in grouping opts, expected \"(\""},
          {"up[5m:1m:1m]", "1:9: parse error: unexpected colon ':'"},
          {"up[:5m]", "1:5: parse error: unexpected colon before duration in duration expression"},
          {"up[x]", "1:4: parse error: unexpected character in duration expression: 'x'"},
          {"up[5m x]", "1:7: parse error: unexpected character: 'x', expected ':'"},
          {"up[5m[1m]]", "1:6: parse error: unexpected left bracket '['"},
      },
      kEverything);
}

TEST(ParseError, NamesBadLiterals) {
  expect_errors(
      {
          {"5mm", "1:1: parse error: bad number or duration syntax: \"5mm\""},
          {"1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.\""},
          {"1__0", "1:1: parse error: bad number or duration syntax: \"1__\""},
          {"1_", "1:1: parse error: bad number or duration syntax: \"1_\""},
          {"0x1.8", "1:1: parse error: bad number or duration syntax: \"0x1.\""},
          {"up[5m1h]", "1:4: parse error: not a valid duration string: \"5m1h\""},
          {"5y1hs", "1:1: parse error: unknown unit \"hs\" in duration \"5y1hs\""},
          {"up[300y]", "1:4: parse error: duration out of range"},
          {"up[1e10]", "1:4: parse error: duration out of range"},
          {"1e400",
           "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value "
           "out of range"},
          {"\"a", "1:1: parse error: unterminated quoted string"},
          {"\"a\nb\"", "1:1: parse error: unterminated quoted string"},
          {"`a", "1:1: parse error: unterminated raw string"},
          {R"("\c")", "1:1: parse error: unknown escape sequence U+0063 'c'"},
          {R"("\'")", "1:1: parse error: unknown escape sequence U+0027 '''"},
          {R"("\x.")", "1:1: parse error: illegal character U+002E '.' in escape sequence"},
          {R"("\400")", "1:1: parse error: escape sequence is an invalid Unicode code point"},
          {R"("\ud800")", "1:1: parse error: escape sequence is an invalid Unicode code point"},
          {R"("\x1)", "1:1: parse error: escape sequence not terminated"},
          {"up{a=\"\xff\"}", "1:6: parse error: invalid UTF-8 rune"},
          {"up{a=\"\uFFFD\"}", "1:6: parse error: invalid UTF-8 rune"},
      },
      kEverything);
}

TEST(ParseError, SaysWhatWasUnexpectedAndWhere) {
  expect_errors(
      {
          {"1 +", "1:4: parse error: unexpected end of input"},
          {"* 1", "1:1: parse error: unexpected <op:*>"},
          {"up down", "1:4: parse error: unexpected identifier \"down\""},
          {"up 123456789012", "1:4: parse error: unexpected number \"1234567890\"..."},
          {"up 5m", "1:4: parse error: unexpected duration \"5m\""},
          {"up \"x\"", "1:4: parse error: unexpected string \"\\\"x\\\"\""},
          {"1 + on", "1:7: parse error: unexpected end of input in grouping opts, expected \"(\""},
          {"a + on b",
           "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected "
           "\"(\""},
          {"a + on(b c) d",
           "1:10: parse error: unexpected identifier \"c\" in grouping opts, "
           "expected \",\" or \")\""},
          {"a + on(without) b",
           "1:8: parse error: unexpected <without> in grouping opts, "
           "expected label"},
          {"a + group_left b", "1:5: parse error: unexpected <group_left>"},
          {"sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"},
          {"sum by (a) b", "1:12: parse error: unexpected identifier \"b\" in aggregation"},
          {"sum(1, )", "1:6: parse error: trailing commas not allowed in function call args"},
          {"rate(a[5m],)", "1:11: parse error: trailing commas not allowed in function call args"},
          {"a offset",
           "1:9: parse error: unexpected end of input in offset, expected number, "
           "duration, step(), or range()"},
          {"a @ b", "1:5: parse error: unexpected identifier \"b\" in @, expected timestamp"},
          {"a[5m:1m 1m]",
           "1:9: parse error: unexpected duration \"1m\" in subquery selector, "
           "expected \"]\""},
          {"a[5m 1m]",
           "1:6: parse error: unexpected duration \"1m\" in subquery or range, "
           "expected \":\" or \"]\""},
          {"a[]",
           "1:3: parse error: unexpected \"]\" in subquery or range selector, expected "
           "number, duration, step(), or range()"},
          {"a{,}",
           "1:3: parse error: unexpected \",\" in label matching, expected identifier or "
           "\"}\""},
          {"a{b}",
           "1:4: parse error: unexpected \"}\" in label matching, expected label matching "
           "operator"},
          {"a{b=c}",
           "1:5: parse error: unexpected identifier \"c\" in label matching, expected "
           "string"},
          {"a{b=\"c\" d}",
           "1:9: parse error: unexpected identifier \"d\" in label matching, "
           "expected \",\" or \"}\""},
          {"bool", "1:1: parse error: unexpected <bool>"},
          {"a\n+\n  *", "3:3: parse error: unexpected <op:*>"},
      },
      kEverything);
}

TEST(ParseError, ChecksFunctionsAndAggregations) {
  expect_errors(
      {
          {"RATE(a[5m])", "1:1: parse error: unknown function with name \"RATE\""},
          {"STEP()", "1:1: parse error: unknown function with name \"STEP\""},
          {"floor(1)",
           "1:7: parse error: expected type instant vector in call to function "
           "\"floor\", got scalar"},
          {"rate(a)",
           "1:6: parse error: expected type range vector in call to function \"rate\", "
           "got instant vector"},
          {"floor(a, 1)", "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 2"},
          {"round()",
           "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got "
           "0"},
          {"hour(a, b)",
           "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got "
           "2"},
          {"label_join(a)",
           "1:1: parse error: expected at least 3 argument(s) in call to "
           "\"label_join\", got 1"},
          {"sum()", "1:1: parse error: no arguments for aggregate expression provided"},
          {"topk(a)",
           "1:1: parse error: wrong number of arguments for aggregate expression "
           "provided, expected 2, got 1"},
          {"sum(1)",
           "1:5: parse error: expected type instant vector in aggregation expression, "
           "got scalar"},
          {"topk(a, b)",
           "1:6: parse error: expected type scalar in aggregation parameter, got "
           "instant vector"},
          {"count_values(1, a)",
           "1:14: parse error: expected type string in aggregation "
           "parameter, got scalar"},
          {"sum by (\"\") (a)", "1:9: parse error: invalid label name for grouping: \"\""},
          {"sum by (\"\\xff\") (a)",
           "1:9: parse error: invalid label name for grouping: \"\\xff\""},
          {"info(a, b)",
           "1:9: parse error: expected label selectors only, got vector selector "
           "instead"},
          {"info(a, -{b=\"c\"})", "1:9: parse error: expected label selectors only"},
          {"-\"a\"",
           "1:1: parse error: unary expression only allowed on expressions of type scalar "
           "or instant vector, got \"string\""},
          {"-a[5m]",
           "1:1: parse error: unary expression only allowed on expressions of type scalar "
           "or instant vector, got \"range vector\""},
      },
      kEverything);
}

TEST(ParseError, ChecksOperatorsAndMatching) {
  expect_errors(
      {
          {"1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
          {"a + bool b",
           "1:3: parse error: bool modifier can only be used on comparison operators"},
          {"a </ bool b",
           "1:3: parse error: bool modifier can only be used on comparison "
           "operators"},
          {"1 and 2",
           "1:1: parse error: set operator \"and\" not allowed in binary scalar "
           "expression"},
          {"a and on(x) group_left b",
           "1:1: parse error: no grouping allowed for \"and\" "
           "operation"},
          {"a or fill(1) b",
           "1:1: parse error: filling in missing series not allowed for set "
           "operators"},
          {"a + fill(1) 2",
           "1:1: parse error: filling in missing series only allowed between "
           "instant vectors"},
          {"a + on(x) 2", "1:1: parse error: vector matching only allowed between instant vectors"},
          {"a * on(x, y) group_left(y) b",
           "1:3: parse error: label \"y\" must not occur in ON and "
           "GROUP clause at once"},
          {"a + b[5m]",
           "1:5: parse error: binary expression must contain only scalar and instant "
           "vector types"},
          {"\"a\" + b",
           "1:1: parse error: binary expression must contain only scalar and instant "
           "vector types"},
      },
      kEverything);
}

TEST(ParseError, ChecksSelectorsAndTheirModifiers) {
  expect_errors(
      {
          {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
          {"{a=\"\",b=~\".*\"}",
           "1:1: parse error: vector selector must contain at least one "
           "non-empty matcher"},
          {"a{__name__=\"b\"}",
           "1:1: parse error: metric name must not be set twice: \"a\" or "
           "\"b\""},
          {"a{\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""},
          {"(a)[5m]", "1:4: parse error: ranges only allowed for vector selectors"},
          {"a offset 1m [5m]", "1:13: parse error: no offset modifiers allowed before range"},
          {"a @ 1 [5m]", "1:7: parse error: no @ modifiers allowed before range"},
          {"a offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"},
          {"a @ 1 @ start()", "1:1: parse error: @ <timestamp> may not be set multiple times"},
          {"1 offset 1m",
           "1:1: parse error: offset modifier must be preceded by an instant vector "
           "selector or range vector selector or a subquery"},
          {"(a) @ 1",
           "1:1: parse error: @ modifier must be preceded by an instant vector selector "
           "or range vector selector or a subquery"},
          {"a @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"},
          {"a @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"},
          {"a @ -1e20",
           "1:1: parse error: timestamp out of bounds for @ modifier: "
           "-100000000000000000000.000000"},
          {"a[0]", "1:3: parse error: duration must be greater than 0"},
          {"a[5m:-1m]", "1:6: parse error: duration must be greater than 0"},
          {"a[5m/0]", "1:5: parse error: division by zero"},
          {"a[5m%0]", "1:5: parse error: modulo by zero"},
          {"1[5m:]",
           "1:1: parse error: subquery is only allowed on instant vector, got scalar "
           "instead"},
          {"a[5m][5m:]",
           "1:1: parse error: subquery is only allowed on instant vector, got matrix "
           "instead"},
          {"a anchored smoothed",
           "1:1: parse error: anchored and smoothed modifiers cannot be used "
           "together"},
          {"a[5m:] anchored",
           "1:1: parse error: anchored modifier is not supported for subqueries"},
          {"1 smoothed", "1:1: parse error: smoothed modifier not implemented"},
      },
      kEverything);
}

TEST(ParseError, RefusesWhatIsNotSwitchedOn) {
  expect_errors(
      {
          {"mad_over_time(a[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"},
          {"start()", "1:1: parse error: function \"start\" is not enabled"},
          {"limitk(1, a)",
           "1:1: parse error: limitk() is experimental and must be enabled with "
           "--enable-feature=promql-experimental-functions"},
          {"a + fill(1) b",
           "1:1: parse error: binop fill modifiers are experimental and not "
           "enabled"},
          {"a[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled"},
          {"a smoothed", "1:1: parse error: smoothed modifier is experimental and not enabled"},
      },
      {});
}

TEST(ParseError, ReportsSyntaxBeforeTypesAndTheFirstErrorOnly) {
  expect_errors(
      {
          {"floor(1) + )", "1:13: parse error: unexpected right parenthesis ')'"},
          {"nothing(1 +)", "1:12: parse error: unexpected \")\""},
          {"floor(1) + nothing(2)", "1:12: parse error: unknown function with name \"nothing\""},
          {"floor(1) + ceil(2)",
           "1:7: parse error: expected type instant vector in call to "
           "function \"floor\", got scalar"},
      },
      kEverything);
}

TEST(ParseError, CarriesItsParts) {
  ParseError error;
  EXPECT_FALSE(parse_expression("a +\n rate(b)", {}, &error).ok());
  EXPECT_EQ(error.position.line, 2u);
  EXPECT_EQ(error.position.column, 7u);
  EXPECT_EQ(error.range, (SourceRange{10, 11}));
  EXPECT_EQ(error.to_string(),
            "2:7: parse error: expected type range vector in call to function \"rate\", got "
            "instant vector");
}

TEST(ParseError, LimitsSizeInsteadOfExhaustingTheStack) {
  const auto repeat = [](std::string_view text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  const auto refused = [](const std::string& query) {
    return error_of(query, kEverything).find("levels") != std::string::npos;
  };
  EXPECT_TRUE(refused(repeat("(", 100'000) + "a" + repeat(")", 100'000)));
  EXPECT_TRUE(refused(repeat("abs(", 100'000) + "a" + repeat(")", 100'000)));
  EXPECT_TRUE(refused(repeat("-", 100'000) + "a"));
  EXPECT_TRUE(refused(repeat("a^", 100'000) + "a"));
  EXPECT_TRUE(refused(repeat("a+", 100'000) + "a"));
  EXPECT_TRUE(refused("a[" + repeat("(", 100'000) + "1" + repeat(")", 100'000) + "]"));
  EXPECT_TRUE(refused("a[" + repeat("-", 100'000) + "1]"));
  EXPECT_TRUE(refused("a" + repeat("[1m:]", 100'000)));
  EXPECT_NE(error_of("a[" + repeat("1+", 100'000) + "1]", {}).find("operations"),
            std::string::npos);
  EXPECT_EQ(error_of(repeat("a+", 1000) + "a", {}), "accepted");
  EXPECT_EQ(error_of(repeat("(", 200) + "a" + repeat(")", 200), {}), "accepted");
  EXPECT_EQ(error_of(repeat(" ", 2'000'000), {}),
            "1:1: parse error: query of 2000000 bytes is longer than the 1048576 allowed");
}

TEST(ParseMetricSelector, TakesSelectorsOnly) {
  const auto error = [](std::string_view text) {
    const auto parsed = parse_metric_selector(text);
    return parsed.ok() ? "accepted" : parsed.status().message();
  };
  EXPECT_EQ(error("up"), "accepted");
  EXPECT_EQ(error("up{job=\"a\",instance=~\"b.*\"}"), "accepted");
  EXPECT_EQ(error("{\"a.b\"}"), "accepted");
  EXPECT_EQ(error("{}"), "accepted");  // The API says what it thinks of selecting everything.
  EXPECT_EQ(error("up offset 5m"), "1:4: parse error: unexpected <offset>");
  EXPECT_EQ(error("up[5m]"), "1:3: parse error: unexpected \"[\"");
  EXPECT_EQ(error("1"), "1:1: parse error: unexpected number \"1\"");
  EXPECT_EQ(error(""), "unknown position: parse error: unexpected end of input");
}

TEST(ParseMetricSelector, GivesMatchersInTheOrderWrittenWithTheNameLast) {
  const auto matchers = parse_metric_selector("up{b!=\"x\",\"a b\"=~\"y\"}");
  ASSERT_TRUE(matchers.ok());
  ASSERT_EQ(matchers->size(), 3u);
  EXPECT_EQ((*matchers)[0].to_string(), "b!=\"x\"");
  EXPECT_EQ((*matchers)[1].to_string(), "\"a b\"=~\"y\"");
  EXPECT_EQ((*matchers)[2].to_string(), "__name__=\"up\"");
}

}  // namespace
}  // namespace tarsier::query
