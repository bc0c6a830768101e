#include "alerting/event_history.h"

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::alerting {
namespace {

constexpr StepClock kSteps{};
constexpr const char* kDirectory = "tarsier/slo";

EventSegment segment_of(std::int64_t number) {
  EventSegment out;
  out.key = history_key("x");
  out.segment = number;
  out.events.resize(static_cast<std::size_t>(kSegmentSteps));
  out.events[0].total = static_cast<double>(number);
  return out;
}

TEST(EventHistoryDisk, AFileThatCannotBeReadStaysWhereItIs) {
  testing::FaultyFileSystem files;
  testing::CapturingLogger log;
  for (const std::int64_t segment : {8, 9}) {
    auto history = EventHistory::open(files, kDirectory, kSteps, log);
    ASSERT_TRUE(history.ok() && (*history)->write({segment_of(segment)}).ok());
  }
  files.fail_read(1);
  auto history = EventHistory::open(files, kDirectory, kSteps, log);
  ASSERT_TRUE(history.ok()) << history.status().message();
  EXPECT_TRUE(log.contains("cannot be read"));
  EXPECT_FALSE(log.contains("set aside"));
  EXPECT_TRUE(files.exists("tarsier/slo/events-00000001"));
  EXPECT_FALSE((*history)->find(history_key("x"), 8).has_value());
  EXPECT_TRUE((*history)->find(history_key("x"), 9).has_value());
  // Counted again it has a place of its own, and both are found later.
  ASSERT_TRUE((*history)->write({segment_of(8)}).ok());
  EXPECT_TRUE(files.exists("tarsier/slo/events-00000003"));
  history = EventHistory::open(files, kDirectory, kSteps, log);
  ASSERT_TRUE(history.ok());
  EXPECT_EQ((*history)->file_count(), 3u);
}

TEST(EventHistoryDisk, WhatCannotBeRemovedIsTriedAgain) {
  testing::FaultyFileSystem files;
  testing::CapturingLogger log;
  auto history = EventHistory::open(files, kDirectory, kSteps, log);
  ASSERT_TRUE(history.ok());
  for (const std::int64_t segment : {1, 2, 3}) {
    ASSERT_TRUE((*history)->write({segment_of(segment)}).ok());
  }
  ASSERT_TRUE(files.remove_file("tarsier/slo/events-00000001").ok());
  ASSERT_TRUE((*history)->drop_before(2).ok()) << "what is gone already is no obstacle";
  EXPECT_EQ((*history)->file_count(), 2u);
  files.cut_power_at(files.operation_count() + 1);
  EXPECT_FALSE((*history)->drop_before(4).ok());
  EXPECT_TRUE((*history)->find(history_key("x"), 3).has_value());
}

}  // namespace
}  // namespace tarsier::alerting
