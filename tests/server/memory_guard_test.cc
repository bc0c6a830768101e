#include "server/memory_guard.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"

namespace tarsier::server {
namespace {

TEST(MemoryGuard, SaysWhenMemoryIsUsedUpAndWhenNoLonger) {
  testing::CapturingLogger log;
  std::vector<bool> said;
  MemoryGuard guard(1'000'000, [&](bool is_full) { said.push_back(is_full); }, log);
  for (const std::uint64_t bytes : {900'000u, 949'999u, 950'000u, 940'000u, 1'200'000u, 919'999u}) {
    guard.observe(bytes);
  }
  EXPECT_EQ(said, (std::vector<bool>{true, false}));
  EXPECT_TRUE(log.contains("Memory is used up"));
  EXPECT_TRUE(log.contains("limit_bytes=1000000"));
}

TEST(MemoryGuard, WithoutALimitMemoryIsNeverFull) {
  testing::CapturingLogger log;
  MemoryGuard guard(0, [](bool) { FAIL(); }, log);
  guard.observe(~std::uint64_t{0});
}

TEST(MemoryGuard, MeasuresTheProcessItself) {
  testing::CapturingLogger log;
  MemoryGuard guard(0, [](bool) {}, log);
  EXPECT_GT(guard.run_due(Timestamp{5}), Timestamp{5});
  MetricWriter out;
  guard.collect(out);
  EXPECT_EQ(out.take().find("tarsier_memory_anonymous_bytes 0\n"), std::string::npos);
  EXPECT_GT(available_memory_bytes(), std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace tarsier::server
