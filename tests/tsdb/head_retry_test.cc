#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {
namespace {

TEST(HeadRetry, ARepeatedSampleWaitsForTheSyncOfTheFirst) {
  testing::FaultyFileSystem files;
  const Options options;
  const auto log = GroupCommitLog::open(files, "wal", options).value();
  Head head(options);
  head.attach_log(log.get());
  const auto send = [&](double v) {
    const auto appender = head.appender();
    const SeriesRef series = appender->resolve({{"__name__", "up"}}).value();
    const AppendOutcome outcome = appender->append(series, {Timestamp{1000}, v});
    return std::pair(outcome, appender->commit().value());
  };
  const auto [first, first_position] = send(1);
  EXPECT_EQ(first, AppendOutcome::kAppended);
  const auto [second, second_position] = send(1);
  EXPECT_EQ(second, AppendOutcome::kIgnored);
  EXPECT_GE(second_position, first_position);
  EXPECT_GT(second_position, log->synced_position());

  bool answered = false;
  log->when_synced(second_position, [&](const Status& status) { answered = status.ok(); });
  EXPECT_FALSE(answered);
  ASSERT_TRUE(log->flush().ok());
  EXPECT_TRUE(answered);

  EXPECT_EQ(send(2), std::pair(AppendOutcome::kDuplicate, LogPosition{}));  // Nothing to wait for.
  EXPECT_TRUE(log->close().ok());
}

}  // namespace
}  // namespace tarsier::tsdb
