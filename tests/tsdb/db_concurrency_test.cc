// Everything at once, for the thread sanitizer and for the promise that a query never sees half a
// commit.

#include <atomic>
#include <barrier>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

constexpr int kWriters = 2;
constexpr int kSeriesPerWriter = 40;
constexpr int kCommits = 250;

/// Writers may be apart by less than half a block range: they meet every so many commits.
constexpr int kMeetEvery = 5;
using Meeting = std::barrier<>;

/// One commit after the other, each with the same time and value for all series of the writer, and
/// one series that lives for this commit only.
void write(Db& db, int writer, Meeting& meeting, std::atomic<int>& acknowledged) {
  std::vector<SeriesRef> refs(kSeriesPerWriter);
  for (int c = 0; c < kCommits; ++c) {
    if (c % kMeetEvery == 0) meeting.arrive_and_wait();
    const auto appender = db.appender();
    for (int s = 0; s < kSeriesPerWriter; ++s) {
      const Sample sample{Timestamp{c * 100}, 1.0 * c};
      if (appender->append(refs[static_cast<std::size_t>(s)], sample) == AppendOutcome::kAppended) {
        continue;
      }
      const Labels labels{
          {"__name__", "steady"}, {"id", std::to_string(s)}, {"writer", std::to_string(writer)}};
      refs[static_cast<std::size_t>(s)] = appender->resolve(labels).value();
      EXPECT_EQ(appender->append(refs[static_cast<std::size_t>(s)], sample),
                AppendOutcome::kAppended);
    }
    const SeriesRef brief = appender
                                ->resolve({{"__name__", "brief"},
                                           {"id", std::to_string(c)},
                                           {"writer", std::to_string(writer)}})
                                .value();
    appender->append(brief, {Timestamp{c * 100}, 1});
    const auto position = appender->commit();
    EXPECT_TRUE(position.ok());
    db.when_synced(*position, [&](Status status) {
      EXPECT_TRUE(status.ok());
      acknowledged.fetch_add(1);
    });
  }
}

/// All series of a writer end with the same sample, and have all samples up to it.
void check_whole_commits(Db& db, int writer) {
  const auto querier = db.querier({}).value();
  const std::vector<Matcher> matchers = {Matcher::equal("__name__", "steady"),
                                         Matcher::equal("writer", std::to_string(writer))};
  const auto set = querier->select(matchers, {}, nullptr).value();
  if (set->size() == 0) return;
  ASSERT_EQ(set->size(), static_cast<std::size_t>(kSeriesPerWriter));
  const auto last = set->last_sample(0, {}).value();
  ASSERT_TRUE(last.has_value());
  for (std::size_t i = 0; i < set->size(); ++i) {
    ASSERT_EQ(set->last_sample(i, {}).value(), last);
    SampleColumns columns;
    ASSERT_TRUE(set->read(i, {}, columns).ok());
    ASSERT_EQ(columns.size(), static_cast<std::size_t>(last->v) + 1);
    for (std::size_t k = 0; k < columns.size(); ++k) {
      ASSERT_EQ(columns.times_ms[k], static_cast<std::int64_t>(k) * 100);
    }
  }
  ASSERT_GE(querier->label_values("id", matchers).value().size(),
            static_cast<std::size_t>(kSeriesPerWriter));
}

TEST(DbConcurrency, WritersReadersAndTheCutterDoNotDisturbEachOther) {
  testing::FaultyFileSystem disk;
  NullLogger log;
  Options options;
  options.block_range = seconds(2);
  options.wal_segment_bytes = 32 << 10;
  options.retention = Duration{0};
  const auto db = Db::open(disk, "data", options, log, nullptr).value();
  std::atomic<int> acknowledged = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> writers;
  std::vector<std::thread> others;
  others.emplace_back([&] {
    while (db->sync_due()) {
    }
  });
  others.emplace_back([&] {
    for (int i = 0; !done; ++i) db->run_due(Timestamp{1'000'000 + i});
  });
  others.emplace_back([&] {
    for (int i = 0; !done; ++i) check_whole_commits(*db, i % kWriters);
  });
  Meeting meeting(kWriters);
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] { write(*db, w, meeting, acknowledged); });
  }
  for (std::thread& thread : writers) thread.join();
  done = true;
  db->interrupt_sync();
  for (std::thread& thread : others) thread.join();
  db->interrupt_sync();
  db->sync_due();
  db->run_due(Timestamp{2'000'000});
  EXPECT_EQ(acknowledged, kWriters * kCommits);
  EXPECT_FALSE(db->blocks().empty());
  for (int w = 0; w < kWriters; ++w) check_whole_commits(*db, w);
}

}  // namespace
}  // namespace tarsier::tsdb
