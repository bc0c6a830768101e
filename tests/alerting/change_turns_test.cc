#include "alerting/notifier/change_turns.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/alerting/notifier_station.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::alerting {
namespace {

using testing::simple_config;
using testing::Station;

TEST(ChangeTurns, WhatIsWishedMeanwhileIsDoneTogether) {
  ChangeTurns turns;
  turns.take_turn();
  std::vector<std::thread> threads;
  std::atomic<int> done{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Wish wish{.plan = [](NotifierCore&, Changes&) { return Status(); }, .outcome = {}};
      if (!turns.take_turn(wish)) done += wish.is_done ? 1 : 0;
    });
  }
  std::size_t taken = 0;
  while (taken < 4) {
    const std::vector<Wish*> wishes = turns.take_wishes();
    taken += wishes.size();
    turns.done(wishes);
  }
  for (std::thread& thread : threads) thread.join();
  turns.end_turn();
  EXPECT_EQ(done, 4);
}

TEST(ChangeTurns, AlertsOfManyThreadsAreAllTaken) {
  tarsier::testing::FaultyFileSystem disk;
  Station station(disk);
  NotifierConfig config = simple_config("hook");
  config.root.group_wait = milliseconds(0);
  ASSERT_TRUE(station.start(config).ok());
  std::atomic<int> running{6};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        Alert alert;
        alert.labels = tsdb::Labels{{"alertname", std::to_string(t * 100 + i)}};
        EXPECT_TRUE(station.notifier->post_alerts({alert}, station.now).ok());
      }
      --running;
    });
  }
  while (running > 0) station.notifier->run_due(station.now);
  for (std::thread& thread : threads) thread.join();
  station.notifier->run_due(station.now);
  EXPECT_EQ(station.told.size(), 120u);
  EXPECT_EQ(station.notifier->alerts(station.now).size(), 120u);
}

TEST(NotifierLog, LookingAtGroupsWithNothingToSayTouchesNoDisk) {
  tarsier::testing::FaultyFileSystem disk;
  Station station(disk);
  ASSERT_TRUE(station.start(simple_config("hook")).ok());
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(station.fire(tsdb::Labels{{"alertname", std::to_string(i)}}).ok());
  }
  station.pass(minutes(4));
  ASSERT_EQ(station.told.size(), 50u);
  const std::uint64_t operations = disk.operation_count();
  station.pass(hours(1));
  EXPECT_EQ(disk.operation_count(), operations);
  // What was put off goes out with the next change: after a restart nobody is told too early.
  ASSERT_TRUE(station.fire(tsdb::Labels{{"alertname", "0"}, {"instance", "b"}}).ok());
  station.stop();
  ASSERT_TRUE(station.start(simple_config("hook")).ok());
  EXPECT_EQ(station.told.size(), 50u);
  station.pass(minutes(5));
  EXPECT_EQ(station.told.size(), 51u);
}

}  // namespace
}  // namespace tarsier::alerting
