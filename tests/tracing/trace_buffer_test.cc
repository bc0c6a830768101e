#include "tracing/trace_buffer.h"

#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/tracing/buffer_fixture.h"

namespace tarsier::tracing {
namespace {

using testing::append_span;
using testing::batch_of;
using testing::BufferWorld;
using testing::SpanSketch;

constexpr std::string_view kErrorsOnly =
    R"([{"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}}])";

class TraceBufferTest : public ::testing::Test {
 protected:
  void start() {
    const Status status = world_.start();
    ASSERT_TRUE(status.ok()) << status.message();
    world_.buffer->run_due(world_.now);
  }
  TraceBuffer& buffer() { return *world_.buffer; }
  std::uint64_t decided(DecisionTrigger trigger) {
    return buffer().metrics().decided_by_trigger[static_cast<std::size_t>(trigger)].value();
  }

  BufferWorld world_;
};

TEST_F(TraceBufferTest, DecidesACompleteTraceOnceNothingMoreComes) {
  world_.policies = kErrorsOnly;
  start();
  ASSERT_TRUE(world_.send({1, 1}, {{.id = 1}, {.id = 2, .parent = 1}}));
  world_.pass(milliseconds(1500));
  // Another span starts the wait anew.
  ASSERT_TRUE(world_.send({1, 1}, {{.id = 3, .parent = 1, .status = StatusCode::kError}}));
  world_.pass(milliseconds(1900));
  EXPECT_FALSE(world_.sink.has({1, 1}));
  world_.pass(milliseconds(300));
  const auto kept = world_.sink.kept({1, 1});
  EXPECT_EQ(kept.spans.size(), 3u);
  EXPECT_EQ(kept.decision.policy, "errors");
  EXPECT_EQ(kept.decision.trigger, DecisionTrigger::kIdle);
  EXPECT_EQ(buffer().load().undecided_traces, 0u);
}

TEST_F(TraceBufferTest, DecidesWithoutARootAtTheDeadline) {
  world_.policies = kErrorsOnly;
  start();
  ASSERT_TRUE(world_.send({1, 1}, {{.id = 2, .parent = 1, .status = StatusCode::kError}}));
  for (int i = 0; i < 14; ++i) {
    world_.pass(seconds(2));
    // Traffic does not move the deadline.
    ASSERT_TRUE(world_.send({1, 1}, {{.id = 10u + static_cast<unsigned>(i), .parent = 1}}));
  }
  EXPECT_FALSE(world_.sink.has({1, 1}));
  world_.pass(milliseconds(2200));
  EXPECT_EQ(world_.sink.kept({1, 1}).decision.trigger, DecisionTrigger::kTimer);
}

TEST_F(TraceBufferTest, DropsDuplicatesByTraceSpanAndKind) {
  world_.policies = kErrorsOnly;
  start();
  const SpanSketch server{.id = 1, .status = StatusCode::kError};
  const SpanSketch client{.id = 1, .kind = SpanKind::kClient};
  const auto batch = batch_of({1, 1}, {server, client});
  EXPECT_TRUE(buffer().accept(batch).duplicates.empty());
  EXPECT_EQ(buffer().accept(batch).duplicates, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(buffer().accept(batch_of({1, 1}, {{.id = 5, .parent = 1}, client})).duplicates,
            (std::vector<std::uint32_t>{1}));
  EXPECT_TRUE(buffer().accept(batch_of({1, 2}, {server})).duplicates.empty());
  EXPECT_EQ(buffer().metrics().duplicates.value(), 3u);
  // Also among many.
  std::vector<SpanSketch> many;
  for (std::uint64_t i = 0; i < 200; ++i) many.push_back({.id = 1000 + i, .parent = 1});
  EXPECT_TRUE(buffer().accept(batch_of({1, 3}, many)).duplicates.empty());
  EXPECT_EQ(buffer().accept(batch_of({1, 3}, many)).duplicates.size(), 200u);
}

TEST_F(TraceBufferTest, LateSpansFollowTheDecision) {
  world_.policies = kErrorsOnly;
  start();
  ASSERT_TRUE(world_.send({1, 1}, {{.status = StatusCode::kError}}));
  ASSERT_TRUE(world_.send({1, 2}, {{}}));
  world_.pass(seconds(3));
  ASSERT_TRUE(world_.send({1, 1}, {{.id = 7, .parent = 1}}));
  ASSERT_TRUE(world_.send({1, 2}, {{.id = 7, .parent = 1, .status = StatusCode::kError}}));
  world_.pass(milliseconds(200));
  EXPECT_EQ(world_.sink.kept({1, 1}).spans.size(), 2u);
  EXPECT_EQ(world_.sink.kept({1, 1}).decision.policy, "errors");
  EXPECT_FALSE(world_.sink.has({1, 2}));
  EXPECT_EQ(buffer().metrics().late_kept.value(), 1u);
  EXPECT_EQ(buffer().metrics().late_dropped.value(), 1u);
}

TEST_F(TraceBufferTest, TheWaitGrowsWithLateSpansAndShrinksWithout) {
  world_.policies = kErrorsOnly;
  world_.wait_after_root = std::nullopt;
  start();
  EXPECT_EQ(buffer().load().idle_wait, seconds(2));
  std::uint64_t n = 0;
  for (int round = 0; round < 12; ++round) {
    const TraceId id{2, ++n};
    ASSERT_TRUE(world_.send(id, {{}}));
    world_.pass(seconds(5));
    ASSERT_TRUE(world_.send(id, {{.id = 2, .parent = 1}}));
  }
  const Duration grown = buffer().load().idle_wait;
  EXPECT_GT(grown, seconds(4));
  EXPECT_LE(grown, seconds(30));
  for (int round = 0; round < 60; ++round) {
    ASSERT_TRUE(world_.send({3, ++n}, {{}}));
    world_.pass(seconds(10));
  }
  EXPECT_EQ(buffer().load().idle_wait, seconds(1));
}

TEST_F(TraceBufferTest, PinnedTracesAreKept) {
  world_.policies = kErrorsOnly;
  start();
  ASSERT_TRUE(world_.send({1, 1}, {{}}));
  ASSERT_TRUE(world_.send({1, 2}, {{}}));
  const std::vector<TraceId> ids = {{1, 1}, {1, 9}};
  std::vector<PinOutcome> outcomes(2);
  buffer().pin(ids, outcomes);
  EXPECT_EQ(outcomes, (std::vector{PinOutcome::kPinned, PinOutcome::kUnknown}));
  world_.pass(seconds(3));
  EXPECT_EQ(world_.sink.kept({1, 1}).decision.policy, "exemplar");
  const std::vector<TraceId> decided = {{1, 1}, {1, 2}};
  buffer().pin(decided, outcomes);
  EXPECT_EQ(outcomes, (std::vector{PinOutcome::kKept, PinOutcome::kDropped}));
}

TEST_F(TraceBufferTest, ABurningServiceIsSampledMore) {
  world_.policies = kErrorsOnly;
  start();
  buffer().set_boosts({{"payment", 0.5}});
  std::mt19937_64 random(3);
  int offered = 0;
  double estimated = 0;
  for (int i = 0; i < 2000; ++i) {
    const TraceId id{random(), random()};
    const std::string service = i % 2 ? "payment" : "static";
    ASSERT_TRUE(
        world_.send(id, {{.id = 1, .service = "web"}, {.id = 2, .parent = 1, .service = service}}));
    offered += i % 2;
  }
  world_.pass(seconds(3));
  for (const auto& [id, kept] : world_.sink.traces()) {
    EXPECT_EQ(kept.decision.policy, "boost");
    EXPECT_EQ(kept.decision.adjusted_count, 2);
    estimated += kept.decision.adjusted_count;
  }
  EXPECT_NEAR(estimated, offered, 4 * std::sqrt(offered));
}

TEST_F(TraceBufferTest, KeptSpansSayWithWhichThresholdTheyWereKept) {
  world_.policies = kErrorsOnly;
  start();
  buffer().set_boosts({{"payment", 0.5}});
  constexpr std::uint32_t kRandom = 2;
  const std::string sent = "ot=th:4;rv:ffffffffffffff,vendor=1";
  const TraceId high{1, 0x00FFFFFFFFFFFFFF};  // Its randomness is above every threshold.
  ASSERT_TRUE(world_.send(high, {{.id = 1, .service = "payment", .flags = kRandom},
                                 {.id = 2, .parent = 1, .service = "payment"}}));
  ASSERT_TRUE(world_.send({2, 1}, {{.id = 1, .service = "payment", .trace_state = sent}}));
  // Nobody says that this id is random: what was kept of it cannot be told by a threshold.
  ASSERT_TRUE(world_.send({3, 1}, {{.status = StatusCode::kError}}));
  world_.pass(seconds(3));
  EXPECT_EQ(world_.sink.kept(high).trace_states[1], "ot=th:8");
  EXPECT_EQ(world_.sink.kept(high).trace_states[2], "ot=th:8");
  EXPECT_EQ(world_.sink.kept({2, 1}).trace_states[1], "ot=th:8;rv:ffffffffffffff,vendor=1");
  EXPECT_EQ(world_.sink.kept({3, 1}).trace_states[1], "");
  ASSERT_TRUE(world_.send(high, {{.id = 7, .parent = 1, .trace_state = "ot=th:c"},
                                 {.id = 8, .parent = 1, .trace_state = "vendor=2"}}));
  world_.pass(milliseconds(200));
  EXPECT_EQ(world_.sink.kept(high).trace_states[7], "ot=th:c") << "a stricter one stays";
  EXPECT_EQ(world_.sink.kept(high).trace_states[8], "ot=th:8,vendor=2");
}

TEST_F(TraceBufferTest, AThresholdThatIsNoLongerTrueIsErased) {
  // What a budget keeps has nothing to do with randomness.
  world_.policies =
      R"([{"name":"few","type":"rate_limiting","rate_limiting":{"spans_per_second":10}}])";
  start();
  ASSERT_TRUE(world_.send({1, 5}, {{.trace_state = "ot=th:4;rv:ffffffffffffff,vendor=1"}}));
  world_.pass(seconds(3));
  EXPECT_EQ(world_.sink.kept({1, 5}).trace_states[1], "ot=rv:ffffffffffffff,vendor=1");
}

TEST_F(TraceBufferTest, SpansComeBackFromTheLogWhenMemoryIsShort) {
  world_.policies = kErrorsOnly;
  world_.options.memory_bytes_max = 1 << 20;
  start();
  std::vector<TraceId> failed;
  const std::string text(3000, 'x');
  for (std::uint64_t i = 1; i <= 400; ++i) {
    const bool is_error = i % 10 == 0;
    ASSERT_TRUE(world_.send({7, i}, {{.status = is_error ? StatusCode::kError : StatusCode::kUnset,
                                      .also = [&](SpanWriter& s) { s.attribute("text", text); }}}));
    if (is_error) failed.push_back({7, i});
    EXPECT_LE(buffer().load().memory_bytes, 1u << 20);
  }
  std::size_t seen = 0;
  buffer().visit_newest(1000, [&](const KeptTrace& trace) { seen += trace.spans.size(); });
  EXPECT_EQ(seen, 400u) << "queries see them all the same";
  world_.pass(seconds(3));
  EXPECT_EQ(world_.sink.traces().size(), failed.size());
  for (const TraceId id : failed) EXPECT_EQ(world_.sink.kept(id).spans.size(), 1u);
  EXPECT_EQ(buffer().metrics().spans_lost.value(), 0u);
  EXPECT_EQ(buffer().load().memory_bytes, 0u) << "all is given back";
}

TEST_F(TraceBufferTest, ARequestOfManyTracesIsReadAgainOnce) {
  world_.policies = R"([{"name":"all","type":"always_sample"}])";
  start();
  const std::string text(1000, 'x');
  for (std::uint64_t n = 0; n < 20; ++n) {
    RequestWriter request;
    for (std::uint64_t i = 1; i <= 64; ++i) {
      append_span(request, {n * 100 + i, i},
                  {.also = [&](SpanWriter& s) { s.attribute("text", text); }});
    }
    ASSERT_TRUE(world_.send(SpanBatch::decode(request.take()).value()));
  }
  world_.pass(seconds(3));
  EXPECT_EQ(world_.sink.traces().size(), 20u * 64);
  MetricWriter metrics;
  buffer().collect(metrics);
  const std::string metric = "tarsier_sampling_read_again_batches_total ";
  const std::string shown = metrics.take();
  const std::size_t at = shown.find("\n" + metric);
  ASSERT_NE(at, std::string::npos);
  const int count = std::stoi(shown.substr(at + 1 + metric.size()));
  EXPECT_LE(count, 20) << "the last quarter of each, which left memory early";
}

TEST_F(TraceBufferTest, ASmallSpanDoesNotHoldALargeRequest) {
  world_.policies = kErrorsOnly;
  start();
  RequestWriter request;
  const std::string text(10'000, 'x');
  for (std::uint64_t i = 1; i <= 99; ++i) {
    append_span(request, {8, i}, {.also = [&](SpanWriter& s) { s.attribute("text", text); }});
  }
  // Without a root it waits for the deadline.
  append_span(request, {8, 100}, {.id = 2, .parent = 1, .status = StatusCode::kError});
  ASSERT_TRUE(world_.send(SpanBatch::decode(request.take()).value()));
  EXPECT_GT(buffer().load().resident_bytes, 1'000'000u);
  world_.pass(seconds(3));
  EXPECT_EQ(buffer().load().undecided_traces, 1u);
  EXPECT_EQ(buffer().load().resident_bytes, 0u);
  world_.pass(seconds(28));
  EXPECT_EQ(world_.sink.kept({8, 100}).spans.size(), 1u);
}

TEST_F(TraceBufferTest, UnderPressureDecidesEarlyAndKeepsEveryError) {
  world_.policies = kErrorsOnly;
  world_.options.memory_bytes_max = 2 << 20;
  start();
  std::size_t refused = 0;
  std::size_t sent_errors = 0;
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    const bool is_error = i % 50 == 0;
    const bool is_taken = world_.send(
        {9, i},
        {{.id = 1},
         {.id = 2, .parent = 1, .status = is_error ? StatusCode::kError : StatusCode::kUnset}});
    if (!is_taken) ++refused;
    if (is_taken && is_error) ++sent_errors;
    if (i % 200 == 0) world_.pass(milliseconds(100));
    ASSERT_LE(buffer().load().memory_bytes, 2u << 20);
  }
  world_.pass(seconds(3));
  EXPECT_EQ(refused, 0u);
  EXPECT_GT(decided(DecisionTrigger::kMemory), 1000u);
  EXPECT_EQ(world_.sink.traces().size(), sent_errors);
}

TEST_F(TraceBufferTest, AKeptTraceIsVisibleUntilTheStoreHasIt) {
  world_.policies = kErrorsOnly;
  start();
  world_.sink.fail(true);
  const auto seen = [&](TraceId id) {
    std::size_t found = 0;
    std::size_t newest = 0;
    buffer().find(id, [&](const KeptTrace& trace) { found += trace.spans.size(); });
    buffer().visit_newest(10, [&](const KeptTrace& trace) {
      if (trace.trace_id == id) newest += trace.spans.size();
    });
    EXPECT_EQ(found, newest);
    return found;
  };
  ASSERT_TRUE(
      world_.send({9, 1}, {{.id = 1, .status = StatusCode::kError}, {.id = 2, .parent = 1}}));
  ASSERT_TRUE(world_.send({9, 2}, {{.id = 1}}));
  world_.pass(seconds(5));
  EXPECT_EQ(buffer().load().undecided_traces, 0u);
  EXPECT_EQ(seen({9, 1}), 2u);
  EXPECT_EQ(seen({9, 2}), 0u) << "dropped";
  // A late span waits in the buffer again, beside those on their way.
  ASSERT_TRUE(world_.send({9, 1}, {{.id = 3, .parent = 1}}));
  EXPECT_EQ(seen({9, 1}), 3u);
  world_.pass(seconds(5));
  EXPECT_EQ(seen({9, 1}), 3u);
  world_.sink.fail(false);
  world_.pass(seconds(1));
  EXPECT_EQ(seen({9, 1}), 0u);
  EXPECT_EQ(world_.sink.traces().at({9, 1}).spans.size(), 3u);
}

TEST_F(TraceBufferTest, RefusesRatherThanLoses) {
  world_.policies = kErrorsOnly;
  world_.options.memory_bytes_max = 1 << 20;
  start();
  world_.sink.fail(true);
  std::vector<TraceId> acknowledged;
  std::size_t refused = 0;
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    if (world_.send({10, i}, {{.status = StatusCode::kError}})) {
      acknowledged.push_back({10, i});
    } else {
      ++refused;
    }
    if (i % 50 == 0) world_.pass(milliseconds(100));
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(buffer().metrics().busy.value(), 100u);
  const SpanAdmission admission = buffer().accept(batch_of({10, 6000}, {{}}));
  ASSERT_TRUE(admission.retry_after);
  EXPECT_GE(*admission.retry_after, seconds(1));
  EXPECT_LE(*admission.retry_after, seconds(3));
  world_.sink.fail(false);
  world_.pass(seconds(31));
  for (const TraceId id : acknowledged) ASSERT_TRUE(world_.sink.has(id));
  EXPECT_TRUE(world_.send({10, 7000}, {{}})) << "and then accepts again";
}

TEST_F(TraceBufferTest, GiantsAreDecidedAndGoOnInPieces) {
  world_.policies = kErrorsOnly;
  world_.options.trace_spans_max = 1000;
  start();
  std::vector<SpanSketch> many;
  for (std::uint64_t i = 1; i <= 1500; ++i) {
    many.push_back({.id = i, .parent = i == 1 ? 0u : 1u, .status = StatusCode::kError});
  }
  ASSERT_TRUE(world_.send({11, 1}, many));
  world_.pass(milliseconds(200));
  EXPECT_EQ(decided(DecisionTrigger::kSize), 1u);
  EXPECT_EQ(world_.sink.kept({11, 1}).spans.size(), 1500u);
  for (SpanSketch& span : many) span.id += 10'000;
  ASSERT_TRUE(world_.send({11, 1}, many));
  world_.pass(milliseconds(200));
  EXPECT_EQ(world_.sink.kept({11, 1}).spans.size(), 3000u) << "what follows follows";
}

TEST_F(TraceBufferTest, TracesAboveTheirLimitOfBytesAreDroppedAtOnce) {
  world_.policies = R"([{"name":"all","type":"always_sample"}])";
  world_.trace_bytes_max = 2000;
  start();
  ASSERT_TRUE(world_.send(
      {12, 1}, {{.also = [](SpanWriter& s) { s.attribute("t", std::string(3000, 'x')); }}}));
  ASSERT_TRUE(world_.send({12, 2}, {{}}));
  world_.pass(seconds(3));
  EXPECT_FALSE(world_.sink.has({12, 1}));
  EXPECT_TRUE(world_.sink.has({12, 2}));
  EXPECT_EQ(world_.decisions->recall({12, 1})->decision.policy, "maximum_trace_size_bytes");
}

TEST_F(TraceBufferTest, ReleasesAtOnceWhatCannotChangeInSpanIngest) {
  world_.policies = kErrorsOnly;
  world_.decides_early = true;
  start();
  ASSERT_TRUE(world_.send({13, 1}, {{.id = 2, .parent = 1, .status = StatusCode::kError}}));
  world_.pass(milliseconds(200));
  EXPECT_EQ(world_.sink.kept({13, 1}).decision.trigger, DecisionTrigger::kEarly);
  ASSERT_TRUE(world_.send({13, 1}, {{.id = 1}}));
  world_.pass(milliseconds(200));
  EXPECT_EQ(world_.sink.kept({13, 1}).spans.size(), 2u);
}

TEST_F(TraceBufferTest, SegmentsGoWhenAllTheirTracesAreDecided) {
  world_.policies = kErrorsOnly;
  world_.options.log_segment_bytes = 4096;
  start();
  for (std::uint64_t i = 1; i <= 300; ++i) {
    ASSERT_TRUE(
        world_.send({14, i}, {{.status = i % 7 ? StatusCode::kUnset : StatusCode::kError}}));
  }
  EXPECT_GT(buffer().load().log_bytes, 10'000u);
  world_.pass(seconds(5));
  EXPECT_LT(buffer().load().log_bytes, 8192u);
  EXPECT_LE(world_.files->list("traces/spans").value().size(), 2u);
}

TEST_F(TraceBufferTest, AFullDiskRefusesAndTheNextWriteGoesOn) {
  world_.policies = kErrorsOnly;
  start();
  ASSERT_TRUE(world_.send({15, 1}, {{.status = StatusCode::kError}}));
  world_.files->fill_disk_after(10);
  EXPECT_FALSE(world_.send({15, 2}, {{.status = StatusCode::kError}}));
  EXPECT_TRUE(buffer().accept(batch_of({15, 3}, {{}})).retry_after.has_value());
  world_.files->fill_disk_after(1 << 30);
  world_.pass(seconds(1));
  EXPECT_TRUE(world_.send({15, 2}, {{.status = StatusCode::kError}})) << "the sender's retry";
  EXPECT_TRUE(world_.send({15, 3}, {{}}));
  world_.pass(seconds(3));
  EXPECT_TRUE(world_.sink.has({15, 1}));
  EXPECT_EQ(world_.sink.kept({15, 2}).spans.size(), 1u);
}

TEST_F(TraceBufferTest, TakesUpWhereTheLastProcessWas) {
  world_.policies = kErrorsOnly;
  start();
  ASSERT_TRUE(world_.send({16, 1}, {{.status = StatusCode::kError}}));
  ASSERT_TRUE(world_.send({16, 2}, {{}}));
  world_.pass(seconds(3));
  ASSERT_TRUE(world_.send({16, 3}, {{.id = 2, .parent = 1, .status = StatusCode::kError}}));
  world_.pass(seconds(10));
  world_.stop();
  world_.files = world_.files->after_process_crash();
  world_.now = world_.now + seconds(19);
  start();
  EXPECT_EQ(buffer().accept(batch_of({16, 3}, {{.id = 2, .parent = 1}})).duplicates.size(), 1u);
  ASSERT_TRUE(world_.send({16, 2}, {{.id = 9, .parent = 1, .status = StatusCode::kError}}));
  EXPECT_FALSE(world_.sink.has({16, 3}));
  world_.pass(milliseconds(1500));
  EXPECT_TRUE(world_.sink.has({16, 3})) << "30 s after its first span, not after the start";
  EXPECT_FALSE(world_.sink.has({16, 2})) << "dropped before the crash, dropped after";
}

TEST_F(TraceBufferTest, ManyThreadsSendAndNothingIsLost) {
  world_.policies = R"([{"name":"all","type":"always_sample"}])";
  world_.options.memory_bytes_max = 8 << 20;
  world_.options.log_segment_bytes = 64 << 10;
  start();
  constexpr std::uint64_t kPerThread = 600;
  std::vector<std::thread> threads;
  std::atomic<int> running{3};
  for (std::uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kPerThread; ++i) {
        // Halves of one trace come from two threads.
        while (true) {
          std::atomic<int> outcome{0};
          const SpanAdmission admission = buffer().accept(
              batch_of({17, i + 1}, {{.id = t + 1, .parent = t}, {.id = t + 100, .parent = 1}}));
          if (admission.retry_after) {
            std::this_thread::yield();
            continue;
          }
          buffer().when_accepted(admission.position,
                                 [&](const Status& status) { outcome = status.ok() ? 1 : 2; });
          while (outcome == 0) std::this_thread::yield();
          ASSERT_EQ(outcome, 1);
          break;
        }
      }
      --running;
    });
  }
  while (running > 0) {
    world_.now = world_.now + milliseconds(50);
    buffer().run_due(world_.now);
    buffer().visit_newest(3, [](const KeptTrace&) {});
  }
  for (std::thread& thread : threads) thread.join();
  world_.pass(seconds(31));
  const auto traces = world_.sink.traces();
  EXPECT_EQ(traces.size(), kPerThread);
  for (const auto& [id, kept] : traces) ASSERT_EQ(kept.spans.size(), 6u);
  EXPECT_EQ(buffer().load().memory_bytes, 0u);
}

}  // namespace
}  // namespace tarsier::tracing
