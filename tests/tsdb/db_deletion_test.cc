// Deleting through the database: gone at once, gone after any restart, and nothing else gone.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

using Contents = std::map<std::string, std::vector<std::int64_t>>;

class DbDeletionTest : public ::testing::Test {
 protected:
  DbDeletionTest() {
    options_.block_range = seconds(10);
    options_.block_range_max = seconds(10);
    options_.wal_segment_bytes = 32 << 10;
    options_.retention = Duration{0};
    open();
  }
  void open() {
    auto db = Db::open(*disk_, directory_, options_, log_, nullptr);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
  }
  /// An empty database on an empty disk.
  void start_anew() {
    db_.reset();
    disk_ = std::make_unique<FaultyFileSystem>();
    open();
  }
  void crash(bool loses_power) {
    auto survivor = loses_power ? disk_->after_power_cut(7) : disk_->after_process_crash();
    db_.reset();
    disk_ = std::move(survivor);
    open();
  }
  void append(const std::string& name, std::int64_t t) {
    const auto appender = db_->appender();
    const SeriesRef ref = appender->resolve({{"__name__", name}}).value();
    ASSERT_EQ(appender->append(ref, {Timestamp{t}, 1.0}), AppendOutcome::kAppended);
    ASSERT_TRUE(appender->commit().ok());
  }
  /// A sample of each name every second.
  void fill(std::int64_t min, std::int64_t max) {
    for (std::int64_t t = min; t < max; t += 1000) {
      append("a", t);
      append("b", t);
    }
  }
  void sync() {
    db_->interrupt_sync();
    ASSERT_FALSE(db_->sync_due());
  }
  void run_due() {
    sync();
    while (db_->run_due(Timestamp{0}) <= Timestamp{0}) {
    }
  }
  void erase(const std::string& name, std::int64_t min, std::int64_t max) {
    const auto position =
        db_->delete_series({Matcher::equal("__name__", name)}, {Timestamp{min}, Timestamp{max}});
    ASSERT_TRUE(position.ok()) << position.status().message();
  }
  Contents everything(TimeRange range = {}) {
    SelectHints hints;
    hints.range = range;
    return contents_of(*db_->querier(range).value()->select({}, hints, nullptr).value(), range);
  }
  static Contents contents_of(const SeriesSet& set, TimeRange range = {}) {
    Contents out;
    for (std::size_t i = 0; i < set.size(); ++i) {
      SampleColumns columns;
      EXPECT_TRUE(set.read(i, range, columns).ok());
      const auto last = set.last_sample(i, range).value();
      EXPECT_EQ(last ? last->t.ms : -1, columns.size() == 0 ? -1 : columns.times_ms.back());
      out[std::string(set.label(i, "__name__"))] = columns.times_ms;
    }
    return out;
  }
  static std::vector<std::int64_t> times(std::int64_t min, std::int64_t max) {
    std::vector<std::int64_t> out;
    for (std::int64_t t = min; t < max; t += 1000) out.push_back(t);
    return out;
  }
  static std::vector<std::int64_t> times_but(std::int64_t min, std::int64_t max,
                                             std::int64_t gone_min, std::int64_t gone_max) {
    std::vector<std::int64_t> out;
    for (const std::int64_t t : times(min, max)) {
      if (t < gone_min || t > gone_max) out.push_back(t);
    }
    return out;
  }

  const std::string directory_ = "data";
  Options options_;
  testing::CapturingLogger log_;
  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  std::unique_ptr<Db> db_;
};

TEST_F(DbDeletionTest, GoesFromTheHeadAtOnceAndForGood) {
  fill(0, 10'000);
  erase("a", 3000, 5000);
  const Contents expected = {{"a", times_but(0, 10'000, 3000, 5000)}, {"b", times(0, 10'000)}};
  EXPECT_EQ(everything(), expected);
  sync();
  crash(false);
  EXPECT_EQ(everything(), expected);
  crash(true);
  EXPECT_EQ(everything(), expected);
}

TEST_F(DbDeletionTest, TakesOnlyWhatIsThere) {
  fill(0, 5'000);
  erase("a", -100'000, 100'000);
  append("a", 5'000);  // Inside of what was deleted, but later.
  EXPECT_EQ(everything(), (Contents{{"a", {5'000}}, {"b", times(0, 5'000)}}));
  sync();
  crash(false);
  EXPECT_EQ(everything(), (Contents{{"a", {5'000}}, {"b", times(0, 5'000)}}));
}

TEST_F(DbDeletionTest, HidesASeriesOfWhichNothingIsLeft) {
  fill(0, 5'000);
  erase("a", 0, 4'500);
  EXPECT_EQ(everything(), (Contents{{"b", times(0, 5'000)}}));
  EXPECT_EQ(
      db_->querier({}).value()->label_values("__name__", {Matcher::not_equal("x", "y")}).value(),
      std::vector<std::string>{"b"});
}

TEST_F(DbDeletionTest, LeavesASelectionMadeBeforeAsItWas) {
  fill(0, 5'000);
  const auto querier = db_->querier({}).value();
  const auto set = querier->select({}, {}, nullptr).value();
  erase("a", 0, 10'000);
  EXPECT_EQ(contents_of(*set), (Contents{{"a", times(0, 5'000)}, {"b", times(0, 5'000)}}));
}

TEST_F(DbDeletionTest, GoesWithTheHeadIntoItsBlock) {
  fill(0, 9'000);
  erase("a", 2000, 6000);
  fill(9'000, 17'000);
  run_due();
  ASSERT_EQ(db_->blocks().size(), 1u);
  const Contents expected = {{"a", times_but(0, 17'000, 2000, 6000)}, {"b", times(0, 17'000)}};
  EXPECT_EQ(everything(), expected);
  crash(false);
  EXPECT_EQ(everything(), expected);
  ASSERT_TRUE(db_->clean_tombstones(Timestamp{20'000}).ok());
  EXPECT_EQ(everything(), expected);
  EXPECT_EQ(db_->blocks()[0].sample_count, 15u);
}

TEST_F(DbDeletionTest, GoesFromBlocksForGood) {
  fill(0, 47'000);
  run_due();
  ASSERT_EQ(db_->blocks().size(), 4u);
  erase("a", 5'000, 25'000);
  const Contents expected = {{"a", times_but(0, 47'000, 5'000, 25'000)}, {"b", times(0, 47'000)}};
  EXPECT_EQ(everything(), expected);
  sync();
  crash(true);
  EXPECT_EQ(everything(), expected);
  erase("a", 5'000, 25'000);  // Nothing more to do.
  EXPECT_EQ(everything(), expected);
  ASSERT_TRUE(db_->clean_tombstones(Timestamp{50'000}).ok());
  EXPECT_EQ(everything(), expected);
  std::uint64_t samples = 0;
  for (const BlockSummary& block : db_->blocks()) samples += block.sample_count;
  EXPECT_EQ(samples, 2u * 40 - 21);
  crash(false);
  EXPECT_EQ(everything(), expected);
}

/// The log still has the samples, and only the newest block says that they are old news.
TEST_F(DbDeletionTest, DoesNotBringBackWhatTheNewestBlockHad) {
  fill(0, 17'000);
  run_due();
  ASSERT_EQ(db_->blocks().size(), 1u);
  erase("a", 0, 9'999);
  erase("b", 0, 9'999);
  ASSERT_TRUE(db_->clean_tombstones(Timestamp{20'000}).ok());
  sync();
  const Contents expected = {{"a", times(10'000, 17'000)}, {"b", times(10'000, 17'000)}};
  EXPECT_EQ(everything(), expected);
  crash(false);
  EXPECT_EQ(everything(), expected);
}

TEST_F(DbDeletionTest, DropsABlockOfWhichNothingIsLeft) {
  fill(0, 37'000);
  run_due();
  ASSERT_EQ(db_->blocks().size(), 3u);
  erase("a", 10'000, 19'999);
  erase("b", 10'000, 19'999);
  ASSERT_TRUE(db_->clean_tombstones(Timestamp{50'000}).ok());
  EXPECT_EQ(db_->blocks().size(), 2u);
}

/// A block that was written but could not be opened: what is deleted before it is found, late, must
/// not come back with it.
TEST_F(DbDeletionTest, ReachesBlocksOfCompactionsThatFailedAfterwards) {
  bool has_failed = true;
  int failures = 0;
  for (std::uint64_t read = 1; has_failed; ++read) {
    SCOPED_TRACE("read " + std::to_string(read));
    start_anew();
    fill(0, 27'000);
    run_due();
    erase("a", 3'000, 4'000);
    disk_->fail_read(read);
    has_failed = !db_->clean_tombstones(Timestamp{30'000}).ok();
    disk_->fail_read(0);
    if (has_failed) ++failures;
    erase("b", 5'000, 6'000);
    sync();
    run_due();
    const Contents expected = {{"a", times_but(0, 27'000, 3'000, 4'000)},
                               {"b", times_but(0, 27'000, 5'000, 6'000)}};
    EXPECT_EQ(everything(), expected);
    crash(true);
    EXPECT_EQ(everything(), expected);
  }
  EXPECT_GT(failures, 3);
}

TEST_F(DbDeletionTest, ReachesBlocksOfCutsThatFailedAfterwards) {
  for (std::uint64_t read = 1; read < 10; ++read) {
    SCOPED_TRACE("read " + std::to_string(read));
    start_anew();
    fill(0, 17'000);
    sync();
    disk_->fail_read(read);
    static_cast<void>(db_->run_due(Timestamp{0}));
    disk_->fail_read(0);
    erase("a", 5'000, 6'000);
    sync();
    for (std::int64_t t = 100'000; t < 103'000; t += 1'000) {
      while (db_->run_due(Timestamp{t * 1000}) <= Timestamp{t * 1000}) {
      }
    }
    const Contents expected = {{"a", times_but(0, 17'000, 5'000, 6'000)}, {"b", times(0, 17'000)}};
    EXPECT_EQ(everything(), expected);
    crash(true);
    EXPECT_EQ(everything(), expected);
  }
  EXPECT_TRUE(log_.contains("Cutting a block from the head failed"));
}

/// Where everything is deleted no block is cut, and the next start reads the log from before that
/// time: also of a series that has two numbers there, in segments that a checkpoint would divide.
TEST_F(DbDeletionTest, OfEverythingInAWindowSurvivesTheCheckpoint) {
  append("a", 1'000);
  for (std::int64_t t = 1'000; t < 27'000; t += 1'000) append("b", t);
  run_due();
  ASSERT_EQ(db_->blocks().size(), 2u);
  for (std::int64_t t = 26'001; t < 29'000; ++t) append("b", t);  // Some segments of the log.
  append("a", 29'000);
  sync();
  crash(false);
  erase("a", 20'000, 29'999);
  erase("b", 20'000, 29'999);
  for (std::int64_t t = 30'000; t < 37'000; t += 1'000) append("b", t);
  run_due();
  ASSERT_EQ(db_->blocks().size(), 2u);
  std::vector<std::int64_t> expected_b = times(1'000, 20'000);
  for (const std::int64_t t : times(30'000, 37'000)) expected_b.push_back(t);
  const Contents expected = {{"a", {1'000}}, {"b", expected_b}};
  EXPECT_EQ(everything(), expected);
  crash(false);
  EXPECT_EQ(everything(), expected);
}

TEST_F(DbDeletionTest, SnapshotsAreDatabasesOfTheirOwn) {
  fill(0, 26'000);
  run_due();
  erase("a", 5'000, 22'000);
  const Contents expected = everything();
  const std::string name =
      db_->snapshot(Timestamp{1'785'585'600'000}, Db::SnapshotScope::kEverything).value();
  EXPECT_EQ(name.size(), 33u);
  EXPECT_TRUE(name.starts_with("20260801T120000Z-")) << name;
  const std::string blocks_only =
      db_->snapshot(Timestamp{1'785'585'600'000}, Db::SnapshotScope::kBlocksOnly).value();
  // What happens later does not reach them.
  erase("b", 0, 100'000);
  ASSERT_TRUE(db_->clean_tombstones(Timestamp{50'000}).ok());
  fill(26'000, 60'000);
  run_due();

  auto copy = Db::open(*disk_, "data/snapshots/" + name, options_, log_, nullptr).value();
  EXPECT_EQ(contents_of(*copy->querier({}).value()->select({}, {}, nullptr).value()), expected);
  auto older = Db::open(*disk_, "data/snapshots/" + blocks_only, options_, log_, nullptr).value();
  EXPECT_EQ(contents_of(*older->querier({}).value()->select({}, {}, nullptr).value()),
            (Contents{{"a", times(0, 5'000)}, {"b", times(0, 10'000)}}));
}

TEST_F(DbDeletionTest, ASnapshotSurvivesAPowerCut) {
  fill(0, 26'000);
  run_due();
  const Contents expected = everything();
  const std::string name =
      db_->snapshot(Timestamp{1'785'585'600'000}, Db::SnapshotScope::kEverything).value();
  crash(true);
  auto copy = Db::open(*disk_, "data/snapshots/" + name, options_, log_, nullptr).value();
  EXPECT_EQ(contents_of(*copy->querier({}).value()->select({}, {}, nullptr).value()), expected);
}

}  // namespace
}  // namespace tarsier::tsdb
