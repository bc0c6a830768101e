#include "tsdb/wal_follower.h"

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tests/support/log_tools.h"
#include "tsdb/db.h"
#include "tsdb/follow/follower_hub.h"
#include "tsdb/wal/group_commit_log.h"
#include "tsdb/wal/log_format.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

Labels series(std::string_view name, std::string_view job) {
  return {{"__name__", name}, {"job", job}};
}

/// What a follower's owner makes of the batches.
struct Received {
  std::map<std::uint64_t, std::string> labels;
  std::vector<std::string> samples;  ///< "up{...} time value"
  std::vector<std::string> ended;
  int batches = 0;

  void take(const FollowedBatch& batch) {
    ++batches;
    for (const FollowedSeries& one : batch.series) {
      EXPECT_TRUE(labels.emplace(one.ref.value, one.labels.to_string()).second) << "a ref twice";
    }
    for (const FollowedSample& s : batch.samples) {
      ASSERT_TRUE(labels.contains(s.ref.value)) << "a sample before its series";
      samples.push_back(labels[s.ref.value] + " " + std::to_string(s.t.ms) + " " +
                        std::to_string(static_cast<int>(s.v)));
    }
    for (const SeriesRef ref : batch.ended) {
      ended.push_back(labels[ref.value]);
      labels.erase(ref.value);
    }
  }
};

class WalFollowerTest : public ::testing::Test {
 protected:
  WalFollowerTest() {
    options_.block_range = seconds(10);
    options_.block_range_max = seconds(10);
    options_.wal_segment_bytes = 32 << 10;
    options_.retention = Duration{0};
    open();
  }
  void open() {
    auto db = Db::open(*disk_, "data", options_, log_, nullptr);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
  }
  void crash() {
    auto survivor = disk_->after_process_crash();
    follower_.reset();
    db_.reset();
    disk_ = std::move(survivor);
    open();
  }
  void append(const Labels& labels, std::int64_t t, double v) {
    const auto appender = db_->appender();
    appender->append(appender->resolve(labels).value(), {Timestamp{t}, v});
    ASSERT_TRUE(appender->commit().ok());
  }
  void sync() {
    db_->interrupt_sync();
    EXPECT_FALSE(db_->sync_due());
  }
  std::unique_ptr<WalFollower> follow(std::vector<std::vector<Matcher>> selectors = {}) {
    FollowerOptions options;
    options.name = "test";
    options.selectors = std::move(selectors);
    auto follower = db_->follow(std::move(options));
    EXPECT_TRUE(follower.ok()) << follower.status().message();
    return std::move(follower).value();
  }
  /// Everything there is to read.
  void drain(Received& received, std::size_t samples_max = 1000) {
    for (;;) {
      const Status status = follower_->read(samples_max, batch_);
      ASSERT_TRUE(status.ok()) << status.message();
      if (batch_.empty()) return;
      received.take(batch_);
    }
  }
  Received drained() {
    Received received;
    drain(received);
    return received;
  }
  /// A sample a second of a series that lives and of one that ends early, with maintenance.
  void fill(int begin, int end) {
    for (int s = begin; s < end; ++s) {
      append(series("up", "a"), s * 1000, s);
      if (s < begin + 5) append(series("up", "early"), s * 1000 + 2, s);
    }
    sync();
  }
  /// So that the log has segments.
  void fill_widely(int begin, int end) {
    for (int s = begin; s < end; ++s) {
      const auto appender = db_->appender();
      for (int i = 0; i < 100; ++i) {
        const Labels labels = {{"__name__", "wide"}, {"i", std::to_string(i)}};
        appender->append(appender->resolve(labels).value(),
                         {Timestamp{s * 1000}, 0.1 * (s * 7919 % 997) + i / 3.0});
      }
      ASSERT_TRUE(appender->commit().ok());
    }
    sync();
  }
  void cut(std::int64_t now_s) {
    sync();
    db_->run_due(Timestamp{now_s * 1000});
    sync();
    db_->run_due(Timestamp{now_s * 1000});
  }

  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  testing::CapturingLogger log_;
  Options options_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<WalFollower> follower_;
  FollowedBatch batch_;
};

TEST_F(WalFollowerTest, GivesWhatIsSyncedInLogOrder) {
  follower_ = follow();
  append(series("up", "a"), 1000, 1);
  append(series("up", "b"), 900, 2);
  EXPECT_TRUE(drained().samples.empty()) << "a crash could take it back";
  sync();
  const Received received = drained();
  EXPECT_EQ(received.samples,
            (std::vector<std::string>{"up{job=\"a\"} 1000 1", "up{job=\"b\"} 900 2"}));
  EXPECT_EQ(follower_->position(), follower_->log_end());
  append(series("up", "a"), 2000, 3);
  sync();
  ASSERT_TRUE(follower_->read(10, batch_).ok());
  EXPECT_TRUE(batch_.series.empty()) << "it was told already";
  EXPECT_EQ(batch_.samples.size(), 1u);
}

TEST_F(WalFollowerTest, BeginsAtTheEndWhenNothingIsStored) {
  append(series("up", "a"), 1000, 1);
  sync();
  follower_ = follow();
  append(series("up", "a"), 2000, 2);
  sync();
  EXPECT_EQ(drained().samples, std::vector<std::string>{"up{job=\"a\"} 2000 2"});
}

TEST_F(WalFollowerTest, FollowsOnlyWhatASelectorTakes) {
  follower_ = follow({{Matcher::equal("job", "b")},
                      {Matcher::equal("__name__", "down"), Matcher::not_equal("job", "a")}});
  append(series("up", "a"), 1000, 1);
  append(series("up", "b"), 1000, 2);
  append(series("down", "a"), 1000, 3);
  append(series("down", "c"), 1000, 4);
  sync();
  EXPECT_EQ(drained().samples,
            (std::vector<std::string>{"up{job=\"b\"} 1000 2", "down{job=\"c\"} 1000 4"}));
}

TEST_F(WalFollowerTest, GivesHistogramsExemplarsAndMetadata) {
  follower_ = follow();
  {
    const auto appender = db_->appender();
    const SeriesRef ref = appender->resolve(series("h", "a")).value();
    IntegerHistogram histogram;
    histogram.layout.schema = 1;
    histogram.layout.positive_spans = {{0, 2}};
    histogram.positive_deltas = {1, 1};
    histogram.count = 3;
    histogram.sum = 4.5;
    EXPECT_EQ(appender->append_histogram(ref, Timestamp{5000}, histogram),
              AppendOutcome::kAppended);
    appender->append_exemplar(ref, {{{"trace_id", "x"}}, 2.5, Timestamp{5000}});
    appender->set_metadata(ref, {MetricType::kHistogram, "seconds", "Help."});
    ASSERT_TRUE(appender->commit().ok());
  }
  sync();
  ASSERT_TRUE(follower_->read(10, batch_).ok());
  ASSERT_EQ(batch_.histograms.size(), 1u);
  EXPECT_EQ(sum_of(batch_.histograms[0].histogram), 4.5);
  ASSERT_EQ(batch_.exemplars.size(), 1u);
  EXPECT_EQ(batch_.exemplars[0].exemplar.labels, (Labels{{"trace_id", "x"}}));
  ASSERT_EQ(batch_.metadata.size(), 1u);
  EXPECT_EQ(batch_.metadata[0].metadata.help, "Help.");
}

TEST_F(WalFollowerTest, GivesLateSamplesWithTheOthers) {
  ASSERT_TRUE(db_->set_out_of_order_time_window(seconds(100)).ok());
  follower_ = follow();
  append(series("up", "a"), 50'000, 1);
  append(series("up", "a"), 20'000, 2);
  sync();
  EXPECT_EQ(drained().samples,
            (std::vector<std::string>{"up{job=\"a\"} 50000 1", "up{job=\"a\"} 20000 2"}));
}

TEST_F(WalFollowerTest, GoesOnBehindWhatWasStored) {
  follower_ = follow();
  fill(0, 3);
  drained();
  ASSERT_TRUE(follower_->store(batch_.end).ok());
  append(series("up", "a"), 3000, 3);
  append(series("up", "new"), 3000, 4);
  sync();
  ASSERT_TRUE(follower_->read(100, batch_).ok());
  EXPECT_EQ(batch_.samples.size(), 2u) << "read, but not stored";
  crash();
  follower_ = follow();
  append(series("up", "a"), 4000, 5);
  sync();
  EXPECT_EQ(drained().samples,
            (std::vector<std::string>{"up{job=\"a\"} 3000 3", "up{job=\"new\"} 3000 4",
                                      "up{job=\"a\"} 4000 5"}));
}

TEST_F(WalFollowerTest, ReadsInSmallBatches) {
  follower_ = follow();
  fill_widely(0, 20);
  Received received;
  drain(received, 1);
  EXPECT_EQ(received.samples.size(), 2000u);
  EXPECT_GE(received.batches, 20);
}

TEST_F(WalFollowerTest, ALaggardKeepsTheLogAndLosesNothing) {
  follower_ = follow();
  for (int s = 0; s < 60; s += 10) {
    fill(s, s + 10);
    fill_widely(s, s + 10);
    cut(s + 10);
  }
  ASSERT_FALSE(db_->blocks().empty());
  // Series that left the head are known from the log, after a restart too.
  crash();
  follower_ = follow();
  const Received received = drained();
  // The first four seconds of each round are too old by then.
  EXPECT_EQ(received.samples.size(), 60u + 30 + 3600);
  EXPECT_EQ(follower_->damage_count(), 0u);
  EXPECT_EQ(follower_->segments_lost(), 0u);
  EXPECT_EQ(follower_->unknown_samples(), 0u);
}

TEST_F(WalFollowerTest, TheLogIsKeptForAFollowerThatIsNotOpenYet) {
  follower_ = follow();
  fill_widely(0, 10);
  crash();
  for (int s = 10; s < 60; s += 10) {
    fill_widely(s, s + 10);
    cut(s + 10);
  }
  EXPECT_TRUE(disk_->exists("data/wal/00000000"));
  follower_ = follow();
  EXPECT_EQ(drained().samples.size(), 6000u);
  EXPECT_EQ(follower_->segments_lost(), 0u);
  // Forgotten, nobody holds it any more.
  follower_.reset();
  crash();
  ASSERT_TRUE(db_->forget_follower("test").ok());
  for (int s = 60; s < 90; s += 10) {
    fill_widely(s, s + 10);
    cut(s + 10);
  }
  EXPECT_FALSE(disk_->exists("data/wal/00000000"));
}

TEST_F(WalFollowerTest, SaysHowMuchWasGoneWhenTheLogWasNotKept) {
  options_.wal_follower_bytes_max = 0;
  crash();
  follower_ = follow();
  for (int s = 0; s < 60; s += 10) {
    fill_widely(s, s + 10);
    cut(s + 10);
  }
  Received received = drained();
  EXPECT_GT(follower_->segments_lost(), 0u);
  EXPECT_TRUE(log_.contains("Segments of the log were gone before they were followed"));
  EXPECT_FALSE(received.samples.empty());
  EXPECT_EQ(follower_->unknown_samples(), 0u);
  EXPECT_EQ(follower_->position(), follower_->log_end());
}

TEST_F(WalFollowerTest, TellsWhichSeriesWillNotComeAgain) {
  follower_ = follow();
  Received received;
  for (int s = 0; s < 60; s += 10) {
    for (int i = 0; i < 10; ++i) append(series("up", "a"), (s + i) * 1000, s);
    if (s == 0) append(series("up", "early"), 9500, s);
    fill_widely(s, s + 10);
    cut(s + 10);
    drain(received);
    follower_->release(batch_.end);
  }
  EXPECT_EQ(received.ended, std::vector<std::string>{"up{job=\"early\"}"});
  EXPECT_FALSE(db_->stored_followers().value().empty());
}

TEST_F(WalFollowerTest, APositionThatWasDamagedIsTheBeginning) {
  follower_ = follow();
  fill(0, 2);
  drained();
  ASSERT_TRUE(follower_->store(batch_.end).ok());
  follower_.reset();
  testing::put_file(*disk_, "data/tarsier/followers/test", "garbage");
  follower_ = follow();
  EXPECT_EQ(drained().samples.size(), 4u);
  EXPECT_TRUE(log_.contains("The position of a follower of the log is damaged"));
}

TEST_F(WalFollowerTest, ForgottenPositionsAreGone) {
  follower_ = follow();
  follower_.reset();
  EXPECT_EQ(db_->stored_followers().value(), std::vector<std::string>{"test"});
  ASSERT_TRUE(db_->forget_follower("test").ok());
  EXPECT_TRUE(db_->stored_followers().value().empty());
  EXPECT_EQ(db_->follow({.name = "no/name", .selectors = {}, .from = {}}).status().code(),
            Code::kInvalid);
}

// Everything that was acknowledged before the power went is followed by the time all is read, from
// whatever position survived, whichever operation was the last one.
TEST_F(WalFollowerTest, APowerCutAnywhereLosesNothing) {
  for (const WalSync sync_policy : {WalSync::kCommit, WalSync::kNone}) {
    options_.wal_sync = sync_policy;
    std::uint64_t operations = 1;
    for (std::uint64_t cut = 1; cut <= operations; cut += 3) {
      SCOPED_TRACE("power cut at operation " + std::to_string(cut));
      FaultyFileSystem disk;
      disk.cut_power_at(cut);
      std::set<std::string> followed;
      std::set<std::string> acknowledged;
      {
        auto opened = Db::open(disk, "data", options_, log_, nullptr);
        if (opened.ok()) db_ = std::move(opened).value();
        auto follower = opened.ok() ? db_->follow({.name = "test", .selectors = {}, .from = {}})
                                    : Result<std::unique_ptr<WalFollower>>(unavailable("not open"));
        if (follower.ok()) {
          Received received;
          for (int s = 0; s < 40 && !disk.power_is_cut(); ++s) {
            const auto appender = db_->appender();
            appender->append(appender->resolve(series("up", std::to_string(s % 3))).value(),
                             {Timestamp{s * 1000}, static_cast<double>(s)});
            const auto position = appender->commit();
            if (!position.ok()) break;
            db_->interrupt_sync();
            db_->sync_due();
            bool is_synced = false;
            db_->when_synced(*position, [&](Status done) { is_synced = done.ok(); });
            if (is_synced && sync_policy == WalSync::kCommit) {
              acknowledged.insert("up{job=\"" + std::to_string(s % 3) + "\"} " +
                                  std::to_string(s * 1000) + " " + std::to_string(s));
            }
            if (s % 4 == 1 && (*follower)->read(100, batch_).ok()) {
              received.take(batch_);
              followed.insert(received.samples.begin(), received.samples.end());
              // May be on the disk after an error too.
              static_cast<void>((*follower)->store(batch_.end));
            }
            if (s % 9 == 8) db_->run_due(Timestamp{s * 1000});
          }
        }
        follower = unavailable("gone");
        db_.reset();
      }
      if (!disk.power_is_cut()) break;
      operations = disk.operation_count() + 3;
      disk_ = disk.after_power_cut(cut);
      open();
      if (!::testing::Test::HasFatalFailure() && !db_->stored_followers().value().empty()) {
        follower_ = follow();
        const Received received = drained();
        followed.insert(received.samples.begin(), received.samples.end());
        for (const std::string& sample : acknowledged)
          EXPECT_TRUE(followed.contains(sample)) << sample;
        EXPECT_EQ(follower_->damage_count(), 0u);
        EXPECT_EQ(follower_->unknown_samples(), 0u);
        follower_.reset();
      }
      db_.reset();
    }
  }
  options_.wal_sync = WalSync::kCommit;
  disk_ = std::make_unique<FaultyFileSystem>();
  open();
}

TEST_F(WalFollowerTest, FollowsWhileTheLogIsWritten) {
  follower_ = follow();
  constexpr int kCommits = 300;
  std::thread syncer([&] {
    while (db_->sync_due()) {
    }
  });
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      for (int s = 0; s < kCommits; ++s) append(series("w", std::to_string(w)), s * 10, s);
    });
  }
  Received received;
  while (received.samples.size() < 2 * kCommits && !HasFatalFailure()) drain(received, 50);
  for (std::thread& writer : writers) writer.join();
  db_->interrupt_sync();
  syncer.join();
  std::map<std::string, int> next;
  for (const std::string& sample : received.samples) {
    const std::string name = sample.substr(0, sample.find(' '));
    EXPECT_EQ(sample,
              name + " " + std::to_string(next[name] * 10) + " " + std::to_string(next[name]));
    ++next[name];
  }
}

TEST(WalFollower, ABadSeriesRecordDoesNotTakeTheGoodOnesBehindItAlong) {
  FaultyFileSystem files;
  testing::CapturingLogger log;
  const auto wal = GroupCommitLog::open(files, "wal", Options{}).value();
  const auto append = [&](const std::string& record) {
    EncodedRecord encoded;
    encoded.encode(as_bytes(record), WalCompression::kNone);
    ASSERT_TRUE(wal->append(encoded).ok());
    ASSERT_TRUE(wal->sync().ok());
  };
  FollowedLog followed;
  followed.wal_directory = "wal";
  followed.state_directory = "state";
  followed.followable = [&] { return wal->followable_position(); };
  followed.appended = [&] { return wal->appended_position(); };
  followed.labels_of = [](SeriesRef) { return Labels(); };  // All have left the head.
  FollowerHub hub(files, std::move(followed), log);
  std::string good;
  encode_series(std::vector<RefSeries>{{SeriesRef{7}, series("up", "a")}}, good);
  append(
      "\x01"
      "garbage");
  append(good);
  FollowerOptions options;
  options.name = "test";
  const auto follower = hub.follow(std::move(options)).value();
  std::string samples;
  encode_samples(std::vector<RefSample>{{SeriesRef{7}, Timestamp{1000}, 5}}, samples);
  append(samples);
  FollowedBatch batch;
  ASSERT_TRUE(follower->read(1000, batch).ok());
  ASSERT_EQ(batch.samples.size(), 1u);
  EXPECT_EQ(batch.samples[0].ref, SeriesRef{7});
  EXPECT_EQ(batch.series.at(0).labels, series("up", "a"));
  EXPECT_EQ(follower->damage_count(), 0u);
  EXPECT_EQ(follower->unknown_samples(), 0u);
}

TEST(FollowerPosition, IsStoredAsTheFormatPageSays) {
  const std::string page = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";
  const std::string example = testing::format_example(page, "Follower position");
  EXPECT_EQ(example, encode_follower_position(log_position(7, 74565)));
  EXPECT_EQ(decode_follower_position(example).value(), log_position(7, 74565));
  for (std::size_t i = 0; i < example.size(); ++i) {
    std::string damaged = example;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_EQ(decode_follower_position(damaged).status().code(), Code::kCorruption);
  }
}

}  // namespace
}  // namespace tarsier::tsdb
