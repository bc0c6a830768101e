// What happens to samples that are not newer than their series' newest, and to the full chunks of
// the head, which leave memory for files.

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/db.h"
#include "tsdb/head/head_chunk_files.h"
#include "tsdb/head/late_capture.h"
#include "tsdb/opening.h"

namespace tarsier::tsdb {
namespace {

using Samples = std::map<std::int64_t, double>;
using Contents = std::map<std::string, Samples>;

Labels labels_of(const std::string& name) { return {{"__name__", name}, {"job", "j"}}; }

/// A database with blocks of ten seconds, and a model of what it must hold.
class OutOfOrderTest : public ::testing::Test {
 protected:
  OutOfOrderTest() {
    options_.block_range = seconds(10);
    options_.block_range_max = seconds(10);
    options_.wal_segment_bytes = 32 << 10;
    options_.retention = Duration{0};
    options_.out_of_order_time_window = seconds(60);
    open();
  }
  void open() {
    auto db = Db::open(*disk_, "data", options_, log_, nullptr);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
  }
  void open_again() {
    db_.reset();
    open();
  }
  void crash() {
    auto survivor = disk_->after_process_crash();
    db_.reset();
    disk_ = std::move(survivor);
    open();
  }
  AppendOutcome append(const std::string& name, std::int64_t t, double v) {
    const auto appender = db_->appender();
    const AppendOutcome outcome =
        appender->append(appender->resolve(labels_of(name)).value(), {Timestamp{t}, v});
    EXPECT_TRUE(appender->commit().ok());
    if (outcome == AppendOutcome::kAppended) model_[name].emplace(t, v);
    return outcome;
  }
  void sync() {
    db_->interrupt_sync();
    EXPECT_FALSE(db_->sync_due());
  }
  /// Maintenance until nothing waits for the log any more.
  void run_due() {
    for (int i = 0; i < 8; ++i) {
      sync();
      db_->run_due(Timestamp{now_ms_ += 60'000});
    }
  }
  /// Brings every full chunk to a file.
  void write_head_chunks() {
    for (int i = 0; i < 2; ++i) {
      sync();
      db_->write_head_chunks_due(Timestamp{now_ms_ += 60'000});
    }
    sync();
  }
  Contents contents(TimeRange range = {}) {
    Contents out;
    SelectHints hints;
    hints.range = range;
    const auto querier = db_->querier(range).value();
    const auto set = querier->select({}, hints, nullptr).value();
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns columns;
      EXPECT_TRUE(set->read(i, range, columns).ok());
      Samples& samples = out[std::string(set->label(i, "__name__"))];
      for (std::size_t k = 0; k < columns.size(); ++k) {
        EXPECT_TRUE(k == 0 || columns.times_ms[k - 1] < columns.times_ms[k]);
        samples[columns.times_ms[k]] = columns.values[k];
      }
      const auto last = set->last_sample(i, range).value();
      EXPECT_EQ(last.has_value(), !samples.empty());
      if (!last) continue;
      EXPECT_EQ(last->t.ms, samples.rbegin()->first);
      EXPECT_EQ(last->v, samples.rbegin()->second);
    }
    return out;
  }
  /// Deletes, in the model too.
  void erase(const std::string& name, std::int64_t min, std::int64_t max) {
    const TimeRange range{Timestamp{min}, Timestamp{max}};
    const auto position = db_->delete_series({Matcher::equal("__name__", name)}, range);
    ASSERT_TRUE(position.ok()) << position.status().message();
    EXPECT_GT(position->value, 0u);
    std::erase_if(model_[name],
                  [&](const auto& one) { return range.contains(Timestamp{one.first}); });
    if (model_[name].empty()) model_.erase(name);
  }
  std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    const auto entries = disk_->list("data/" + directory);
    if (!entries.ok()) return names;
    for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
    return names;
  }
  std::string metrics() {
    MetricWriter out;
    db_->collect(out);
    return out.take();
  }
  /// Samples of one series in order, and late ones between them, within one block range.
  void fill(const std::string& name, int count) {
    for (int i = 0; i < count; ++i) append(name, 100'000 + 20 * i, i);
    for (int i = 0; i < count; ++i) append(name, 100'007 + 20 * ((i * 37) % count), -i);
  }

  std::unique_ptr<testing::FaultyFileSystem> disk_ = std::make_unique<testing::FaultyFileSystem>();
  testing::CapturingLogger log_;
  Options options_;
  std::unique_ptr<Db> db_;
  Contents model_;
  std::int64_t now_ms_ = 1'000'000;
};

TEST_F(OutOfOrderTest, TakesWhatIsWithinTheWindow) {
  using enum AppendOutcome;
  EXPECT_EQ(append("a", 100'000, 1), kAppended);
  EXPECT_EQ(append("a", 100'000, 1), kIgnored);
  EXPECT_EQ(append("a", 100'000, 2), kDuplicate);
  EXPECT_EQ(append("a", 99'000, 3), kAppended);
  EXPECT_EQ(append("a", 40'000, 4), kAppended);  // The window is relative to the newest of all.
  EXPECT_EQ(append("a", 39'999, 5), kTooOld);
  EXPECT_EQ(append("b", 50'000, 6), kAppended);  // A series that begins out of order.
  EXPECT_EQ(append("b", 99'500, 7), kAppended);
  EXPECT_EQ(append("b", 20'000, 8), kTooOld);
  EXPECT_EQ(contents(), model_);
  EXPECT_EQ(contents({Timestamp{40'000}, Timestamp{60'000}}),
            (Contents{{"a", {{40'000, 4}}}, {"b", {{50'000, 6}}}}));
  const std::string text = metrics();
  EXPECT_NE(
      text.find("prometheus_tsdb_head_out_of_order_samples_appended_total{type=\"float\"} 3\n"),
      std::string::npos);
  EXPECT_NE(text.find("prometheus_tsdb_too_old_samples_total{type=\"float\"} 2\n"),
            std::string::npos);
}

TEST_F(OutOfOrderTest, KeepsTheFirstOfTwoAtOneTime) {
  append("a", 100'000, 1);
  append("a", 99'000, 2);
  append("a", 99'000, 3);  // Said to be stored, as Prometheus does, and is not.
  EXPECT_EQ(contents(), (Contents{{"a", {{99'000, 2}, {100'000, 1}}}}));
}

TEST_F(OutOfOrderTest, AWindowCanBeOpenedAndClosedLater) {
  ASSERT_TRUE(db_->set_out_of_order_time_window(Duration{0}).ok());
  append("a", 100'000, 1);
  EXPECT_EQ(append("a", 99'000, 1), AppendOutcome::kOutOfOrder);
  EXPECT_EQ(append("a", 20'000, 1), AppendOutcome::kOutOfBounds);
  ASSERT_TRUE(db_->set_out_of_order_time_window(seconds(90)).ok());
  EXPECT_EQ(append("a", 20'000, 1), AppendOutcome::kAppended);
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, AnAppenderMayRefuseIt) {
  append("a", 100'000, 1);
  const auto appender = db_->appender();
  appender->refuse_out_of_order();
  const SeriesRef ref = appender->resolve(labels_of("a")).value();
  EXPECT_EQ(appender->append(ref, {Timestamp{99'000}, 1}), AppendOutcome::kOutOfOrder);
}

TEST_F(OutOfOrderTest, SeriesAreFoundByTheirLateSamplesAlone) {
  append("a", 100'000, 1);
  append("late", 50'000, 2);
  const TimeRange range{Timestamp{45'000}, Timestamp{55'000}};
  EXPECT_EQ(contents(range)["late"], (Samples{{50'000, 2}}));
  const auto querier = db_->querier(range).value();
  const std::vector<Matcher> any = {Matcher::not_equal("x", "y")};
  EXPECT_EQ(querier->label_values("__name__", any).value().back(), "late");
}

TEST_F(OutOfOrderTest, ASelectionDoesNotChange) {
  fill("a", 50);
  const auto querier = db_->querier({}).value();
  const auto set = querier->select({}, {}, nullptr).value();
  const Contents before = model_;
  for (int i = 0; i < 200; ++i) append("a", 99'000 - i, i);
  append("a", 200'000, 1);
  write_head_chunks();
  run_due();
  SampleColumns columns;
  ASSERT_TRUE(set->read(0, {}, columns).ok());
  ASSERT_EQ(columns.size(), before.at("a").size());
  EXPECT_EQ(columns.times_ms.front(), before.at("a").begin()->first);
}

TEST_F(OutOfOrderTest, SurvivesACrash) {
  fill("a", 150);
  fill("b", 20);
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
  fill("c", 40);
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, ATornTailOfItsLogIsCutOff) {
  fill("a", 40);
  sync();
  const Contents whole = model_;
  db_.reset();
  const std::vector<std::string> segments = names_in("wbl");
  const auto file = disk_->open_writable("data/wbl/" + segments.back(), OpenMode::kAppend).value();
  ASSERT_TRUE(file->append(as_bytes("\x01\x10\x00garbage")).ok());
  open();
  EXPECT_EQ(contents(), whole);
  open_again();
  EXPECT_EQ(contents(), whole);
}

TEST_F(OutOfOrderTest, FullChunksAreReadFromFilesAfterARestart) {
  fill("a", 300);
  fill("b", 150);
  write_head_chunks();
  ASSERT_EQ(names_in("chunks_head"), std::vector<std::string>{"000001"});
  EXPECT_EQ(contents(), model_);
  crash();
  EXPECT_EQ(contents(), model_);
  // The same again: nothing grows from start to start.
  const std::string chunks = "prometheus_tsdb_head_chunks ";
  const std::string first = metrics();
  crash();
  const std::string second = metrics();
  EXPECT_EQ(first.substr(first.find(chunks), 30), second.substr(second.find(chunks), 30));
  EXPECT_EQ(contents(), model_);
  fill("c", 150);
  write_head_chunks();
  EXPECT_EQ(names_in("chunks_head"), (std::vector<std::string>{"000001", "000002"}));
  crash();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, ADamagedChunkFileCostsNothingButTime) {
  fill("a", 300);
  write_head_chunks();
  crash();
  fill("b", 300);
  write_head_chunks();
  ASSERT_EQ(names_in("chunks_head").size(), 2u);
  const std::string path = "data/chunks_head/000001";
  std::string bytes = read_file(*disk_, path, 1 << 20).value();
  bytes[60] = static_cast<char>(bytes[60] ^ 1);
  db_.reset();
  ASSERT_TRUE(
      disk_->open_writable(path, OpenMode::kTruncate).value()->append(as_bytes(bytes)).ok());
  open();
  EXPECT_EQ(contents(), model_);
  EXPECT_TRUE(names_in("chunks_head").empty());
  EXPECT_EQ(names_in("tarsier/lost"),
            (std::vector<std::string>{"chunks_head-000001", "chunks_head-000002"}));
  EXPECT_NE(metrics().find("prometheus_tsdb_mmap_chunk_corruptions_total 1\n"), std::string::npos);
}

TEST_F(OutOfOrderTest, IsDeletedAtOnceAndForGood) {
  fill("a", 150);  // Some of it in full chunks, in memory and in files.
  write_head_chunks();
  fill("b", 20);
  append("late", 50'000, 1);  // Without any sample in order.
  append("late", 51'000, 2);
  {
    const auto before = db_->querier({}).value();
    const auto set = before->select({}, {}, nullptr).value();
    erase("a", 100'500, 101'500);
    erase("b", 0, 100'100);
    erase("late", 0, 50'000);
    EXPECT_EQ(contents(), model_);
    SampleColumns columns;  // Who asked before sees what was there.
    ASSERT_TRUE(set->read(2, {}, columns).ok());
    EXPECT_EQ(columns.size(), 2u);
  }
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
  erase("late", 0, 60'000);
  EXPECT_EQ(contents(), model_);
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, WhatComesAfterADeletionStays) {
  fill("a", 150);
  erase("a", 100'500, 101'500);
  append("a", 100'507, 17);
  append("a", 100'800, 18);
  append("a", 110'000, 19);
  append("a", 101'400, 20);
  EXPECT_EQ(contents(), model_);
  write_head_chunks();
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
  for (int i = 0; i < 30; ++i) append("a", 111'000 + 1000 * i, i);
  run_due();
  EXPECT_EQ(contents(), model_);
  crash();
  EXPECT_EQ(contents(), model_);
}

/// Nobody was promised a late sample that only one of the logs has. But once a start has taken it
/// in order, the deletion before it is not to take it when it comes back from a file.
TEST_F(OutOfOrderTest, WhatCameAfterADeletionStaysWhenAFileHasIt) {
  options_.ended_series_idle = seconds(1);
  options_.head_image_interval = Duration{0};
  open_again();
  append("a", 100'000, 1);
  append("now", 108'000, 2);
  erase("a", 101'000, 105'000);
  append("a", 102'000, 3);  // Newer than its series' newest, and too old to go in order.
  sync();
  db_.reset();
  ASSERT_TRUE(disk_->remove_all("data/wbl").ok());
  open();
  ASSERT_EQ(contents(), model_);
  run_due();
  write_head_chunks();
  ASSERT_FALSE(names_in("chunks_head").empty());
  crash();
  EXPECT_EQ(contents(), model_);
  // What was there before another deletion goes with it, wherever it comes from.
  erase("a", 101'500, 102'500);
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
}

/// The file of a chunk that was cut into a block may live on with others in it.
TEST_F(OutOfOrderTest, AChunkThatIsInABlockDoesNotComeBack) {
  fill("a", 300);
  for (int i = 0; i < 30; ++i) append("a", 107'000 + 1000 * i, i);
  for (int i = 0; i < 300; ++i) append("b", 136'001 + i, i);
  write_head_chunks();
  run_due();
  erase("a", 100'000, 106'000);
  sync();
  ASSERT_FALSE(names_in("chunks_head").empty());
  crash();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, ADeletionIsRefusedWhileItsLogIs) {
  append("a", 100'000, 1);
  sync();
  disk_->fail_append(1);
  append("a", 90'000, 2);
  sync();
  const auto position = db_->delete_series({Matcher::equal("__name__", "a")}, {});
  EXPECT_FALSE(position.ok());
  disk_->fail_append(0);
  sync();
  erase("a", 0, 95'000);
  sync();
  crash();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, ADamagedLogIsHelpedOutByChunkFiles) {
  fill("a", 300);
  write_head_chunks();
  crash();  // Another segment behind the one to be damaged.
  db_.reset();
  std::string bytes = read_file(*disk_, "data/wbl/00000000", 1 << 20).value();
  bytes[40] = static_cast<char>(bytes[40] ^ 1);
  ASSERT_TRUE(disk_->open_writable("data/wbl/00000000", OpenMode::kTruncate)
                  .value()
                  ->append(as_bytes(bytes))
                  .ok());
  open();
  const Contents found = contents();
  EXPECT_GE(found.at("a").size(), 300u + 9 * 32);  // All full chunks.
  EXPECT_FALSE(names_in("tarsier/lost").empty());
}

TEST_F(OutOfOrderTest, SnapshotsHaveIt) {
  fill("a", 150);
  append("late", 50'000, 1);
  for (int i = 0; i < 30; ++i) append("a", 104'000 + 1000 * i, i);
  run_due();
  append("a", 120'500, 17);
  append("late", 90'000, 2);
  const Contents expected = model_;
  const std::string name =
      db_->snapshot(Timestamp{now_ms_}, Db::SnapshotScope::kEverything).value();
  append("late", 90'001, 3);
  EXPECT_EQ(contents(), model_);
  db_.reset();
  db_ = Db::open(*disk_, "data/snapshots/" + name, options_, log_, nullptr).value();
  EXPECT_EQ(contents(), expected);
}

TEST_F(OutOfOrderTest, IsCutIntoBlocksThatAreMerged) {
  fill("a", 150);
  append("b", 93'000, 1);
  append("b", 91'000, 2);
  append("b", 81'000, 3);
  write_head_chunks();
  for (int i = 0; i < 30; ++i) append("a", 104'000 + 1000 * i, i);
  run_due();
  EXPECT_EQ(contents(), model_);
  const std::string text = metrics();
  EXPECT_NE(text.find("prometheus_tsdb_out_of_order_wbl_truncations_total 1\n"), std::string::npos);
  for (const BlockSummary& one : db_->blocks()) {
    for (const BlockSummary& other : db_->blocks()) {
      if (one.ulid != other.ulid) {
        EXPECT_TRUE(one.max_time <= other.min_time || other.max_time <= one.min_time);
      }
    }
  }
  crash();
  EXPECT_EQ(contents(), model_);
  EXPECT_EQ(append("a", 95'000, 17), AppendOutcome::kAppended);
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, ADiskThatIsFullDuringACutStopsItsLogNoLonger) {
  fill("a", 150);
  append("b", 93'000, 1);
  for (int i = 0; i < 30; ++i) append("a", 104'000 + 1000 * i, i);
  sync();
  db_->run_due(Timestamp{now_ms_});  // Begins a new segment, for which the old one is padded.
  disk_->fill_disk_after(3);
  append("a", 134'000, 1);
  sync();
  disk_->fill_disk_after(std::uint64_t{1} << 40);
  run_due();
  EXPECT_EQ(names_in("wbl"), std::vector<std::string>{"00000001"});
  const auto appender = db_->appender();
  const auto ref = appender->resolve(labels_of("b")).value();
  ASSERT_EQ(appender->append(ref, {Timestamp{94'000}, 2}), AppendOutcome::kAppended);
  const auto position = appender->commit();
  ASSERT_TRUE(position.ok()) << position.status().message();
  model_["b"].emplace(94'000, 2);
  Status told = unavailable("nobody told");
  db_->when_synced(*position, [&](const Status& status) { told = status; });
  sync();
  EXPECT_TRUE(told.ok()) << told.message();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, FilesGoWithTheHeadTheyWereOf) {
  for (int round = 0; round < 6; ++round) {
    const std::int64_t begin = 100'000 + 10'000 * round;
    for (int i = 0; i < 500; ++i) append("a", begin + 20 * i, i);
    for (int i = 0; i < 100; ++i) append("a", begin + 7 + 20 * i, -i);
    write_head_chunks();
    run_due();
  }
  EXPECT_EQ(contents(), model_);
  const auto names = names_in("chunks_head");
  ASSERT_FALSE(names.empty());
  EXPECT_NE(names.front(), "000001");
  EXPECT_LE(names.size(), 3u);
  crash();
  EXPECT_EQ(contents(), model_);
}

TEST_F(OutOfOrderTest, ACleanStopLeavesChunksInFiles) {
  fill("a", 300);
  ASSERT_TRUE(db_->close().ok());
  open_again();
  EXPECT_EQ(contents(), model_);
  EXPECT_FALSE(names_in("chunks_head").empty());
}

TEST(HeadChunkMemory, GoesBackOnceAFileHasIt) {
  const testing::TemporaryDirectory directory;
  const auto files = make_posix_file_system();
  testing::CapturingLogger log;
  Options options;
  options.out_of_order_time_window = hours(1);
  auto db = Db::open(*files, directory.path(), options, log, nullptr).value();
  const auto appender = db->appender();
  std::mt19937_64 random(7);
  for (int s = 0; s < 200; ++s) {
    const SeriesRef ref = appender->resolve(labels_of("s" + std::to_string(s))).value();
    for (int i = 0; i < 400; ++i) {
      appender->append(ref, {Timestamp{15'000 * i}, static_cast<double>(random())});
    }
  }
  ASSERT_TRUE(appender->commit().ok());
  const auto held = db->querier({}).value();
  const auto set = held->select({}, {}, nullptr).value();
  for (int i = 0; i < 3; ++i) {
    db->interrupt_sync();
    db->sync_due();
    db->write_head_chunks_due(Timestamp{1'000'000 + 60'000 * i});
  }
  MetricWriter out;
  db->collect(out);
  const std::string metrics = out.take();
  const auto value = [&](const std::string& name) {
    const std::size_t at = metrics.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::stoi(metrics.substr(at + name.size() + 2));
  };
  EXPECT_GT(value("prometheus_tsdb_mmap_chunks_total"), 600);
  EXPECT_EQ(value("prometheus_tsdb_mmap_chunks_total"),
            value("prometheus_tsdb_head_chunks_created_total") - 200)
      << "all but the open ones";
  SampleColumns columns;
  for (std::size_t i = 0; i < set->size(); ++i) {
    columns.clear();
    ASSERT_TRUE(set->read(i, {}, columns).ok());
    EXPECT_EQ(columns.size(), 400u);
  }
}

TEST(MergeColumns, KeepsTheFirstOfTwoAtOneTime) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    std::map<std::int64_t, double> model;
    SampleColumns columns;
    const auto add = [&](std::int64_t span) {
      std::int64_t t = static_cast<std::int64_t>(random() % 20);
      for (std::size_t i = random() % 12; i > 0; --i) {
        t += 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(span));
        columns.push_back(Timestamp{t}, static_cast<double>(random() % 100));
        model.emplace(t, columns.values.back());
      }
    };
    columns.push_back(Timestamp{500}, 1);  // Not ours.
    add(4);
    const std::size_t from = columns.size();
    const auto unsigned_span = static_cast<std::int64_t>(1 + random() % 5);
    add(unsigned_span);
    merge_columns(1, from, columns);
    ASSERT_EQ(columns.size(), model.size() + 1);
    std::size_t i = 1;
    for (const auto& [t, v] : model) {
      ASSERT_EQ(columns.times_ms[i], t);
      ASSERT_EQ(columns.values[i++], v);
    }
  }
}

}  // namespace
}  // namespace tarsier::tsdb
