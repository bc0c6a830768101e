#include "alerting/rule_order.h"

#include <gtest/gtest.h>

#include "tests/alerting/rule_lab.h"

namespace tarsier::alerting {
namespace {

std::vector<RuleBatch> batches(std::vector<RuleDefinition> rules) {
  auto group = compile_group(testing::rule_group(std::move(rules)), {});
  EXPECT_TRUE(group.ok());
  return concurrent_batches(group->rules);
}

using testing::alerting_rule;
using testing::recording;
using Batches = std::vector<RuleBatch>;

TEST(RuleOrder, IndependentRulesRunTogether) {
  EXPECT_EQ(batches({recording("a", "x"), recording("b", "y"), alerting_rule("A", "z")}),
            (Batches{{0, 1, 2}}));
}

TEST(RuleOrder, ChainsRunInThreeSteps) {
  EXPECT_EQ(batches({recording("a", "x"), recording("b", "a"), recording("c", "b"),
                     recording("d", "b + x"), recording("e", "x")}),
            (Batches{{0, 4}, {1}, {2, 3}}));
}

TEST(RuleOrder, RegularExpressionsCount) {
  EXPECT_EQ(batches({recording("job:a", "x"), recording("b", "{__name__=~\"job:.*\"}")}),
            (Batches{{0}, {1}}));
}

TEST(RuleOrder, AlertsDependOnTheRulesTheirNameMatches) {
  EXPECT_EQ(batches({alerting_rule("A", "x"), alerting_rule("B", "y"),
                     alerting_rule("C", "ALERTS{alertname=\"A\"}")}),
            (Batches{{0, 1}, {2}}));
  EXPECT_EQ(batches({alerting_rule("A", "x"), alerting_rule("C", "ALERTS{alertname=\"Z\"}")}),
            (Batches{{0, 1}}));
}

TEST(RuleOrder, ASelectorWithoutANameMakesTheGroupSequential) {
  EXPECT_EQ(batches({recording("a", "x"), recording("b", "{job=\"j\"}"), recording("c", "y")}),
            (Batches{{0}, {1}, {2}}));
}

}  // namespace
}  // namespace tarsier::alerting
