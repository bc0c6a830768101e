#include "tracing/probability.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "tracing/policy/randomness_set.h"
#include "tracing/sampling_decision.h"

namespace tarsier::tracing {
namespace {

TEST(Threshold, IsWrittenAsOpenTelemetryWritesIt) {
  const struct {
    double probability;
    const char* text;
  } cases[] = {{1, "0"},        {0.75, "4"},      {2.0 / 3, "5555"}, {0.5, "8"},
               {0.25, "c"},     {0.1, "e666"},    {0.01, "fd70a"},   {0.001, "ffbe77"},
               {1.0 / 16, "f"}, {1.0 / 256, "ff"}};
  for (const auto& c : cases) {
    EXPECT_EQ(encode_threshold(threshold_of(c.probability)), c.text) << c.probability;
  }
}

TEST(Threshold, CountsExactlyWhatItKeeps) {
  const Threshold threshold = threshold_of(0.01);
  EXPECT_NEAR(threshold.adjusted_count(), 100, 0.01);
  EXPECT_DOUBLE_EQ(threshold.adjusted_count() * threshold.probability(), 1);
  EXPECT_EQ(threshold_of(0).value, kRandomnessEnd);
  EXPECT_EQ(threshold_of(2).value, 0u);
  EXPECT_EQ(threshold_of(std::nan("")).value, 0u);
}

TEST(Threshold, SurvivesTheTraceStateItIsWrittenTo) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 1000; ++i) {
    const Threshold threshold =
        threshold_of(std::ldexp(1.0, -static_cast<int>(random() % 50)) * 0.7);
    const auto read = parse_otel_trace_state(with_threshold("a=b", threshold));
    ASSERT_EQ(read.threshold, threshold.value);
  }
}

TEST(TraceState, KeepsWhatOthersWroteWhenTheThresholdChanges) {
  EXPECT_EQ(with_threshold("", Threshold{}), "ot=th:0");
  EXPECT_EQ(with_threshold("v=1, ot=rv:00000000000001;th:c;x:y ,w=2", threshold_of(0.5)),
            "ot=th:8;rv:00000000000001;x:y,v=1,w=2");
  EXPECT_EQ(with_threshold("v=1,ot=th:c", std::nullopt), "v=1");
  EXPECT_EQ(with_threshold("ot=th:c;x:y,v=1", std::nullopt), "ot=x:y,v=1");
}

TEST(DecisionTrigger, HasANameForEachNumber) {
  EXPECT_EQ(trigger_name(DecisionTrigger::kIdle), "idle");
  EXPECT_EQ(trigger_name(static_cast<DecisionTrigger>(99)), "unknown");
}

// Sets are compared with a table of membership over the few places where they can change.
TEST(RandomnessSet, FollowsBooleanAlgebra) {
  std::mt19937_64 random(7);
  const auto draw = [&random] {
    RandomnessSet out = RandomnessSet::none();
    for (int i = 0; i < 3; ++i) {
      const RandomnessSet one = RandomnessSet::from(Threshold{(random() % 17) << 52});
      switch (random() % 3) {
        case 0: out = out | one; break;
        case 1: out = out & one; break;
        default: out = out.complement() | (one & out); break;
      }
    }
    return out;
  };
  for (int round = 0; round < 500; ++round) {
    SCOPED_TRACE(round);
    const RandomnessSet a = draw();
    const RandomnessSet b = draw();
    double both = 0;
    for (std::uint64_t i = 0; i < 16; ++i) {
      const std::uint64_t r = (i << 52) + 5;
      ASSERT_EQ((a | b).contains(r), a.contains(r) || b.contains(r));
      ASSERT_EQ((a & b).contains(r), a.contains(r) && b.contains(r));
      ASSERT_EQ(a.complement().contains(r), !a.contains(r));
      if (a.contains(r) && b.contains(r)) both += 1.0 / 16;
    }
    ASSERT_DOUBLE_EQ((a & b).probability(), both);
    ASSERT_TRUE((a | a.complement()).is_all());
    ASSERT_TRUE((a & a.complement()).is_none());
  }
}

TEST(RandomnessSet, KnowsWhetherItIsAThreshold) {
  const auto half = RandomnessSet::from(threshold_of(0.5));
  EXPECT_EQ(half.threshold()->value, kRandomnessEnd / 2);
  EXPECT_FALSE(half.complement().threshold().has_value());
  EXPECT_FALSE(RandomnessSet::none().threshold().has_value());
  EXPECT_EQ(RandomnessSet::all().threshold()->value, 0u);
  EXPECT_TRUE(RandomnessSet::from(kKeepNone).is_none());
}

}  // namespace
}  // namespace tarsier::tracing
