#include "tsdb/change_log.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/seed.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

TEST(ChangeLog, KnowsTheOldestTimeSince) {
  ChangeLog log;
  EXPECT_EQ(log.oldest_since(log.version()), kMaxTimestamp);
  log.note(Timestamp{100});
  const std::uint64_t first = log.version();
  log.note(Timestamp{200});
  log.note(Timestamp{150});
  EXPECT_EQ(log.oldest_since(0), Timestamp{100});
  EXPECT_EQ(log.oldest_since(first), Timestamp{150});
  EXPECT_EQ(log.oldest_since(log.version()), kMaxTimestamp);
}

TEST(ChangeLog, IsNeverLaterThanTheTruthAndExactForWhatIsRecent) {
  const std::uint32_t seed = testing::seed_or(3);
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  ChangeLog log;
  std::vector<Timestamp> noted;
  for (int i = 0; i < 20'000; ++i) {
    // Mostly in order, sometimes late.
    const std::int64_t t =
        i * 10 - (random() % 50 == 0 ? static_cast<std::int64_t>(random() % 100'000) : 0);
    log.note(Timestamp{t});
    noted.push_back(Timestamp{t});
    const std::size_t back = 1 + random() % std::min<std::size_t>(noted.size(), 5'000);
    const auto since = noted.size() - back;
    const Timestamp truth =
        *std::min_element(noted.begin() + static_cast<std::ptrdiff_t>(since), noted.end());
    const Timestamp told = log.oldest_since(since);
    ASSERT_LE(told, truth);
    if (back < 400) {
      ASSERT_EQ(told, truth) << back << " back of " << noted.size();
    }
  }
}

TEST(ChangeLog, OfADatabaseHasAppendsDeletionsAndBlocks) {
  testing::FaultyFileSystem disk;
  NullLogger logger;
  Options options;
  options.block_range = seconds(10);
  options.retention = Duration{0};
  const auto db = Db::open(disk, "data", options, logger, nullptr).value();
  const ChangeLog& log = *db->changes();
  const auto append = [&](std::int64_t t) {
    const auto appender = db->appender();
    const SeriesRef ref = appender->resolve({{"__name__", "x"}}).value();
    EXPECT_EQ(appender->append(ref, {Timestamp{t}, 1}), AppendOutcome::kAppended);
    EXPECT_TRUE(appender->commit().ok());
  };
  std::uint64_t before = log.version();
  append(1'000);
  EXPECT_EQ(log.oldest_since(before), Timestamp{1'000});
  before = log.version();
  append(2'000);
  EXPECT_EQ(log.oldest_since(before), Timestamp{2'000});
  before = log.version();
  ASSERT_TRUE(
      db->delete_series({Matcher::equal("__name__", "x")}, {Timestamp{1'500}, Timestamp{2'500}})
          .ok());
  EXPECT_LE(log.oldest_since(before), Timestamp{1'500});
  append(30'000);
  before = log.version();
  db->interrupt_sync();
  db->sync_due();
  db->run_due(Timestamp{31'000});
  ASSERT_FALSE(db->blocks().empty());
  EXPECT_LE(log.oldest_since(before), db->blocks().front().min_time);
}

}  // namespace
}  // namespace tarsier::tsdb
