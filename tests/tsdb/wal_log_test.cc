#include "tsdb/wal/group_commit_log.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tsdb/wal/repair.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;
using testing::LogContents;
using testing::put_file;
using testing::read_log;

const std::string kDirectory = "data/wal";

Options options_with(WalSync sync) {
  Options options;
  options.wal_sync = sync;
  options.wal_segment_bytes = 2 * kLogPageBytes;
  return options;
}

/// The data directory with its name durable, as a running server has it.
void make_data_directory(FileSystem& files) {
  ASSERT_TRUE(files.create_directories("data").ok());
  ASSERT_TRUE(files.sync_directory(".").ok());
}

/// A log whose waiters are remembered: the little language of these tests.
struct Scribe {
  explicit Scribe(FileSystem& files, WalSync sync = WalSync::kCommit)
      : Scribe(files, options_with(sync)) {}
  Scribe(FileSystem& files, const Options& options)
      : log(GroupCommitLog::open(files, kDirectory, options).value()) {}

  Result<LogPosition> append(std::string_view text) {
    EncodedRecord record;
    record.encode(as_bytes(text), log->compression());
    return log->append(record);
  }
  /// Appends and waits; `told` gets the number of the record, or its negative on an error.
  void commit(std::string_view text, int number) {
    log->when_synced(append(text).value(),
                     [this, number](Status s) { told.push_back(s.ok() ? number : -number); });
  }

  std::unique_ptr<GroupCommitLog> log;
  std::vector<int> told;
};

/// Opens the log as a new process does: repairs it if it must, and returns what it holds.
std::vector<std::string> recover(FileSystem& files) {
  LogContents contents = read_log(files, kDirectory);
  if (contents.damage) {
    NullLogger quiet;
    EXPECT_TRUE(repair_log(files, *contents.damage, "data/tarsier/lost", quiet).ok());
    contents = read_log(files, kDirectory);
  }
  EXPECT_TRUE(contents.status.ok()) << contents.status.message();
  return contents.records;
}

TEST(GroupCommitLog, TellsWaitersInOrderAndOnlyAfterTheSync) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files);
  const LogPosition first = scribe.append("first").value();
  const LogPosition second = scribe.append("second").value();
  EXPECT_LT(first, second);
  std::vector<int> told;
  scribe.log->when_synced(second, [&](Status s) { told.push_back(s.ok() ? 2 : -2); });
  scribe.log->when_synced(first, [&](Status s) { told.push_back(s.ok() ? 1 : -1); });
  EXPECT_TRUE(told.empty());
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_EQ(told, (std::vector<int>{1, 2}));
  scribe.log->when_synced(first, [&](Status s) { told.push_back(s.ok() ? 3 : -3); });
  EXPECT_EQ(told.back(), 3);  // At once.
  EXPECT_EQ(scribe.log->synced_position(), second);
}

TEST(GroupCommitLog, ServesAllWaitersWithOneSync) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files);
  const std::uint64_t before = files.operation_count();
  for (int i = 1; i <= 100; ++i) scribe.commit("record", i);
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_EQ(files.operation_count() - before, 2u);  // One append, one sync.
  EXPECT_EQ(scribe.told.size(), 100u);
}

TEST(GroupCommitLog, AcknowledgesAfterTheWriteWhenTheTimerSyncs) {
  for (const WalSync sync : {WalSync::kInterval, WalSync::kNone}) {
    FaultyFileSystem files;
    make_data_directory(files);
    Scribe scribe(files, sync);
    scribe.commit("record", 1);
    const std::uint64_t before = files.operation_count();
    ASSERT_TRUE(scribe.log->flush().ok());
    EXPECT_EQ(files.operation_count() - before, 1u);
    EXPECT_EQ(scribe.told, std::vector<int>{1});
    EXPECT_LT(scribe.log->synced_position(), scribe.log->written_position());
    EXPECT_EQ(scribe.log->followable_position() == scribe.log->written_position(),
              sync == WalSync::kNone);
    EXPECT_EQ(recover(*files.after_process_crash()), std::vector<std::string>{"record"});
    ASSERT_TRUE(scribe.log->sync().ok());
    EXPECT_EQ(scribe.log->synced_position(), scribe.log->written_position());
  }
}

TEST(GroupCommitLog, WritesANewFileAfterAFailedSync) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files);
  scribe.commit("kept", 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  files.fail_sync(1);
  scribe.commit("refused", 2);
  scribe.commit("refused too", 3);
  EXPECT_EQ(scribe.log->flush().code(), Code::kUnavailable);
  EXPECT_EQ(scribe.told, (std::vector<int>{1, -2, -3}));
  const auto refused = scribe.append("later");
  EXPECT_EQ(refused.status().code(), Code::kUnavailable);
  EXPECT_NE(refused.status().message().find("fdatasync"), std::string::npos);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto later = files.after_power_cut(seed);
    const std::vector<std::string> records = recover(*later);
    ASSERT_FALSE(records.empty());
    EXPECT_EQ(records[0], "kept");
  }
  // The old file would lie about what it lost; what was appended is in the new one.
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_TRUE(scribe.log->trouble().ok());
  scribe.commit("later", 4);
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_EQ(scribe.told.back(), 4);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(recover(*files.after_power_cut(seed)),
              (std::vector<std::string>{"kept", "refused", "refused too", "later"}));
  }
}

TEST(GroupCommitLog, StopsForGoodWhenTheBytesOfAFailedSyncAreLost) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files, WalSync::kNone);  // Which keeps no copy of what is not synced.
  scribe.commit("one", 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  files.fail_sync(1);
  EXPECT_FALSE(scribe.log->sync().ok());
  ASSERT_TRUE(files.truncate(kDirectory + "/00000000", 5).ok());
  EXPECT_FALSE(scribe.log->sync().ok());
  EXPECT_NE(scribe.append("x").status().message().find("has stopped"), std::string::npos);
  const std::uint64_t before = files.operation_count();
  EXPECT_FALSE(scribe.log->flush().ok());
  EXPECT_FALSE(scribe.log->close().ok());
  EXPECT_EQ(files.operation_count(), before);
}

TEST(GroupCommitLog, ReadsBackWhatAFailedSyncLeftReadable) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files, WalSync::kNone);
  scribe.commit("one", 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  files.fail_sync(1);
  EXPECT_FALSE(scribe.log->sync().ok());
  ASSERT_TRUE(scribe.log->sync().ok());
  scribe.commit("two", 2);
  ASSERT_TRUE(scribe.log->close().ok());
  EXPECT_EQ(recover(*files.after_power_cut(1)), (std::vector<std::string>{"one", "two"}));
}

TEST(GroupCommitLog, RefusesWhileTheDiskIsFullAndGoesOnByItself) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files);
  scribe.commit("kept", 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  files.fill_disk_after(3);
  scribe.commit("refused", 2);
  EXPECT_FALSE(scribe.log->flush().ok());
  EXPECT_EQ(scribe.told, (std::vector<int>{1, -2}));
  EXPECT_NE(scribe.append("x").status().message().find("No space left"), std::string::npos);
  files.fill_disk_after(1'000'000);
  EXPECT_EQ(recover(*files.after_process_crash()), std::vector<std::string>{"kept"});
  // What fits of it is no record, however often that is tried.
  files.fill_disk_after(3);
  EXPECT_FALSE(scribe.log->flush().ok());
  EXPECT_EQ(recover(*files.after_process_crash()), std::vector<std::string>{"kept"});
  files.fill_disk_after(1'000'000);
  ASSERT_TRUE(scribe.log->flush().ok());
  scribe.commit("later", 3);
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_EQ(scribe.told, (std::vector<int>{1, -2, 3}));
  EXPECT_EQ(recover(*files.after_power_cut(3)),
            (std::vector<std::string>{"kept", "refused", "later"}));
}

TEST(GroupCommitLog, RefusesMoreThanItMayBuffer) {
  FaultyFileSystem files;
  make_data_directory(files);
  Options options = options_with(WalSync::kCommit);
  options.wal_buffer_bytes_max = 10'000;
  options.wal_compression = WalCompression::kNone;
  Scribe scribe(files, options);
  const std::string record(4000, 'r');
  EXPECT_TRUE(scribe.append(record).ok());
  EXPECT_TRUE(scribe.append(record).ok());
  const auto refused = scribe.append(record);
  EXPECT_EQ(refused.status().code(), Code::kUnavailable);
  EXPECT_NE(refused.status().message().find("behind"), std::string::npos);
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_TRUE(scribe.append(record).ok());
  ASSERT_TRUE(scribe.log->flush().ok());
  EXPECT_TRUE(scribe.append(std::string(20'000, 'x')).ok());  // Alone, any record fits.
  EXPECT_EQ(recover(files).size(), 3u);
}

TEST(GroupCommitLog, AppendsSeveralRecordsTogetherOrNone) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files);
  EncodedRecord a;
  EncodedRecord b;
  a.encode(as_bytes("a"), WalCompression::kSnappy);
  b.encode(as_bytes("b"), WalCompression::kSnappy);
  const EncodedRecord* const both[] = {&a, &b};
  ASSERT_TRUE(scribe.log->append(both).ok());
  ASSERT_TRUE(scribe.log->close().ok());
  EXPECT_EQ(scribe.log->append(both).status().code(), Code::kUnavailable);
  EXPECT_EQ(recover(files), (std::vector<std::string>{"a", "b"}));
}

TEST(GroupCommitLog, BeginsANewSegmentAtEveryStartAndOnDemand) {
  FaultyFileSystem files;
  make_data_directory(files);
  put_file(files, "data/wal/series_state.json", "{}");
  for (std::uint32_t start = 0; start < 4; start += 2) {
    Scribe scribe(files);
    EXPECT_EQ(segment_of(scribe.append("one").value()), start);
    EXPECT_EQ(scribe.log->begin_segment().value(), start + 1);
    EXPECT_EQ(scribe.log->begin_segment().value(), start + 1);  // It is empty.
    EXPECT_EQ(segment_of(scribe.append("two").value()), start + 1);
    ASSERT_TRUE(scribe.log->close().ok());
  }
  EXPECT_EQ(recover(files), (std::vector<std::string>{"one", "two", "one", "two"}));
  EXPECT_EQ(list_segments(files, kDirectory).value().size(), 4u);
  EXPECT_FALSE(files.exists("data/wal/series_state.json"));
  put_file(files, "data/wal/checkpoint.00000009/00000000", "");
  Scribe scribe(files);
  EXPECT_EQ(segment_of(scribe.append("x").value()), 10u);
}

TEST(GroupCommitLog, SyncsWhatACrashedProcessOnlyWrote) {
  FaultyFileSystem files;
  make_data_directory(files);
  {
    Scribe scribe(files, WalSync::kNone);
    scribe.commit("written, never synced", 1);
    ASSERT_TRUE(scribe.log->flush().ok());
  }
  const auto next = files.after_process_crash();
  Scribe scribe(*next);
  scribe.commit("synced", 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    EXPECT_EQ(recover(*next->after_power_cut(seed)),
              (std::vector<std::string>{"written, never synced", "synced"}));
  }
}

TEST(GroupCommitLog, KeepsWhatAStartReadsOfAFailedSync) {
  // Nobody was promised the second record, but who asked after the crash has seen it. What follows
  // it in the log may build on it: the series it names.
  FaultyFileSystem files;
  make_data_directory(files);
  {
    Scribe scribe(files);
    scribe.commit("synced", 1);
    ASSERT_TRUE(scribe.log->flush().ok());
    scribe.commit("written, its sync failed", 2);
    files.fail_sync(1);
    EXPECT_FALSE(scribe.log->flush().ok());
    EXPECT_EQ(scribe.told, (std::vector<int>{1, -2}));
  }
  const std::vector<std::string> seen = {"synced", "written, its sync failed"};
  const auto next = files.after_process_crash();
  ASSERT_EQ(recover(*next), seen);
  Scribe scribe(*next);
  EXPECT_EQ(list_segments(*next, kDirectory).value(), (std::vector<std::uint32_t>{0, 1}));
  EXPECT_FALSE(next->exists("data/wal/00000000.tmp"));
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    EXPECT_EQ(recover(*next->after_power_cut(seed)), seen);
  }
  scribe.commit("later", 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    EXPECT_EQ(recover(*next->after_power_cut(seed)),
              (std::vector<std::string>{"synced", "written, its sync failed", "later"}));
  }
}

TEST(GroupCommitLog, OpensOnAFullDisk) {
  FaultyFileSystem files;
  make_data_directory(files);
  {
    Scribe scribe(files, WalSync::kNone);
    scribe.commit("written, never synced", 1);
    ASSERT_TRUE(scribe.log->flush().ok());
  }
  const auto next = files.after_process_crash();
  next->fill_disk_after(3);
  const Scribe scribe(*next);
  EXPECT_FALSE(next->exists("data/wal/00000000.tmp"));
  EXPECT_EQ(recover(*next->after_power_cut(1)), std::vector<std::string>{"written, never synced"});
}

TEST(GroupCommitLog, ReportsItselfUnderPrometheusNames) {
  FaultyFileSystem files;
  make_data_directory(files);
  Scribe scribe(files);
  scribe.commit(std::string(1000, 'a'), 1);
  ASSERT_TRUE(scribe.log->flush().ok());
  MetricWriter writer;
  scribe.log->collect(writer);
  const std::string text = writer.take();
  for (const char* line :
       {"prometheus_tsdb_wal_fsync_duration_seconds_count 1\n",
        "prometheus_tsdb_wal_page_flushes_total 1\n", "prometheus_tsdb_wal_segment_current 0\n",
        "prometheus_tsdb_wal_record_part_writes_total 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(GroupCommitLog, LosesNothingAcknowledgedWhateverMomentThePowerGoes) {
  const std::vector<std::size_t> sizes = {10, 3000, 40'000, 1, 70'000, 500, 32'761, 12};
  std::uint64_t run_count = 0;
  for (const WalCompression compression : {WalCompression::kNone, WalCompression::kSnappy}) {
    Options options = options_with(WalSync::kCommit);
    options.wal_compression = compression;
    for (std::uint64_t cut = 1;; ++cut) {
      FaultyFileSystem files;
      make_data_directory(files);
      files.cut_power_at(files.operation_count() + cut);
      std::vector<std::string> appended;
      std::size_t acknowledged = 0;
      auto opened = GroupCommitLog::open(files, kDirectory, options);
      if (opened.ok()) {
        GroupCommitLog& log = *opened.value();
        std::mt19937_64 random(cut);
        for (int round = 0; round < 12; ++round) {
          std::string text(sizes[static_cast<std::size_t>(round) % sizes.size()], '\0');
          for (char& c : text) c = static_cast<char>('a' + random() % 16);
          EncodedRecord record;
          record.encode(as_bytes(text), options.wal_compression);
          const auto position = log.append(record);
          if (!position.ok()) break;
          appended.push_back(text);
          const std::size_t count = appended.size();
          log.when_synced(*position, [&acknowledged, count](Status s) {
            if (s.ok()) acknowledged = count;
          });
          if (random() % 3 != 0) static_cast<void>(log.flush());
        }
        static_cast<void>(log.close());
      }
      const bool is_done = !files.power_is_cut();
      for (std::uint64_t seed = 0; seed < 12; ++seed) {
        SCOPED_TRACE("cut " + std::to_string(cut) + " seed " + std::to_string(seed));
        const auto later = files.after_power_cut(seed);
        const std::vector<std::string> found = recover(*later);
        ++run_count;
        ASSERT_GE(found.size(), acknowledged);
        ASSERT_LE(found.size(), appended.size());
        EXPECT_TRUE(std::equal(found.begin(), found.end(), appended.begin()));
        // And the log goes on.
        Scribe scribe(*later, options);
        scribe.commit("next life", 1);
        ASSERT_TRUE(scribe.log->flush().ok());
        EXPECT_EQ(scribe.told, std::vector<int>{1});
        const std::vector<std::string> again = recover(*later->after_power_cut(seed));
        ASSERT_EQ(again.size(), found.size() + 1);
        EXPECT_EQ(again.back(), "next life");
      }
      if (is_done) {
        EXPECT_EQ(acknowledged, 12u);
        break;
      }
    }
  }
  std::printf("%llu power cuts\n", static_cast<unsigned long long>(run_count));
}

/// Whichever sync or write fails: nothing is acknowledged that a power cut would lose, and once the
/// disk works again nothing is missing.
TEST(GroupCommitLog, SurvivesAnyOneFailure) {
  for (const bool fails_sync : {true, false}) {
    for (std::uint64_t n = 1;; ++n) {
      SCOPED_TRACE(std::string(fails_sync ? "sync " : "append ") + std::to_string(n));
      FaultyFileSystem files;
      make_data_directory(files);
      Scribe scribe(files);
      fails_sync ? files.fail_sync(n) : files.fail_append(n);
      int failed = 0;
      std::vector<std::string> written;
      for (int i = 1; i <= 10; ++i) {
        written.emplace_back(20'000, static_cast<char>('a' + i));
        scribe.commit(written.back(), i);
        if (scribe.log->flush().ok()) continue;
        ++failed;
        EXPECT_EQ(scribe.told.back(), -i);
        EXPECT_EQ(scribe.append("later").status().code(), Code::kUnavailable);
        const auto found = recover(*files.after_power_cut(n));
        ASSERT_GE(found.size() + 1, written.size());
        ASSERT_TRUE(std::equal(found.begin(), found.end(), written.begin()));
        ASSERT_TRUE(scribe.log->flush().ok());
      }
      EXPECT_EQ(scribe.told.size(), 10u);
      EXPECT_EQ(recover(*files.after_power_cut(n)), written);
      if (failed == 0) break;
      EXPECT_EQ(failed, 1);
    }
  }
}

TEST(GroupCommitLog, ServesManyThreadsInLogOrder) {
  FaultyFileSystem files;
  make_data_directory(files);
  Options options = options_with(WalSync::kCommit);
  options.wal_sync_interval = milliseconds(1);
  Scribe scribe(files, options);
  GroupCommitLog& log = *scribe.log;
  std::thread syncer([&log] {
    while (log.sync_due()) {
    }
  });
  constexpr int thread_count = 4;
  constexpr int record_count = 300;
  std::atomic<int> told{0};
  std::vector<std::thread> writers;
  for (int t = 0; t < thread_count; ++t) {
    writers.emplace_back([&log, &told, t] {
      EncodedRecord record;
      LogPosition last;
      for (int i = 0; i < record_count; ++i) {
        const std::string text = std::to_string(t) + ":" + std::to_string(i);
        record.encode(as_bytes(text), log.compression());
        const LogPosition position = log.append(record).value();
        EXPECT_LT(last, position);
        last = position;
        if (i % 3 == 0) continue;  // Covered by the timer or by somebody else's wait.
        log.when_synced(position, [&told](Status s) { told += s.ok() ? 1 : 0; });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  log.interrupt();
  syncer.join();
  ASSERT_TRUE(log.close().ok());
  EXPECT_EQ(told, thread_count * record_count * 2 / 3);
  std::vector<int> next(thread_count, 0);
  const std::vector<std::string> records = recover(*files.after_power_cut(1));
  ASSERT_EQ(records.size(), static_cast<std::size_t>(thread_count * record_count));
  for (const std::string& record : records) {
    const auto thread = static_cast<std::size_t>(record[0] - '0');
    EXPECT_EQ(record.substr(2), std::to_string(next[thread]++));
  }
}

}  // namespace
}  // namespace tarsier::tsdb
