#include "tracing/traceql/pipeline.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/tracing/span_lab.h"
#include "tracing/store/span_rows.h"
#include "tracing/traceql/parser.h"
#include "tracing/traceql/printer.h"

namespace tarsier::tracing::traceql {
namespace {

using Ids = std::vector<std::uint64_t>;

constexpr std::uint64_t kBase = 1'000'000'000'000'000'000;

/// root(1) shop ─ 2 shop ─ 3 db, error
///              └ 4 pay ─ 5 db        9: its parent is not here
std::vector<LabSpan> small_trace() {
  return {
      {.id = 1,
       .name = "GET /",
       .kind = SpanKind::kServer,
       .start_ns = kBase,
       .duration_ns = 2'000'000'000,
       .attributes = {{"http.status_code", std::int64_t{500}}}},
      {.id = 2,
       .parent = 1,
       .name = "load",
       .start_ns = kBase + 10,
       .duration_ns = 1'000'000'000,
       .attributes = {{"x", std::int64_t{1}}, {"a-1", std::string("dash")}}},
      {.id = 3,
       .parent = 2,
       .service = "db",
       .name = "SELECT",
       .kind = SpanKind::kClient,
       .status = StatusCode::kError,
       .message = "boom",
       .start_ns = kBase + 20,
       .duration_ns = 100'000'000,
       .attributes = {{"x", 2.5}, {"flag", true}},
       .events = {"retry", "give up"}},
      {.id = 4,
       .parent = 1,
       .service = "pay",
       .name = "charge",
       .start_ns = kBase + 30,
       .duration_ns = 500'000'000,
       .attributes = {{"x", std::string("2")}}},
      {.id = 5,
       .parent = 4,
       .service = "db",
       .name = "INSERT",
       .kind = SpanKind::kClient,
       .start_ns = kBase + 40,
       .duration_ns = 300'000'000},
      {.id = 9,
       .parent = 77,
       .service = "lost",
       .name = "orphan",
       .start_ns = kBase + 50,
       .duration_ns = 1},
  };
}

/// Span ids per span set, or the error.
std::string matches(const std::string& query, const std::vector<LabSpan>& spans) {
  SpanLab lab;
  lab.add({.low = 1}, spans);
  WireRows rows(lab.traces());
  const Result<Query> parsed = parse_query(query);
  if (!parsed.ok()) return parsed.status().message();
  PipelineEvaluator evaluator(rows);
  const Result<std::vector<Spanset>> sets = evaluator.run(parsed->pipeline, rows.traces()[0]);
  if (!sets.ok()) return sets.status().message();
  std::string out;
  for (const Spanset& set : *sets) {
    if (!out.empty()) out += " | ";
    for (const std::uint32_t row : set.rows) {
      if (!out.empty() && out.back() != ' ') out += ",";
      out += std::to_string(rows.basics().span_ids[row].value);
    }
    for (const auto& [name, value] : set.attributes) out += " " + name + "=" + display(value);
  }
  return out;
}

TEST(Traceql, SelectsSpans) {
  const struct {
    const char* query;
    const char* expected;
  } cases[] = {
      {"{}", "1,2,3,4,5,9"},
      {"{ true }", "1,2,3,4,5,9"},
      {"{ resource.service.name = \"db\" }", "3,5"},
      {"{ .service.name =~ \"d.|pa\" }", "3,5"},
      {"{ .service.name !~ \"d.\" }", "1,2,4,9"},
      {"{ span.service.name = \"db\" }", ""},
      {"{ name = \"SELECT\" || name = \"INSERT\" }", "3,5"},
      {"{ status = error }", "3"},
      {"{ status != error && kind = client }", "5"},
      {"{ statusMessage = \"boom\" }", "3"},
      {"{ duration > 400ms }", "1,2,4"},
      {"{ duration = 1 }", "9"},
      {"{ .x = 1 }", "2"},
      {"{ .x > 2 }", "3"},
      {"{ .x != 1 }", "3"},
      {"{ .x != \"1\" }", "4"},
      {"{ !(.x = 1) }", "1,3,4,5,9"},
      {"{ .x = nil }", "1,5,9"},
      {"{ .x != nil }", "2,3,4"},
      {"{ .a-1 = \"dash\" }", "2"},
      {"{ .x + 1 = 2 }", "2"},
      {"{ .x * 2 = 5 }", "3"},
      {"{ 7 / 2 = 3 && 7 % 4 = 3 && 2 ^ 3 ^ 2 = 512 && -duration < 0 && .x < 3 }", "2,3"},
      {"{ .flag }", "3"},
      {"{ .flag = true && .flag != false }", "3"},
      {"{ .x }", ""},
      {"{ .x = 1 || .flag && .x = 2.5 }", "3"},
      {"{ parent.resource.service.name = \"pay\" }", "5"},
      {"{ parent.x = 1 }", "3"},
      {"{ parent = nil }", "1"},
      {"{ nestedSetParent < 0 }", "1"},
      {"{ nestedSetParent = 0 }", "9"},
      {"{ nestedSetLeft = 2 && nestedSetRight = 5 }", "2"},
      {"{ span:childCount = 2 }", "1"},
      {"{ span:id = \"0000000000000003\" }", "3"},
      {"{ span:parentID = \"000000000000004d\" }", "9"},
      {"{ rootName = \"GET /\" && rootServiceName = \"shop\" && name = \"load\" }", "2"},
      {"{ traceDuration >= 2s && name = \"load\" }", "2"},
      {"{ trace:id = \"00000000000000000000000000000001\" && .flag }", "3"},
      {"{ event:name = \"retry\" }", "3"},
      {"{ event:name != \"retry\" }", ""},
      {"{ event:name != \"other\" }", "3"},
      {"{ event.word =~ \"w-give.*\" }", "3"},
      {"{ event:timeSinceStart = 5ns && instrumentation:name = \"lab\" }", "3"},
      {"{ instrumentation:version = \"1\" && .flag }", "3"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.query);
    EXPECT_EQ(matches(c.query, small_trace()), c.expected);
  }
}

TEST(Traceql, JoinsSpanSetsByStructure) {
  const struct {
    const char* query;
    const char* expected;
  } cases[] = {
      {"{ name = \"GET /\" } > { true }", "2,4"},
      {"{ name = \"GET /\" } >> { true }", "2,3,4,5"},
      {"{ name = \"GET /\" } >> { resource.service.name = \"db\" }", "3,5"},
      {"{ resource.service.name = \"db\" } < { true }", "2,4"},
      {"{ resource.service.name = \"db\" } << { true }", "1,2,4"},
      {"{ name = \"load\" } ~ { true }", "4"},
      {"{ true } ~ { true }", "2,4"},
      {"{ name = \"GET /\" } &> { true }", "1,2,4"},
      {"{ name = \"load\" } &>> { status = error }", "2,3"},
      {"{ name = \"load\" } &~ { true }", "2,4"},
      {"{ name = \"GET /\" } !> { true }", "1,3,5,9"},
      {"{ name = \"GET /\" } !>> { true }", "1,9"},
      {"{ status = error } !< { true }", "1,3,4,5,9"},
      {"{ status = error } && { name = \"charge\" }", "3,4"},
      {"{ status = error } && { name = \"none\" }", ""},
      {"{ status = error } || { name = \"none\" }", "3"},
      {"{ name = \"load\" } || { name = \"charge\" } && { status = error }", "2,3,4"},
      {"{ name = \"orphan\" } ~ { true }", ""},
      {"({ nestedSetParent < 0 } &>> { status = error }) || ({ nestedSetParent < 0 })", "1,3"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.query);
    EXPECT_EQ(matches(c.query, small_trace()), c.expected);
  }
}

TEST(Traceql, RunsPipelines) {
  const struct {
    const char* query;
    const char* expected;
  } cases[] = {
      {"{ resource.service.name = \"db\" } | { status = error }", "3"},
      {"{ resource.service.name = \"db\" } | count() > 1", "3,5 count()=2"},
      {"{ resource.service.name = \"db\" } | count() > 2", ""},
      {"{ resource.service.name = \"db\" } | avg(duration) = 200ms", "3,5 avg(duration)=200ms"},
      {"{} | max(duration) > 1s | min(.x) = 1", "1,2,3,4,5,9 max(duration)=2s min(.x)=1"},
      {"{} | sum(.x) > 3", "1,2,3,4,5,9 sum(.x)=3.5"},
      {"{ resource.service.name = \"lost\" } | avg(.x) > 0", ""},
      {"{ .x != nil } | by(resource.service.name)",
       "3 by(resource.service.name)=db | 4 by(resource.service.name)=pay | 2 "
       "by(resource.service.name)=shop"},
      {"{} | by(.flag) | count() > 1", "1,2,4,5,9 by(.flag)=nil count()=5"},
      {"{} | by(resource.service.name) | count() > 1 | coalesce()", "1,2,3,5"},
      {"{} | by(name) | { true } > { true }", "structural operators need coalesce() after by()"},
      {"({ status = error } | count() > 0) && { name = \"load\" }", "2,3"},
      {"({ resource.service.name = \"db\" } | count()) > ({ status = error } | count())",
       "1,2,3,4,5,9"},
      {"{} | count() + 1 > 2 * 3", "1,2,3,4,5,9 count()=6"},
      {"{ 1 / 0 = 1 }", "division by zero"},
      {"{ -name = 1 }", "- needs a number"},
      {"{ event:name = event.word }", "two arrays cannot be compared"},
      {"{ status = error } | select(.x, name)", "3"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.query);
    EXPECT_EQ(matches(c.query, small_trace()), c.expected);
  }
}

TEST(Traceql, WalksDeepChainsAndSurvivesCycles) {
  std::vector<LabSpan> chain;
  for (std::uint64_t i = 1; i <= 50'000; ++i) {
    chain.push_back({.id = i, .parent = i - 1, .start_ns = kBase + i, .duration_ns = 1});
  }
  chain.push_back({.id = 60'000, .parent = 60'001, .start_ns = kBase});
  chain.push_back({.id = 60'001, .parent = 60'000, .start_ns = kBase});
  EXPECT_EQ(matches("{ nestedSetParent < 0 } >> { nestedSetLeft = 50000 }", chain), "50000");
  EXPECT_EQ(matches("{ span:id = \"000000000000ea60\" } > { true }", chain), "");
}

// The slow, obvious matcher: one trace, every pair of spans.
class Oracle final {
 public:
  explicit Oracle(const std::vector<LabSpan>& spans) : spans_(spans) {}

  std::set<std::size_t> eval(const Spansets& s) const {
    std::set<std::size_t> out;
    if (s.kind == Spansets::Kind::kFilter) {
      for (std::size_t i = 0; i < spans_.size(); ++i) {
        if (!s.filter || truth(*s.filter, i)) out.insert(i);
      }
      return out;
    }
    const std::set<std::size_t> a = eval(s.operands[0]);
    const std::set<std::size_t> b = eval(s.operands[1]);
    if (s.relation == Relation::kOr || s.relation == Relation::kAnd) {
      if (s.relation == Relation::kAnd && (a.empty() || b.empty())) return {};
      out = a;
      out.insert(b.begin(), b.end());
      return out;
    }
    for (const std::size_t right : b) {
      bool is_related = false;
      for (const std::size_t left : a) {
        if (!stands(left, right, s.relation)) continue;
        is_related = true;
        if (s.form == RelationForm::kUnion) out.insert(left);
      }
      if (is_related != (s.form == RelationForm::kNegated)) out.insert(right);
    }
    return out;
  }

 private:
  std::optional<std::size_t> parent(std::size_t i) const {
    for (std::size_t j = 0; j < spans_.size(); ++j) {
      if (spans_[i].parent != 0 && spans_[j].id == spans_[i].parent) return j;
    }
    return std::nullopt;
  }
  bool hangs_on_root(std::size_t i) const {
    while (spans_[i].parent != 0) {
      const auto up = parent(i);
      if (!up) return false;
      i = *up;
    }
    return true;
  }
  bool is_above(std::size_t above, std::size_t below) const {
    for (auto up = parent(below); up; up = parent(*up)) {
      if (*up == above) return true;
    }
    return false;
  }
  bool stands(std::size_t left, std::size_t right, Relation relation) const {
    if (!hangs_on_root(left) || !hangs_on_root(right)) return false;
    switch (relation) {
      case Relation::kChild: return parent(right) == left;
      case Relation::kParent: return parent(left) == right;
      case Relation::kDescendant: return is_above(left, right);
      case Relation::kAncestor: return is_above(right, left);
      default: return left != right && parent(left) && parent(left) == parent(right);
    }
  }
  bool truth(const Field& f, std::size_t i) const {
    if (f.op == Op::kAnd) return truth(f.operands[0], i) && truth(f.operands[1], i);
    if (f.op == Op::kOr) return truth(f.operands[0], i) || truth(f.operands[1], i);
    if (f.kind == Field::Kind::kUnary) return !truth(f.operands[0], i);
    const LabSpan& span = spans_[i];
    const Attribute& a = f.operands[0].attribute;
    const Static& literal = f.operands[1].value;
    if (a.intrinsic == Intrinsic::kDuration) {
      return number(f.op, static_cast<double>(span.duration_ns),
                    static_cast<double>(literal.number));
    }
    if (a.intrinsic == Intrinsic::kStatus) {
      return (static_cast<std::int64_t>(span.status) == literal.number) == (f.op == Op::kEqual);
    }
    if (a.intrinsic == Intrinsic::kName) return text(f.op, span.name, literal.text);
    if (a.scope == Scope::kResource) return text(f.op, span.service, literal.text);
    const auto found = span.attributes.find(a.name);
    const bool is_there = found != span.attributes.end();
    if (literal.type == StaticType::kNil) return is_there == (f.op == Op::kNotEqual);
    if (!is_there) return false;
    if (const auto* v = std::get_if<std::string>(&found->second)) {
      return literal.type == StaticType::kString && text(f.op, *v, literal.text);
    }
    const auto* v = std::get_if<std::int64_t>(&found->second);
    return v != nullptr && literal.type == StaticType::kInt &&
           number(f.op, static_cast<double>(*v), static_cast<double>(literal.number));
  }
  static bool number(Op op, double a, double b) {
    return op == Op::kEqual      ? a == b
           : op == Op::kNotEqual ? a != b
           : op == Op::kLess     ? a < b
                                 : a > b;
  }
  static bool text(Op op, const std::string& a, const std::string& b) {
    return op == Op::kEqual      ? a == b
           : op == Op::kNotEqual ? a != b
           : op == Op::kLess     ? a < b
                                 : a > b;
  }

  const std::vector<LabSpan>& spans_;
};

class RandomQueries final {
 public:
  explicit RandomQueries(unsigned seed) : random_(seed) {}

  std::vector<LabSpan> trace() {
    std::vector<LabSpan> out;
    const std::size_t count = 1 + pick(14);
    for (std::size_t i = 0; i < count; ++i) {
      LabSpan span{.id = 100 + i, .start_ns = kBase + i, .duration_ns = pick(4)};
      if (i > 0 && pick(8) != 0) span.parent = 100 + pick(i);
      if (pick(12) == 0) span.parent = 999;
      span.service = one({"a", "b", "c"});
      span.name = one({"get", "put"});
      span.status = static_cast<StatusCode>(pick(3));
      if (pick(2) == 0) span.attributes["x"] = static_cast<std::int64_t>(pick(3));
      if (pick(2) == 0) span.attributes["y"] = one({"0", "1"});
      out.push_back(std::move(span));
    }
    return out;
  }
  std::string field(int depth) {
    if (depth > 0 && pick(2) == 0) {
      return "(" + field(depth - 1) + (pick(2) == 0 ? " && " : " || ") + field(depth - 1) + ")";
    }
    if (depth > 0 && pick(5) == 0) return "!(" + field(depth - 1) + ")";
    const std::string any = one({"=", "!=", "<", ">"});
    const std::string equal = one({"=", "!="});
    switch (pick(7)) {
      case 0: return "duration " + any + " " + std::to_string(pick(4)) + "ns";
      case 1: return "status " + equal + " " + one({"error", "ok", "unset"});
      case 2: return "name " + any + " \"" + one({"get", "put"}) + "\"";
      case 3: return "resource.service.name " + any + " \"" + one({"a", "b"}) + "\"";
      case 4: return "span.x " + any + " " + one({"0", "1", "\"1\""});
      case 5: return "span.y " + any + " " + one({"\"0\"", "\"1\"", "1"});
      default: return "." + one({"x", "y"}) + " " + equal + " nil";
    }
  }
  std::string spansets(int depth) {
    if (depth == 0 || pick(3) == 0) return pick(8) == 0 ? "{}" : "{ " + field(2) + " }";
    return "(" + spansets(depth - 1) + " " +
           one({"&&", "||", ">", ">>", "<", "<<", "~", "&>", "&>>", "&<", "&<<", "&~", "!>", "!>>",
                "!<", "!<<", "!~"}) +
           " " + spansets(depth - 1) + ")";
  }

 private:
  std::size_t pick(std::size_t n) { return random_() % n; }
  std::string one(std::vector<std::string> options) { return options[pick(options.size())]; }
  std::mt19937 random_;
};

TEST(Traceql, AgreesWithTheSlowMatcherOnRandomQueries) {
  std::size_t matched = 0;
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    RandomQueries random(seed);
    const std::vector<LabSpan> spans = random.trace();
    const std::string query = random.spansets(3);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + query);
    const Result<Query> parsed = parse_query(query);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    const Result<Query> again = parse_query(print(*parsed));
    ASSERT_TRUE(again.ok() && *again == *parsed) << print(*parsed);
    std::string expected;
    for (const std::size_t i : Oracle(spans).eval(parsed->pipeline[0].spansets)) {
      if (!expected.empty()) expected += ",";
      expected += std::to_string(spans[i].id);
    }
    matched += expected.empty() ? 0 : 1;
    ASSERT_EQ(matches(query, spans), expected);
  }
  EXPECT_GT(matched, 500u);
}

}  // namespace
}  // namespace tarsier::tracing::traceql
