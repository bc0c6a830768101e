// What is accepted, and the tree it becomes: shown by the canonical form, which says how operators
// were grouped once parentheses are printed around each of them.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "query/parse.h"
#include "query/parse/duration.h"
#include "query/parse/printer.h"

namespace tarsier::query {
namespace {

const ParseOptions kEverything = {
    .experimental_functions = true, .extended_range_selectors = true, .fill_modifiers = true};

ExprPtr parse(std::string_view query) {
  Result<ExprPtr> parsed = parse_expression(query, kEverything);
  EXPECT_TRUE(parsed.ok()) << query << ": " << parsed.status().message();
  return parsed.ok() ? std::move(parsed).value() : std::make_unique<Number>(0);
}

double number(std::string_view query) {
  const ExprPtr e = parse(query);
  EXPECT_EQ(e->kind, ExprKind::kNumber) << query;
  return e->kind == ExprKind::kNumber ? as<Number>(*e).value : -12345;
}

/// `op(left, right)` for operators, so that the grouping shows.
std::string grouping(const Expr& e) {
  if (e.kind == ExprKind::kBinary) {
    const auto& b = as<Binary>(e);
    return std::string(text_of(b.op)) + "(" + grouping(*b.left) + ", " + grouping(*b.right) + ")";
  }
  if (e.kind == ExprKind::kUnary) return "neg(" + grouping(*as<Unary>(e).operand) + ")";
  return print(e);
}

struct Case {
  std::string_view query;
  std::string_view want;
};

TEST(Parse, GroupsOperatorsByPrecedence) {
  const std::vector<Case> cases = {
      {"a + b * c", "+(a, *(b, c))"},
      {"a - b - c", "-(-(a, b), c)"},
      {"a ^ b ^ c", "^(a, ^(b, c))"},
      {"-a ^ b", "neg(^(a, b))"},
      {"-a * b", "*(neg(a), b)"},
      {"a ^ -b * c", "*(^(a, neg(b)), c)"},
      {"a ^ -b ^ c", "^(a, neg(^(b, c)))"},
      {"a atan2 b * c", "*(atan2(a, b), c)"},
      {"a == bool b + c", "==(a, +(b, c))"},
      {"1 < bool 2 < bool 3", "<(<(1, 2), 3)"},
      {"a or b and c unless d", "or(a, unless(and(b, c), d))"},
      {"a and b == c", "and(a, ==(b, c))"},
      {"a </b >/ c", ">/(</(a, b), c)"},
      {"a + b offset 5m", "+(a, b offset 5m)"},
      {"a offset 5m + 2", "+(a offset 5m, 2)"},
      {"a offset -2 ^ 2", "^(a offset -2s, 2)"},
      {"a offset step() * 2", "*(a offset step(), 2)"},
      {"a offset (1m) - 30", "a offset (1m) - 30"},
      {"a offset (1m) == 30", "==(a offset (1m), 30)"},
      {"-a @ 5", "neg(a @ 5.000)"},
      {"a % b / c", "/(%(a, b), c)"},
  };
  for (const Case& c : cases) EXPECT_EQ(grouping(*parse(c.query)), c.want) << c.query;
}

TEST(Parse, ReadsNumbers) {
  EXPECT_EQ(number("23"), 23);
  EXPECT_EQ(number("2."), 2);
  EXPECT_EQ(number(".5"), 0.5);
  EXPECT_EQ(number("3.4e-9"), 3.4e-9);
  EXPECT_EQ(number("1E+2"), 100);
  EXPECT_EQ(number("0x8f"), 143);
  EXPECT_EQ(number("0X_1f"), 31);
  EXPECT_EQ(number("1_000"), 1000);
  EXPECT_EQ(number("1_000.5"), 1000.5);
  EXPECT_EQ(number("0755"), 493);  // Octal.
  EXPECT_EQ(number("010"), 8);
  EXPECT_EQ(number("08"), 8);  // Not octal.
  EXPECT_EQ(number("0755.0"), 755);
  EXPECT_EQ(number("9223372036854775808"), 9223372036854775808.0);
  EXPECT_EQ(number("1e-400"), 0);
  EXPECT_EQ(number("iNf"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(number("-inf"), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(number("nan")));
  EXPECT_EQ(number("-1"), -1);
  EXPECT_EQ(number("- -1"), 1);
  EXPECT_EQ(number("+5"), 5);
  EXPECT_EQ(number("5m"), 300);
  EXPECT_EQ(number("1h30m"), 5400);
  EXPECT_EQ(number("-1ms"), -0.001);
}

TEST(Parse, ReadsStrings) {
  const auto text = [](std::string_view query) {
    const ExprPtr e = parse(query);
    return e->kind == ExprKind::kString ? as<String>(*e).value : "not a string";
  };
  EXPECT_EQ(text(R"("a\"b'c")"), "a\"b'c");
  EXPECT_EQ(text(R"('a"b\'c')"), "a\"b'c");
  EXPECT_EQ(text("`a\\n\nb`"), "a\\n\nb");
  EXPECT_EQ(text(R"("\a\b\f\n\r\t\v\\")"), "\a\b\f\n\r\t\v\\");
  EXPECT_EQ(text(R"("\101\x42\u0043\U00000044")"), "ABCD");
  EXPECT_EQ(text(R"("\u00fc\u20ac\U0001F600")"), "ü€😀");
  EXPECT_EQ(text(R"("\377\xfe")"), "\xff\xfe");
}

TEST(Parse, AllowsKeywordsAsNames) {
  for (const std::string name :
       {"sum",    "avg",       "count",      "min",          "max",      "group",    "stddev",
        "stdvar", "topk",      "bottomk",    "count_values", "quantile", "limitk",   "limit_ratio",
        "by",     "without",   "offset",     "and",          "or",       "unless",   "start",
        "end",    "step",      "range",      "max_of",       "min_of",   "anchored", "smoothed",
        "fill",   "fill_left", "fill_right", "rate",         "a:b",      ":a"}) {
    EXPECT_EQ(print(*parse(name)), name);
    EXPECT_EQ(print(*parse("1 + " + name + "{a=\"b\"}")), "1 + " + name + "{a=\"b\"}");
  }
  EXPECT_EQ(print(*parse("sum(sum)")), "sum(sum)");
  EXPECT_EQ(print(*parse("fill + fill (1) fill")), "fill + fill (1) fill");
  EXPECT_EQ(print(*parse("a{on=\"1\", bool=\"2\", sum=\"3\"}")),
            "a{bool=\"2\",on=\"1\",sum=\"3\"}");
  EXPECT_EQ(print(*parse("SUM BY (bool, on, atan2, group_left, by, fill) (a)")),
            "sum by (bool, on, atan2, group_left, by, fill) (a)");
}

TEST(Parse, PrintsTheCanonicalForm) {
  const std::vector<Case> cases = {
      {"sum(a)by(x,y,)", "sum by (x, y) (a)"},
      {"sum without() (a)", "sum without () (a)"},
      {"sum by () (a)", "sum(a)"},
      {"topk by (x) (5, a)", "topk by (x) (5, a)"},
      {"count_values('v', a)", "count_values(\"v\", a)"},
      {"a{z='1',b!=`2`,}", "a{b!=\"2\",z=\"1\"}"},
      {"{'a.b', c='d'}", "{__name__=\"a.b\",c=\"d\"}"},
      {"{__name__='a'}", "{__name__=\"a\"}"},
      {"a{'l.m'=~'x|y'}", "a{\"l.m\"=~\"x|y\"}"},
      {"sum by ('l.m') (a)", "sum by (\"l.m\") (a)"},
      {"a[90d]", "a[90d]"},
      {"a[14d]", "a[2w]"},
      {"a[300]", "a[5m]"},
      {"a[1.5]", "a[1s500ms]"},
      {"a[5m:]", "a[5m:]"},
      {"a[5m:30] offset 1h @ end()", "a[5m:30s] @ end() offset 1h"},
      {"a[1h] @ 1.5 offset -1m", "a[1h] @ 1.500 offset -1m"},
      {"a @ start() offset 1m", "a @ start() offset 1m"},
      {"a @ 1m40s", "a @ 100.000"},
      {"a @ -0.001", "a @ -0.001"},
      {"a offset 0s", "a"},
      {"a[1h] anchored", "a[1h] anchored"},
      {"a smoothed offset 1m", "a smoothed offset 1m"},
      {"a[5m * 2 + step()]", "a[5m * 2 + step()]"},
      {"a[-(2m) + 10m]", "a[-(2m) + 10m]"},
      {"a[MAX_OF(step(), 30s):min_of(range(), 1)]", "a[max_of(step(), 30s):min_of(range(), 1)]"},
      {"a offset (2^3)", "a offset (2 ^ 3)"},
      {"a offset +(2m)", "a offset (2m)"},
      {"a offset --5", "a offset 5s"},
      {"a == bool b", "a == bool b"},
      {"a * on(x) group_left b", "a * on (x) group_left () b"},
      {"a * on() b", "a * on () b"},
      {"a * ignoring() b", "a * b"},
      {"a * ignoring(x) group_right(y,z) b", "a * ignoring (x) group_right (y, z) b"},
      {"a and on(x) b", "a and on (x) b"},
      {"a + fill(1) b", "a + fill (1) b"},
      {"a + on(x) fill_right(-2) fill_left(1e30) b",
       "a + on (x) fill_left (1e+30) fill_right (-2) b"},
      {"+a", "+a"},
      {"- (a)", "-(a)"},
      {"1e30", "1000000000000000000000000000000"},
      {"0.00001", "0.00001"},
      {"+Inf", "+Inf"},
      {"time()", "time()"},
      {"label_replace(a, 'b', \"\\u2764\\xff\", 'c', `\\d+`)",
       "label_replace(a, \"b\", \"❤\\xff\", \"c\", \"\\\\d+\")"},
      {"'\\ufffd'", "\"\\ufffd\""},
      {"info(a, {x=~\".*\"})", "info(a, {x=~\".*\"})"},
      {"a # comment\n+ # another\nb", "a + b"},
  };
  for (const Case& c : cases) EXPECT_EQ(print(*parse(c.query)), c.want) << c.query;
}

TEST(Parse, PrintsLongExpressionsOverSeveralLines) {
  const std::string name(60, 'a');
  EXPECT_EQ(print_pretty(*parse("sum(rate(" + name + "[5m]))")), "sum(rate(" + name + "[5m]))");
  EXPECT_EQ(
      print_pretty(*parse("sum by (x) (rate(" + name + "[5m])) / on(x) topk(3, -(" + name + "))")),
      "  sum by (x) (rate(" + name + "[5m]))\n/ on (x)\n  topk(3, -(" + name + "))");
  EXPECT_EQ(print_pretty(*parse("topk(3, (" + name + " + " + name + "))")),
            "topk(\n  3,\n  (\n      " + name + "\n    +\n      " + name + "\n  )\n)");
}

TEST(Parse, PrintsADeepExpressionInTheTimeOfItsText) {
  const std::string operand = "metric{job=\"" + std::string(200, 'x') + "\"}";
  std::string query = operand;
  for (int i = 0; i < 500; ++i) query += " + " + operand;
  const auto parsed = parse_expression(query);
  ASSERT_TRUE(parsed.ok());
  // Writing out every level only to measure it took minutes.
  const std::string text = print_pretty(**parsed);
  EXPECT_EQ(std::ranges::count(text, '\n'), 1000);
  EXPECT_EQ(print(**parse_expression(text)), print(**parsed));
}

TEST(Parse, KnowsTypesAndWhereThingsStand) {
  const ExprPtr e = parse("1 + sum by (x) (rate(a{b=\"c\"}[5m] offset 1h))");
  EXPECT_EQ(e->type, ValueType::kVector);
  EXPECT_EQ(e->source, (SourceRange{0, 45}));
  EXPECT_EQ(e->depth, 5);
  const auto& sum = as<Aggregate>(*as<Binary>(*e).right);
  EXPECT_EQ(sum.source, (SourceRange{4, 45}));
  const auto& rate = as<Call>(*sum.operand);
  EXPECT_EQ(rate.function.id, FunctionId::kRate);
  EXPECT_EQ(rate.source, (SourceRange{16, 44}));
  const auto& range = as<Range>(*rate.arguments[0]);
  EXPECT_EQ(range.type, ValueType::kMatrix);
  EXPECT_EQ(range.source, (SourceRange{21, 43}));
  EXPECT_EQ(range.range.constant, minutes(5));
  EXPECT_EQ(range.selector->shift.offset.constant, hours(1));
  EXPECT_EQ(range.selector->name, "a");
  EXPECT_EQ(parse("1 < bool 2")->type, ValueType::kScalar);
  EXPECT_EQ(parse("scalar(a)")->type, ValueType::kScalar);
  EXPECT_EQ(parse("(\"a\")")->type, ValueType::kString);
}

TEST(Parse, CompletesMatching) {
  const ExprPtr e = parse("a and b");
  EXPECT_EQ(as<Binary>(*e).matching.cardinality, Cardinality::kManyToMany);
  const ExprPtr one = parse("a + b");
  EXPECT_EQ(as<Binary>(*one).matching.cardinality, Cardinality::kOneToOne);
  const ExprPtr many = parse("a + on(x) group_left(y) b");
  EXPECT_EQ(as<Binary>(*many).matching.cardinality, Cardinality::kManyToOne);
  EXPECT_EQ(as<Binary>(*many).matching.include, std::vector<std::string>{"y"});
}

TEST(Parse, CloneIsAnEqualTreeOfItsOwn) {
  for (const std::string_view query :
       {"-sum by (a) (rate(x{b=\"c\"}[step() + 1m] offset -(2m) @ end())[1h:2m] @ 5)",
        "a + on(b) group_left(c) fill(1) d", "label_join(a, \"b\", \"c\") > bool (1)"}) {
    Result<ExprPtr> original = parse_expression(query, kEverything);
    if (!original.ok()) continue;
    const ExprPtr copy = clone(**original);
    const std::string text = print(**original);
    original = Status(Code::kInvalid, "gone");
    EXPECT_EQ(print(*copy), text);
  }
}

TEST(Duration, ExpressionsAreComputedForTheTimesOfAQuery) {
  const ExprPtr e = parse("a[max_of(step() * 2, 30s):range() / 6] offset -(step() % 7)");
  ASSERT_TRUE(resolve_durations(*e, {.step = seconds(20), .range = minutes(1)}).ok());
  const auto& s = as<Subquery>(*e);
  EXPECT_EQ(s.range.constant, seconds(40));
  EXPECT_EQ(s.step.constant, seconds(10));
  EXPECT_EQ(s.shift.offset.constant, seconds(-6));
}

TEST(Duration, ExpressionsOutOfRangeAreRefusedWithTheirPlace) {
  const auto error = [](std::string_view query) {
    const ExprPtr e = parse(query);
    return resolve_durations(*e, {}).message();
  };
  EXPECT_EQ(error("a[step()]"), "2:8: duration must be greater than 0");
  EXPECT_EQ(error("rate(a[5m-10m])"), "7:13: duration must be greater than 0");
  EXPECT_EQ(error("a offset (5m-10m)"), "");
  EXPECT_EQ(error("a offset (5m/(1-1))"), "10:17: division by zero");
  EXPECT_EQ(error("a offset (5m%step())"), "10:19: modulo by zero");
  EXPECT_EQ(error("a[10^20]"), "2:7: duration is out of range");
  EXPECT_EQ(error("a[(-1)^0.5]"), "2:10: duration is NaN or infinite");
}

}  // namespace
}  // namespace tarsier::query
