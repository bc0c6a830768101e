#include "tsdb/wal/group_commit_log.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"

namespace tarsier::tsdb {
namespace {

TEST(GroupCommitLog, TellsWaitersOnlyAfterTheSync) {
  testing::FaultyFileSystem files;
  Options options;
  auto log = GroupCommitLog::open(files, "data/wal", options).value();
  EncodedRecord record;
  record.encode(as_bytes("hello"), options.wal_compression);
  const LogPosition position = log->append(record).value();
  int told = 0;
  log->when_synced(position, [&](Status s) { told += s.ok() ? 1 : 100; });
  EXPECT_EQ(told, 0);
  ASSERT_TRUE(log->flush().ok());
  EXPECT_EQ(told, 1);
  log->when_synced(position, [&](Status s) { told += s.ok() ? 1 : 100; });
  EXPECT_EQ(told, 2);
  EXPECT_EQ(log->synced_position(), position);
  EXPECT_TRUE(log->close().ok());
}

}  // namespace
}  // namespace tarsier::tsdb
