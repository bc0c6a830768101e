// What the sampler promises over whole populations: exact weights, no bias, defaults.

#include "tracing/tail_sampler.h"

#include <cmath>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/tracing/trace_builder.h"

namespace tarsier::tracing {
namespace {

using testing::evidence_of;
using testing::SpanSketch;

struct Outcome {
  double offered = 0;
  double kept = 0;
  double estimated = 0;  ///< Sum of adjusted counts.
  double variance = 0;   ///< Of the estimate: sum of (1-p)/p^2 over the kept.
};

TraceId draw_id(std::mt19937_64& random) { return {random(), random() | 1}; }

TEST(TailSampler, EstimatesEveryClassWithoutBias) {
  OperationTable operations;
  TailSampler sampler(compile_policies(std::string_view(R"([
      {"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}},
      {"name":"slow","type":"and","and":{"and_sub_policy":[
          {"name":"l","type":"latency","latency":{"threshold_ms":50}},
          {"name":"h","type":"probabilistic","probabilistic":{"sampling_percentage":30}}]}},
      {"name":"odd","type":"not","not":{"not_sub_policy":
          {"name":"n","type":"probabilistic","probabilistic":{"sampling_percentage":95}}}},
      {"name":"salted","type":"probabilistic","probabilistic":{"sampling_percentage":10,"hash_salt":"x"}},
      {"name":"rest","type":"probabilistic","probabilistic":{"sampling_percentage":2}}])"))
                          .value(),
                      operations, {});
  std::mt19937_64 random(11);
  std::map<std::string, Outcome> classes;
  const std::map<std::string, SpanSketch> sketches = {
      {"healthy", {}}, {"slow", {.duration_ms = 60}}, {"error", {.status = StatusCode::kError}}};
  for (const auto& [name, sketch] : sketches) {
    const TraceEvidence evidence = evidence_of(sampler, TraceId{1, 1}, {sketch});
    Outcome& outcome = classes[name];
    for (int i = 0; i < 60'000; ++i) {
      const TraceId id = draw_id(random);
      const SamplingDecision decision =
          sampler.decide(evidence, {.id = id, .now = Timestamp{1'000'000}});
      outcome.offered += 1;
      if (!decision.is_kept) continue;
      ASSERT_GE(decision.adjusted_count, 1);
      const double p = 1 / decision.adjusted_count;
      outcome.kept += 1;
      outcome.estimated += decision.adjusted_count;
      outcome.variance += (1 - p) / (p * p);
    }
    EXPECT_NEAR(outcome.estimated, outcome.offered, 4 * std::sqrt(outcome.variance) + 1e-6) << name;
  }
  EXPECT_EQ(classes["error"].kept, classes["error"].offered);
  // Slow: R in [0, 5 %) or above 70 %, and a tenth of the rest: 0.35 + 0.65 / 10.
  EXPECT_NEAR(classes["slow"].kept / 60'000, 0.415, 0.01);
}

TEST(TailSampler, CountsAMillionTracesWithinAPercent) {
  OperationTable operations;
  TailSampler sampler(compile_policies(kDefaultPolicies).value(), operations, {});
  const TraceEvidence evidence = evidence_of(sampler, TraceId{1, 1}, {{}});
  std::mt19937_64 random(12);
  double estimated = 0;
  double variance = 0;
  constexpr int kTraces = 1'000'000;
  for (int i = 0; i < kTraces; ++i) {
    // A minute is 20,000 traces.
    const SamplingDecision decision =
        sampler.decide(evidence, {.id = draw_id(random), .now = Timestamp{i * 3}});
    estimated += decision.adjusted_count;
    if (!decision.is_kept) continue;
    const double p = 1 / decision.adjusted_count;
    variance += (1 - p) / (p * p);
  }
  EXPECT_NEAR(estimated, kTraces, 4 * std::sqrt(variance));
  EXPECT_LT(std::sqrt(variance), 0.0105 * kTraces);
}

TEST(TailSampler, KeepsTheSharesItIsToldTo) {
  for (const double percentage : {0.5, 10.0, 66.0}) {
    for (const char* salt : {"", "pepper"}) {
      SCOPED_TRACE(std::to_string(percentage) + salt);
      OperationTable operations;
      TailSampler sampler(
          compile_policies(
              R"([{"name":"p","type":"probabilistic","probabilistic":{"sampling_percentage":)" +
              std::to_string(percentage) + R"(,"hash_salt":")" + salt + "\"}}]")
              .value(),
          operations, {});
      const TraceEvidence evidence = evidence_of(sampler, TraceId{1, 1}, {{}});
      std::mt19937_64 random(13);
      int kept = 0;
      constexpr int kTraces = 50'000;
      for (int i = 0; i < kTraces; ++i) {
        kept += sampler.decide(evidence, {.id = draw_id(random), .now = Timestamp{1}}).is_kept;
      }
      const double p = percentage / 100;
      EXPECT_NEAR(kept, kTraces * p, 4 * std::sqrt(kTraces * p * (1 - p)));
    }
  }
}

TEST(TailSampler, OnlyRaisesTheSendersThreshold) {
  OperationTable operations;
  TailSampler sampler(
      compile_policies(
          std::string_view(
              R"([{"name":"p","type":"probabilistic","probabilistic":{"sampling_percentage":50}}])"))
          .value(),
      operations, {});
  const auto decide = [&](const std::string& state, TraceId id) {
    return sampler.decide(evidence_of(sampler, id, {{.trace_state = state}}),
                          {.id = id, .now = Timestamp{1}});
  };
  const SamplingDecision stricter = decide("ot=th:c", {1, 0x00f0000000000000});
  EXPECT_EQ(encode_threshold(stricter.threshold.value()), "c") << "sent at 1 in 4";
  EXPECT_EQ(stricter.adjusted_count, 4);
  const SamplingDecision looser = decide("ot=th:4", {1, 0x00f0000000000000});
  EXPECT_EQ(encode_threshold(looser.threshold.value()), "8");
  EXPECT_FALSE(decide("ot=th:4", {1, 0x0070000000000000}).is_kept);
  const SamplingDecision by_rv = decide("ot=rv:90000000000000", {1, 1});
  EXPECT_TRUE(by_rv.is_kept);
  EXPECT_EQ(encode_threshold(by_rv.threshold.value()), "8");
  // What should not be here by its own threshold has a probability nobody knows.
  const SamplingDecision impossible = decide("ot=th:c;rv:90000000000000", {1, 1});
  EXPECT_TRUE(impossible.is_kept);
  EXPECT_EQ(impossible.adjusted_count, 0);
  EXPECT_FALSE(impossible.threshold.has_value());
}

TEST(TailSampler, WritesNoThresholdOnRandomnessOthersDoNotShare) {
  OperationTable operations;
  TailSampler sampler(
      compile_policies(
          std::string_view(
              R"([{"name":"p","type":"probabilistic","probabilistic":{"sampling_percentage":50}}])"))
          .value(),
      operations, {});
  std::mt19937_64 random(14);
  int kept = 0;
  for (int i = 0; i < 200; ++i) {
    // Ids that count up would all share their low bits.
    const TraceId id{0, static_cast<std::uint64_t>(i) + 1};
    const SamplingDecision d =
        sampler.decide(evidence_of(sampler, id, {{}}), {.id = id, .now = Timestamp{1}});
    kept += d.is_kept;
    EXPECT_EQ(d.adjusted_count, d.is_kept ? 2 : 0);
    EXPECT_FALSE(d.threshold.has_value());
    const SamplingDecision flagged =
        sampler.decide(evidence_of(sampler, id, {{.flags = 2}}), {.id = id, .now = Timestamp{1}});
    EXPECT_FALSE(flagged.is_kept) << "the id says it is random, and it is low";
  }
  EXPECT_NEAR(kept, 100, 30);
}

TEST(TailSampler, DefaultsKeepErrorsSlowOnesAndOneOfEachOperation) {
  OperationTable operations;
  TailSampler sampler(compile_policies("[]").value(), operations, {});
  std::mt19937_64 random(15);
  const auto decide = [&](const SpanSketch& sketch, std::int64_t now_ms) {
    const TraceId id = draw_id(random);
    return sampler.decide(evidence_of(sampler, id, {sketch}), {.id = id, .now = Timestamp{now_ms}});
  };
  EXPECT_EQ(decide({.status = StatusCode::kError}, 1).policy, "errors");
  EXPECT_EQ(decide({.duration_ms = 1500}, 1).policy, "slow") << "nothing learned yet";
  // Learns that this operation takes 10 to 20 ms.
  int kept = 0;
  for (int i = 0; i < 5000; ++i) kept += decide({.duration_ms = 10 + random() % 10}, i).is_kept;
  EXPECT_LT(kept, 250);
  const SamplingDecision slow = decide({.duration_ms = 40}, 5000);
  EXPECT_EQ(slow.policy, "slow") << slow.reason;
  EXPECT_EQ(slow.adjusted_count, 1);
  EXPECT_EQ(decide({.name = "GET /rare"}, 6000).policy, "operations");
  int of_minute = 0;
  for (int i = 0; i < 10; ++i)
    of_minute += decide({.name = "GET /rare"}, 7000 + i).policy == "operations";
  EXPECT_EQ(of_minute, 0);
  EXPECT_EQ(decide({.name = "GET /rare"}, 67'000).policy, "operations");
}

TEST(TailSampler, BoostAndPinKeepWithTheirWeight) {
  OperationTable operations;
  TailSampler sampler(
      compile_policies(
          std::string_view(
              R"([{"name":"p","type":"probabilistic","probabilistic":{"sampling_percentage":0}}])"))
          .value(),
      operations, {});
  const TraceEvidence evidence = evidence_of(sampler, {1, 1}, {{.flags = 2}});
  const SamplingDecision boosted = sampler.decide(
      evidence, {.id = {1, 0x00f0000000000000}, .now = Timestamp{1}, .boost = threshold_of(0.25)});
  EXPECT_EQ(boosted.policy, "boost");
  EXPECT_EQ(boosted.adjusted_count, 4);
  EXPECT_EQ(encode_threshold(boosted.threshold.value()), "c");
  const SamplingDecision pinned =
      sampler.decide(evidence, {.id = {1, 1}, .now = Timestamp{1}, .is_pinned = true});
  EXPECT_EQ(pinned.policy, "exemplar");
  EXPECT_EQ(pinned.adjusted_count, 1);
}

TEST(TailSampler, JudgesTheSameWhateverTheOrderOfSpans) {
  std::mt19937_64 random(16);
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    std::vector<SpanSketch> spans;
    for (std::uint64_t i = 1; i <= 8; ++i) {
      spans.push_back({.id = i,
                       .parent = i == 3 ? 0u : 3u,
                       .service = "s" + std::to_string(random() % 3),
                       .name = "n" + std::to_string(random() % 3),
                       .start_ms = 1'000'000 + random() % 100,
                       .duration_ms = random() % 100,
                       .status = random() % 4 == 0 ? StatusCode::kError : StatusCode::kUnset,
                       .trace_state = random() % 2 ? "" : "ot=th:" + std::to_string(random() % 9)});
    }
    OperationTable operations;
    TailSampler sampler(compile_policies("[]").value(), operations, {});
    const TraceEvidence a = evidence_of(sampler, {1, 2}, spans);
    std::shuffle(spans.begin(), spans.end(), random);
    const TraceEvidence b = evidence_of(sampler, {1, 2}, spans);
    EXPECT_EQ(a.conditions, b.conditions);
    EXPECT_EQ(a.operation, b.operation);
    EXPECT_EQ(a.threshold, b.threshold);
    EXPECT_EQ(a.duration_ns(), b.duration_ns());
    EXPECT_EQ(sampler.has_error(a), sampler.has_error(b));
  }
}

TEST(TailSampler, ExplainsEveryVote) {
  OperationTable operations;
  TailSampler sampler(compile_policies("[]").value(), operations, {});
  const auto opinions =
      sampler.explain(evidence_of(sampler, {1, 2}, {{}}), {.id = {1, 2}, .now = Timestamp{1}});
  ASSERT_EQ(opinions.size(), 4u);
  EXPECT_EQ(opinions[0].vote, "not_sampled");
  EXPECT_EQ(opinions[0].detail, "status ERROR: on no span");
  EXPECT_EQ(opinions[1].detail, "took 10 ms, slow is 1 s");
}

}  // namespace
}  // namespace tarsier::tracing
