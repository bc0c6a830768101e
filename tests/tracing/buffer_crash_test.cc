// Kills the process, or cuts the power, at a random operation of a random life of a trace buffer,
// and compares what the next one finds with a model. Promises: what a sender was told is there
// survives the process; the power may cost what came after the last sync; what was kept stays
// findable, decisions are remembered, and no span is invented. TARSIER_CRASH_SEEDS says how many
// seeds.

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/tracing/buffer_fixture.h"

namespace tarsier::tracing {
namespace {

using testing::BufferWorld;
using testing::SpanSketch;

struct ModelTrace {
  std::size_t sent = 0;  ///< Spans acknowledged.
  bool is_error = false;
  bool is_synced = false;    ///< A sync came after the last acknowledgement.
  bool is_doubtful = false;  ///< Some span was sent and not acknowledged.
};

std::size_t seed_count() {
  const char* text = std::getenv("TARSIER_CRASH_SEEDS");
  return text ? std::min<std::size_t>(std::strtoul(text, nullptr, 10), 400) : 120;
}

/// One seed: several lives of a buffer on one disk.
class BufferLife final {
 public:
  explicit BufferLife(unsigned seed) : random_(seed) {
    world_.policies =
        R"([{"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}}])";
    world_.options.log_segment_bytes = 2048;
    world_.decision_options.segment_decisions_max = 25;
    world_.wait_after_root = seconds(1);
    world_.decision_wait = seconds(5);
  }

  void run() {
    ASSERT_TRUE(world_.start().ok());
    for (int life = 0; life < 3; ++life) {
      SCOPED_TRACE(life);
      world_.files->cut_power_at(world_.files->operation_count() + 5 + random_() % 200);
      live();
      const bool is_kill = random_() % 2 == 0;
      const bool was_cut = world_.files->power_is_cut();
      world_.stop();
      // A power cut hits what was unsynced; the death of the process alone loses nothing.
      const bool keeps_all = is_kill && !was_cut;
      world_.files = keeps_all ? world_.files->after_process_crash()
                               : world_.files->after_power_cut(random_());
      if (!keeps_all) world_.sink.lose_unsynced();
      ASSERT_TRUE(world_.start().ok()) << world_.files->describe();
      for (auto& [id, trace] : model_) {
        if (!keeps_all && !trace.is_synced) trace.is_doubtful = true;
        trace.is_synced = true;  // What was found is on the disk for good.
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
    world_.pass(seconds(8));
    check();
  }

 private:
  void live() {
    world_.buffer->run_due(world_.now);
    synced_at_ = world_.now;
    for (int step = 0; step < 120; ++step) {
      if (world_.files->power_is_cut() && random_() % 3 == 0) return;
      send_something();
      if (random_() % 3 == 0) {
        world_.now = world_.now + milliseconds(100 + static_cast<std::int64_t>(random_() % 700));
        const std::uint64_t before = world_.files->operation_count();
        world_.buffer->run_due(world_.now);
        // Every run of the last second's length syncs; this one did if it could.
        if (world_.now - synced_at_ >= world_.options.sync_interval &&
            !world_.files->power_is_cut() && world_.files->operation_count() > before) {
          synced_at_ = world_.now;
          for (auto& [id, trace] : model_) trace.is_synced = true;
        }
      }
    }
  }

  void send_something() {
    const TraceId id{
        7, 1 + random_() % 40 + 40 * (static_cast<std::uint64_t>(world_.now.ms) / 4000 % 50)};
    ModelTrace& trace = model_[id];
    SpanSketch span{.id = ++next_span_, .parent = random_() % 3 ? 1u : 0u};
    if (random_() % 4 == 0 && trace.sent == 0) span.status = StatusCode::kError;
    const bool is_new = trace.sent == 0 && !trace.is_doubtful;
    if (!world_.send(id, {span})) {
      trace.is_doubtful = true;
      return;
    }
    // A decision may have come before: then this span follows it, whatever it is.
    if (is_new) trace.is_error = span.status == StatusCode::kError;
    ++trace.sent;
    trace.is_synced = false;
  }

  void check() {
    const auto kept = world_.sink.traces();
    for (const auto& [id, trace] : model_) {
      const auto found = kept.find(id);
      const std::size_t found_spans = found == kept.end() ? 0 : found->second.spans.size();
      if (trace.is_doubtful) continue;
      if (trace.is_error) {
        EXPECT_EQ(found_spans, trace.sent) << to_hex(id) << " lost spans that were acknowledged";
      }
      if (trace.sent == 0) continue;
      const auto memory = world_.decisions->find(id);
      ASSERT_TRUE(memory.ok()) << memory.status().message();
      EXPECT_TRUE(memory->has_value()) << to_hex(id) << ": its decision is forgotten";
    }
    EXPECT_EQ(world_.buffer->metrics().spans_lost.value(), 0u);
    EXPECT_EQ(world_.buffer->load().undecided_traces, 0u);
  }

  std::mt19937_64 random_;
  BufferWorld world_;
  std::map<TraceId, ModelTrace> model_;
  std::uint64_t next_span_ = 100;
  Timestamp synced_at_ = kMinTimestamp;
};

TEST(BufferCrash, LosesNoAcknowledgedSpanAndForgetsNoDecision) {
  const std::size_t count = seed_count();
  for (unsigned seed = 0; seed < count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    BufferLife(seed).run();
    if (::testing::Test::HasFailure()) return;
  }
  std::cout << count << " seeds\n";
}

}  // namespace
}  // namespace tarsier::tracing
