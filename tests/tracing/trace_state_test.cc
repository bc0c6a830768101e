#include "tracing/trace_state.h"

#include <gtest/gtest.h>

namespace tarsier::tracing {
namespace {

TEST(TraceState, FindsAMember) {
  EXPECT_EQ(trace_state_member("a=1, b@sys=2 ,c=3", "b@sys"), "2");
  EXPECT_EQ(trace_state_member("a=1,a=2", "a"), "1");
  EXPECT_EQ(trace_state_member("a=1,ab=2", "b"), std::nullopt);
  EXPECT_EQ(trace_state_member("", "a"), std::nullopt);
  EXPECT_EQ(trace_state_member("a,b", "a"), std::nullopt);
}

TEST(TraceState, ReadsThresholdAndRandomness) {
  const OtelTraceState state = parse_otel_trace_state("x=y,ot=th:c;rv:1234567890abcd;zz:1");
  EXPECT_EQ(state.threshold, 0xC0000000000000u);
  EXPECT_EQ(state.randomness, 0x1234567890ABCDu);
  EXPECT_FALSE(state.has_invalid_value);
}

TEST(TraceState, TakesWhatIsNoThresholdAsAbsent) {
  for (const char* bad : {"ot=th:", "ot=th:C", "ot=th:123456789012345", "ot=rv:12", "ot=th:xyz"}) {
    const OtelTraceState state = parse_otel_trace_state(bad);
    EXPECT_FALSE(state.threshold || state.randomness) << bad;
    EXPECT_TRUE(state.has_invalid_value) << bad;
  }
  EXPECT_FALSE(parse_otel_trace_state("th=c").has_invalid_value);
}

TEST(TraceState, AThresholdIsAnExactWeight) {
  EXPECT_EQ(adjusted_count(*parse_otel_trace_state("ot=th:0").threshold), 1.0);
  EXPECT_EQ(adjusted_count(*parse_otel_trace_state("ot=th:8").threshold), 2.0);
  EXPECT_EQ(adjusted_count(*parse_otel_trace_state("ot=th:c").threshold), 4.0);
  EXPECT_EQ(adjusted_count(*parse_otel_trace_state("ot=th:ff").threshold), 256.0);
  EXPECT_EQ(adjusted_count(kSamplingScale - 1), static_cast<double>(kSamplingScale));
}

}  // namespace
}  // namespace tarsier::tracing
