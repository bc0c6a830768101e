// A population of which everything is known goes through buffer and sampler: what is kept must be
// complete where it has to be, and let one compute the rest without bias; also when far more comes
// than memory can hold.

#include <cmath>
#include <iostream>
#include <map>

#include <gtest/gtest.h>

#include "tests/tracing/buffer_fixture.h"
#include "tests/tracing/trace_population.h"

namespace tarsier::tracing {
namespace {

using testing::BufferWorld;
using testing::TracePopulation;

struct Load {
  const char* name;
  std::size_t requests_per_tick;
  std::size_t ticks;
};

class GroundTruth : public ::testing::TestWithParam<Load> {};

TEST_P(GroundTruth, EveryErrorAndSlowTraceIsKeptAndEstimatesAreUnbiased) {
  const Load load = GetParam();
  BufferWorld world;
  // The memory holds what comes at 1x; at 10x it is a tenth.
  world.options.memory_bytes_max = 4 << 20;
  world.options.log_segment_bytes = 1 << 20;
  ASSERT_TRUE(world.start().ok());
  world.buffer->run_due(world.now);
  TracePopulation population({.seed = 42});
  std::uint64_t refused = 0;
  std::uint64_t memory_peak = 0;
  for (std::size_t tick = 0; tick < load.ticks; ++tick) {
    for (std::size_t n = 0; n < load.requests_per_tick; ++n) {
      for (auto& batch : population.draw(static_cast<std::uint64_t>(world.now.ms))) {
        // A sender that is refused comes again.
        while (!world.send(batch)) {
          ++refused;
          ASSERT_LT(refused, 10'000u);
          world.pass(milliseconds(500));
        }
      }
      memory_peak = std::max(memory_peak, world.buffer->load().memory_bytes);
    }
    world.pass(milliseconds(100));
  }
  world.pass(seconds(31));

  const auto kept = world.sink.traces();
  std::map<std::string, std::uint64_t> offered_by_operation;
  std::map<std::string, double> estimated_by_operation;
  std::map<std::string, double> variance_by_operation;
  std::uint64_t incomplete = 0;
  for (const auto& [id, truth] : population.truth()) {
    ++offered_by_operation[truth.operation];
    const auto found = kept.find(id);
    if (truth.is_error || truth.is_slow) {
      ASSERT_TRUE(found != kept.end())
          << to_hex(id) << (truth.is_error ? " failed" : " was slow") << " and is gone";
    }
    if (found == kept.end()) continue;
    if (found->second.spans.size() != truth.span_count) ++incomplete;
    const double m = found->second.decision.adjusted_count;
    ASSERT_GE(m, 1);
    estimated_by_operation[truth.operation] += m;
    variance_by_operation[truth.operation] += (1 - 1 / m) * m * m;
  }
  EXPECT_EQ(incomplete, 0u);
  for (const auto& [operation, offered] : offered_by_operation) {
    EXPECT_NEAR(estimated_by_operation[operation], static_cast<double>(offered),
                4 * std::sqrt(variance_by_operation[operation]) + 1)
        << operation;
  }
  EXPECT_LE(memory_peak, world.options.memory_bytes_max * 11 / 10);
  const TraceBufferMetrics& metrics = world.buffer->metrics();
  EXPECT_EQ(metrics.spans_lost.value(), 0u);
  EXPECT_EQ(world.buffer->load().memory_bytes, 0u);
  std::cout
      << load.name << ": " << population.truth().size() << " traces, " << kept.size()
      << " kept, memory peak " << memory_peak / 1024 << " KiB of "
      << world.options.memory_bytes_max / 1024 << ", refused " << refused << ", decided early "
      << metrics.decided_by_trigger[static_cast<std::size_t>(DecisionTrigger::kMemory)].value()
      << "\n";
}

INSTANTIATE_TEST_SUITE_P(Overload, GroundTruth,
                         ::testing::Values(Load{"1x", 1, 60}, Load{"5x", 5, 40},
                                           Load{"10x", 10, 40}),
                         [](const auto& test) { return "At" + std::string(test.param.name); });

}  // namespace
}  // namespace tarsier::tracing
