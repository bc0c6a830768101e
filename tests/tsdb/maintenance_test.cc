// Background work keeps within its share of the time, and rests while an operator says so.

#include "tsdb/maintenance.h"

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/db.h"
#include "tsdb/sealing.h"

namespace tarsier::tsdb {
namespace {

TEST(Maintenance, RestsInProportionToItsWork) {
  Maintenance three_quarters(75);
  three_quarters.begin("sealing", Timestamp{5}, 100);
  EXPECT_EQ(three_quarters.status().work, "sealing");
  three_quarters.count_series();
  EXPECT_EQ(three_quarters.status().series_done, 1u);
  three_quarters.end(true, 160);
  EXPECT_EQ(three_quarters.rest(160), milliseconds(20'001));
  EXPECT_EQ(three_quarters.rest(170), milliseconds(10'001));
  EXPECT_EQ(three_quarters.rest(180), Duration{});
  EXPECT_EQ(three_quarters.status().work, "");
  EXPECT_EQ(three_quarters.status().steps, 1u);
  EXPECT_EQ(three_quarters.status().seconds, 60);
}

TEST(Maintenance, LookingForWorkCostsNoRest) {
  Maintenance one_percent(1);
  one_percent.begin("sealing", Timestamp{5}, 100);
  one_percent.end(false, 110);
  EXPECT_EQ(one_percent.rest(110), Duration{});
  EXPECT_EQ(one_percent.status().steps, 0u);
  one_percent.begin("sealing", Timestamp{5}, 110);
  one_percent.end(true, 111);
  EXPECT_EQ(one_percent.rest(111), milliseconds(99'001));
}

TEST(Maintenance, AllTheTimeIsNoRest) {
  Maintenance whole(100);
  whole.begin("compaction", Timestamp{5}, 0);
  whole.end(true, 1000);
  EXPECT_EQ(whole.rest(1000), Duration{});
}

TEST(Maintenance, NothingBeginsWhileItIsPaused) {
  Maintenance work(100);
  work.pause();
  EXPECT_TRUE(work.status().is_paused);
  EXPECT_GT(work.rest(1), Duration{});
  work.resume();
  EXPECT_EQ(work.rest(1), Duration{});
}

TEST(Maintenance, WhatRetentionWouldTakeIsSaidBesideAServer) {
  testing::FaultyFileSystem files;
  NullLogger log;
  for (int b = 0; b < 3; ++b) {
    testing::write_block(
        files, "data", testing::test_ulid(b),
        {{Labels{{"a", "1"}},
          testing::samples_between(b * 7'200'000, b * 7'200'000 + 60'000, 15'000)}});
  }
  Options options;
  options.retention = days(1);
  const auto db = Db::open(files, "data", options, log, nullptr).value();
  ASSERT_TRUE(files.create_directories("data/01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation").ok());
  Options wanted = options;
  wanted.retention = hours(3);
  const auto doomed = plan_retention(files, "data", wanted, log);
  ASSERT_TRUE(doomed.ok()) << doomed.status().message();
  ASSERT_EQ(doomed->size(), 1u);
  EXPECT_EQ(doomed->front().path, "data/" + testing::test_ulid(0).to_string());
  EXPECT_TRUE(files.exists("data/01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation"))
      << "the server is still writing it";
}

/// For half a block range after everything was cut, writers that are a little behind are taken.
TEST(Maintenance, CuttingEverythingRefusesNoLateWriter) {
  testing::FaultyFileSystem files;
  NullLogger log;
  Options options;
  options.block_range = seconds(20);
  options.block_range_max = seconds(20);
  options.retention = Duration{0};
  const auto db = Db::open(files, "data", options, log, nullptr).value();
  const auto append = [&](const char* name, std::int64_t t) {
    const auto appender = db->appender();
    const auto outcome =
        appender->append(appender->resolve(Labels{{"__name__", name}}).value(), {Timestamp{t}, 1});
    EXPECT_TRUE(appender->commit().ok());
    return outcome;
  };
  EXPECT_EQ(append("a", 100'000), AppendOutcome::kAppended);
  EXPECT_EQ(append("b", 95'000), AppendOutcome::kAppended);
  const Timestamp now{100'000};
  db->begin_compacting_everything(now);
  db->interrupt_sync();
  EXPECT_FALSE(db->sync_due());
  ASSERT_TRUE(db->compact_everything(now).ok());
  EXPECT_EQ(append("b", 96'000), AppendOutcome::kAppended) << "it was cut up to 100 s";
  EXPECT_NE(append("b", 80'000), AppendOutcome::kAppended) << "too late by any measure";
  db->run_due(now + seconds(11));
  EXPECT_EQ(append("a", 110'000), AppendOutcome::kAppended);
  EXPECT_NE(append("b", 97'000), AppendOutcome::kAppended) << "its time is over";
}

}  // namespace
}  // namespace tarsier::tsdb
