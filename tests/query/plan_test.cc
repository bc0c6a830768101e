// What the planner makes of a query before it sees data.

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "query/engine.h"
#include "query/explain.h"
#include "tests/support/table_storage.h"

namespace tarsier::query {
namespace {

/// The selections of a plan, each as its matchers, in one line.
std::string selections(const std::string& text) {
  testing::TableStorage storage;
  const Engine engine({.binary_fill_modifiers = true}, nullptr);
  const auto prepared = engine.prepare({.text = text});
  CHECK(prepared.ok(), prepared.status().message());
  const Explanation plan = engine.explain(storage, *prepared, false, nullptr).value();
  std::string out;
  for (const ExplainedSelection& s : plan.selections) out += s.matchers;
  return out;
}

std::string first_operator(const std::string& text) {
  testing::TableStorage storage;
  const Engine engine(EngineOptions{}, nullptr);
  const auto prepared = engine.prepare({.text = text});
  CHECK(prepared.ok(), prepared.status().message());
  return engine.explain(storage, *prepared, false, nullptr).value().operators[0].text;
}

TEST(PushMatchers, ReachTheSideThatMayLeaveThemOut) {
  const std::string a = "__name__=\"a\"";
  const std::string b = "__name__=\"b\"";
  const std::string x = "x=\"1\"";
  const std::vector<std::pair<std::string, std::string>> cases = {
      // The many side may, the one side may not: its duplicates are errors.
      {"a * on (x) sum by (x) (b{x=\"1\"})", "{" + a + ", " + x + "}{" + x + ", " + b + "}"},
      // Where the one side can have duplicates, an empty many side would hide them.
      {"a * on (x) b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      {"a * on (x) sum by (x, y) (b{x=\"1\"})", "{" + a + "}{" + x + ", " + b + "}"},
      {"a * on (x) sum without (y) (b{x=\"1\"})", "{" + a + "}{" + x + ", " + b + "}"},
      {"a{x=\"1\"} * on (x) b", "{" + x + ", " + a + "}{" + b + "}"},
      {"sum by (x) (a{x=\"1\"}) * on (x) group_right b",
       "{" + x + ", " + a + "}{" + b + ", " + x + "}"},
      {"a{x=\"1\"} * on (x) group_right b", "{" + x + ", " + a + "}{" + b + "}"},
      // Both sides of a set operator may.
      {"a{x=\"1\"} and b", "{" + x + ", " + a + "}{" + b + ", " + x + "}"},
      {"a unless b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      {"a{x=\"1\"} unless b", "{" + x + ", " + a + "}{" + b + ", " + x + "}"},
      {"a or b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      // Through functions and aggregations that keep the label.
      {"sum by (x) (rate(a[5m])) / on (x) max by (x) (b{x=\"1\"})",
       "{" + a + ", " + x + "}{" + x + ", " + b + "}"},
      {"sum by (y) (rate(a[5m])) / on (x) b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      {"topk by (x) (1, a) * on (x) max by (x) (b{x=\"1\"})",
       "{" + a + ", " + x + "}{" + x + ", " + b + "}"},
      {"topk(1, a) * on (x) b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      // Not where the label does not decide, is made, or a fill value stands in.
      {"a * ignoring (x) b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      {"label_replace(a, \"x\", \"1\", \"y\", \".*\") * on (x) b{x=\"1\"}",
       "{" + a + "}{" + x + ", " + b + "}"},
      {"a * on (x) fill (0) b{x=\"1\"}", "{" + a + "}{" + x + ", " + b + "}"},
      // Nor where series of several names could collide.
      {"rate({y=\"2\"}[5m]) * on (x) b{x=\"1\"}", "{y=\"2\"}{" + x + ", " + b + "}"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(selections(text), want) << text;
}

TEST(FoldConstants, ComputesWhatIsMadeOfNumbers) {
  EXPECT_EQ(first_operator("x > 60 * (2 + 3)"), "x > 300");
  EXPECT_EQ(first_operator("-(1 + 1) * 3"), "-6");
  EXPECT_EQ(first_operator("1 > bool 2"), "0");
  EXPECT_EQ(first_operator("time() - 2 * 30"), "time() - 60");
}

}  // namespace
}  // namespace tarsier::query
