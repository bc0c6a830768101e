#include "tsdb/db.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/opening.h"

namespace tarsier::tsdb {
namespace {

using Series = std::pair<Labels, std::vector<Sample>>;

Labels series(std::string_view name, std::string_view job) {
  return {{"__name__", name}, {"job", job}};
}

/// A database on a disk in memory, with blocks of ten seconds.
class DbTest : public ::testing::Test {
 protected:
  DbTest() {
    options_.block_range = seconds(10);
    options_.block_range_max = seconds(10);
    options_.wal_segment_bytes = 32 << 10;
    options_.retention = Duration{0};
    open();
  }
  void open() {
    auto db = Db::open(*disk_, "data", options_, log_, &pool_);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
  }
  void open_again() {
    db_.reset();
    open();
  }
  /// Ends the process without a word.
  void crash() {
    auto survivor = disk_->after_process_crash();
    db_.reset();
    disk_ = std::move(survivor);
  }
  AppendOutcome append(const Labels& labels, std::int64_t t, double v) {
    const auto appender = db_->appender();
    const AppendOutcome outcome =
        appender->append(appender->resolve(labels).value(), {Timestamp{t}, v});
    const auto position = appender->commit();
    EXPECT_TRUE(position.ok()) << position.status().message();
    return outcome;
  }
  /// Writes and syncs everything there is.
  void sync() {
    db_->interrupt_sync();
    EXPECT_FALSE(db_->sync_due());
  }
  /// Maintenance, after the log's thread has been there.
  void run_due(std::int64_t now) {
    sync();
    db_->run_due(Timestamp{now});
  }
  std::vector<Series> everything(TimeRange range = {}) {
    SelectHints hints;
    hints.range = range;
    const auto set = db_->querier(range).value()->select({}, hints, nullptr).value();
    std::vector<Series> out;
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns columns;
      EXPECT_TRUE(set->read(i, range, columns).ok());
      std::vector<Sample> samples;
      for (std::size_t k = 0; k < columns.size(); ++k) {
        samples.push_back({Timestamp{columns.times_ms[k]}, columns.values[k]});
      }
      if (!samples.empty()) {
        EXPECT_EQ(set->last_sample(i, range).value(), samples.back());
        out.emplace_back(set->labels(i), samples);
      }
    }
    return out;
  }
  std::uint64_t bytes_below(const std::string& directory) {
    std::uint64_t bytes = 0;
    const std::vector<DirectoryEntry> entries = disk_->list(directory).value();
    for (const DirectoryEntry& entry : entries) {
      const std::string path = join_path(directory, entry.name);
      bytes += entry.is_directory ? bytes_below(path)
                                  : disk_->open_readable(path, Access::kRead).value()->size();
    }
    return bytes;
  }
  /// Three series over `seconds`, one of which ends early.
  void fill(int seconds) {
    for (int s = 0; s < seconds; ++s) {
      const std::int64_t t = s * 1000;
      append(series("up", "a"), t, s);
      append(series("up", "b"), t + 1, s % 3);
      if (s < 5) append(series("up", "early"), t + 2, 0.1 * s);
    }
  }

  std::unique_ptr<testing::FaultyFileSystem> disk_ = std::make_unique<testing::FaultyFileSystem>();
  testing::CapturingLogger log_;
  ThreadPool pool_{{.thread_count = 1}};
  Options options_;
  std::unique_ptr<Db> db_;
};

TEST_F(DbTest, ReplayBringsTheHeadBack) {
  fill(12);
  append(series("odd", "nan"), 11'500, stale_marker());
  append(series("odd", "zero"), 11'500, -0.0);
  const auto before = everything();
  ASSERT_EQ(before.size(), 5u);
  ASSERT_TRUE(db_->close().ok());
  db_.reset();
  open();
  EXPECT_EQ(everything(), before);
  EXPECT_EQ(append(series("up", "a"), 11'000, 11), AppendOutcome::kIgnored);
  EXPECT_EQ(append(series("up", "a"), 11'000, 12), AppendOutcome::kDuplicate);
  EXPECT_EQ(append(series("up", "a"), 12'000, 12), AppendOutcome::kAppended);
  sync();
  crash();
  open();
  EXPECT_EQ(everything().back().second.size(), 5u);
  EXPECT_EQ(append(series("up", "a"), 12'000, 12), AppendOutcome::kIgnored);
}

TEST_F(DbTest, WhatIsNotCompressedIsLoggedAsItIs) {
  db_.reset();
  options_.wal_compression = WalCompression::kNone;
  open();
  for (int i = 0; i < 50; ++i) append(series("up", "a"), 100 * i, 0.1 * i);
  const std::vector<Series> before = everything();
  sync();
  crash();
  open();
  EXPECT_EQ(everything(), before);
}

TEST_F(DbTest, CuttingChangesNoAnswer) {
  fill(14);
  const auto before = everything();
  const auto part = everything({Timestamp{3000}, Timestamp{9000}});
  run_due(100'000);
  EXPECT_TRUE(db_->blocks().empty());  // Not yet one and a half ranges.
  for (int s = 14; s < 20; ++s) append(series("up", "a"), s * 1000, s);
  auto expected = before;
  for (int s = 14; s < 20; ++s) expected[0].second.push_back({Timestamp{s * 1000}, 1.0 * s});
  run_due(100'000);
  ASSERT_EQ(db_->blocks().size(), 1u);
  EXPECT_EQ(db_->blocks()[0].min_time, Timestamp{0});
  EXPECT_EQ(db_->blocks()[0].max_time, Timestamp{10'000});
  EXPECT_EQ(db_->blocks()[0].series_count, 3u);
  EXPECT_EQ(everything(), expected);
  EXPECT_EQ(everything({Timestamp{3000}, Timestamp{9000}}), part);
  EXPECT_EQ(db_->head_statistics(10).series_count, 2u);  // The one that ended is in the block only.
  sync();
  crash();
  open();
  EXPECT_EQ(everything(), expected);
}

TEST_F(DbTest, ABlockWaitsUntilTheLogHasWhatItHolds) {
  fill(20);
  EXPECT_EQ(db_->run_due(Timestamp{100'000}), Timestamp{100'000} + options_.wal_sync_interval);
  EXPECT_TRUE(db_->blocks().empty());
  run_due(100'000);
  EXPECT_EQ(db_->blocks().size(), 1u);
}

TEST_F(DbTest, AQuerierMadeBeforeACutSeesTheSame) {
  fill(20);
  const auto querier = db_->querier({}).value();
  const auto set = querier->select({}, {}, nullptr).value();
  run_due(100'000);
  ASSERT_EQ(db_->blocks().size(), 1u);
  const auto again = querier->select({}, {}, nullptr).value();
  for (const SeriesSet* view : {set.get(), again.get()}) {
    ASSERT_EQ(view->size(), 3u);
    SampleColumns out;
    ASSERT_TRUE(view->read(0, {}, out).ok());
    EXPECT_EQ(out.size(), 20u);
    ASSERT_TRUE(view->read(2, {}, out).ok());
    EXPECT_EQ(out.size(), 25u);
  }
}

TEST_F(DbTest, TheLogIsTruncatedAndStaysReadable) {
  for (int s = 0; s < 300; ++s) {
    const auto appender = db_->appender();
    for (int i = 0; i < 60; ++i) {
      const SeriesRef ref =
          appender->resolve(series("m" + std::to_string(i), std::to_string(s / 20))).value();
      appender->append(ref, {Timestamp{s * 1000}, 0.37 * s * i});
    }
    ASSERT_TRUE(appender->commit().ok());
    if (s % 10 == 9) {
      run_due(s * 1000);
    }
  }
  EXPECT_GT(db_->blocks().size(), 20u);
  const auto before = everything();
  EXPECT_TRUE(log_.contains("Log truncated"));
  sync();
  MetricWriter metrics;
  db_->collect(metrics);
  const std::string size_line =
      "prometheus_tsdb_wal_storage_size_bytes " + std::to_string(bytes_below("data/wal")) + "\n";
  EXPECT_NE(metrics.take().find(size_line), std::string::npos) << size_line;
  sync();
  crash();
  open();
  EXPECT_EQ(everything(), before);
  EXPECT_LT(db_->head_statistics(10).series_count, 400u);
}

/// Looks at a database at every line it logs while it is opened.
class Onlooker final : public Logger {
 public:
  explicit Onlooker(Opening& opening) : Logger(LogLevel::kInfo), opening_(opening) {}
  std::vector<std::string> seen;

 private:
  void write(LogLevel, std::string_view line) override {
    if (line.find("WAL segment loaded") == std::string_view::npos) return;
    const Opening::Segments segments = opening_.segments();
    const Timestamp until = opening_.served_until();
    const auto early = opening_.querier({kMinTimestamp, until - milliseconds(1)});
    const auto set = early.value()->select({}, {}, nullptr).value();
    seen.push_back(std::to_string(segments.first) + " " + std::to_string(segments.current) + " " +
                   std::to_string(segments.last) + ", " + std::to_string(set->size()) +
                   " series until " + std::to_string(until.ms) + ", " +
                   opening_.querier({kMinTimestamp, until}).status().message());
  }
  Opening& opening_;
};

TEST_F(DbTest, BlocksAreReadWhileTheLogIsReplayed) {
  append(series("up", "a"), 1'000, 1);
  append(series("up", "b"), 26'000, 1);
  run_due(30'000);
  ASSERT_EQ(db_->blocks().size(), 1u);
  db_.reset();
  open_again();
  append(series("up", "c"), 27'000, 1);
  sync();
  db_.reset();

  Opening opening;
  Onlooker onlooker(opening);
  EXPECT_EQ(opening.querier({}).status().code(), Code::kUnavailable);
  auto db = Db::open(*disk_, "data", options_, onlooker, &pool_, &opening);
  ASSERT_TRUE(db.ok());
  ASSERT_FALSE(onlooker.seen.empty());
  for (const std::string& seen : onlooker.seen) {
    EXPECT_NE(seen.find(", 1 series until 10000, the log is still being replayed"),
              std::string::npos)
        << seen;
  }
  const Opening::Segments segments = opening.segments();
  EXPECT_LE(segments.first, segments.last);
  EXPECT_EQ(segments.current, segments.last);
  // Nobody keeps a block from being deleted afterwards.
  EXPECT_EQ(opening.querier({kMinTimestamp, Timestamp{1}}).status().code(), Code::kUnavailable);
}

TEST_F(DbTest, RetentionDeletesBlocksByAge) {
  options_.retention = seconds(30);
  open_again();
  fill(100);
  run_due(100'000);
  EXPECT_EQ(db_->blocks().size(), 3u);
  EXPECT_EQ(db_->oldest_time(), Timestamp{60'000});  // The newest ends at 90 s.
}

TEST_F(DbTest, CompactingBlocksChangesNoAnswer) {
  options_.block_range_max = seconds(90);
  open_again();
  fill(200);
  const auto before = everything();
  const auto part = everything({Timestamp{25'000}, Timestamp{65'000}});
  sync();
  auto querier = db_->querier({}).value();
  while (db_->run_due(Timestamp{300'000}) == Timestamp{300'000}) {
    EXPECT_EQ(everything(), before);
  }
  EXPECT_EQ(everything({Timestamp{25'000}, Timestamp{65'000}}), part);
  std::vector<std::pair<std::int64_t, int>> blocks;  // End and level.
  for (const BlockSummary& block : db_->blocks()) {
    blocks.emplace_back(block.max_time.ms / 1000, block.compaction_level);
  }
  EXPECT_EQ(blocks, (std::vector<std::pair<std::int64_t, int>>{{90, 3}, {180, 3}, {190, 1}}));
  auto set = querier->select({}, {}, nullptr).value();  // Made before all this.
  EXPECT_EQ(set->size(), 3u);
  SampleColumns columns;
  ASSERT_TRUE(set->read(0, {}, columns).ok());
  EXPECT_EQ(columns.size(), 200u);
  set.reset();
  querier.reset();
  crash();
  open();
  EXPECT_EQ(everything(), before);
}

TEST_F(DbTest, NoCompactionBeginsOnceMaintenanceIsInterrupted) {
  options_.block_range_max = seconds(90);
  open_again();
  fill(100);
  db_->interrupt_maintenance();
  run_due(100'000);
  EXPECT_EQ(db_->blocks().size(), 9u);
}

TEST_F(DbTest, MetadataSurvives) {
  auto appender = db_->appender();
  const SeriesRef ref = appender->resolve(series("up", "a")).value();
  appender->append(ref, {Timestamp{1}, 1});
  const Metadata metadata{MetricType::kGauge, "seconds", "Is it up?"};
  appender->set_metadata(ref, metadata);
  ASSERT_TRUE(appender->commit().ok());
  appender.reset();
  ASSERT_TRUE(db_->close().ok());
  db_.reset();
  open();
  EXPECT_EQ(db_->metadata(), (std::vector<std::pair<std::string, Metadata>>{{"up", metadata}}));
}

TEST_F(DbTest, RemovesPrometheusShortcutsPastTheLog) {
  ASSERT_TRUE(db_->close().ok());
  db_.reset();
  ASSERT_TRUE(disk_->create_directories("data/chunk_snapshot.000001.0000000123").ok());
  ASSERT_TRUE(write_file_atomically(*disk_, "data/wal/series_state.json", "{}").ok());
  open();
  EXPECT_FALSE(disk_->exists("data/chunk_snapshot.000001.0000000123"));
  EXPECT_FALSE(disk_->exists("data/wal/series_state.json"));
}

TEST_F(DbTest, AFailingLogRefusesCommitsShowsNothingOfThemAndRecovers) {
  append(series("up", "a"), 1000, 1);
  disk_->fail_sync(1);
  Status told;
  {
    const auto appender = db_->appender();
    appender->append(appender->resolve(series("up", "a")).value(), {Timestamp{2000}, 2});
    db_->when_synced(appender->commit().value(), [&](Status status) { told = status; });
    db_->sync_due();
    EXPECT_EQ(told.code(), Code::kUnavailable);
    const auto refused = db_->appender();
    refused->append(refused->resolve(series("up", "a")).value(), {Timestamp{3000}, 3});
    EXPECT_EQ(refused->commit().status().code(), Code::kUnavailable);
  }
  ASSERT_EQ(everything().size(), 1u);
  EXPECT_EQ(everything()[0].second.back().t, Timestamp{2000});
  EXPECT_TRUE(log_.contains("The log cannot be written; new samples are refused"));

  db_->interrupt_sync();  // Which tries once more, without a pause.
  db_->sync_due();
  EXPECT_TRUE(log_.contains("The log can be written again"));
  append(series("up", "a"), 4000, 4);
  sync();
  crash();
  open();
  EXPECT_EQ(everything()[0].second.size(), 3u);
}

TEST_F(DbTest, ADirectoryHasOneProcess) {
  EXPECT_EQ(Db::open(*disk_, "data", options_, log_, nullptr).status().code(), Code::kUnavailable);
}

TEST_F(DbTest, TellsOfItselfUnderPrometheusNames) {
  fill(20);
  run_due(100'000);
  MetricWriter writer;
  db_->collect(writer);
  const std::string text = writer.take();
  for (const char* line :
       {"prometheus_tsdb_head_series 2\n", "prometheus_tsdb_blocks_loaded 1\n",
        "prometheus_tsdb_compactions_total 1\n", "prometheus_tsdb_head_max_time 19001\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

}  // namespace
}  // namespace tarsier::tsdb
