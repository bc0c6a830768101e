#include "alerting/notifier/log.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"

namespace tarsier::alerting {
namespace {

Status put(FileSystem& files, const std::string& contents) {
  TRY(files.create_directories("n"));
  auto file = TRY(files.open_writable("n/00000001.log", OpenMode::kTruncate));
  TRY(file->append(as_bytes(contents)));
  return file->sync();
}

std::string frame(const std::vector<Record>& records) {
  std::string payload;
  for (const Record& record : records) encode_record(payload, record);
  std::string out;
  put_be32(out, static_cast<std::uint32_t>(payload.size()));
  put_be32(out, crc32c(as_bytes(payload)));
  return out + payload;
}

const Record kSilenceGone = SilenceGoneRecord{"ab-cd"};
const Record kGroup = GroupRecord{"hook", "{}:{", Timestamp{1'700'000'000'000}, true};

TEST(NotifierLog, TheFormatPageIsRight) {
  EXPECT_EQ(tarsier::testing::format_example(
                std::string(TARSIER_SOURCE_DIR) + "/alerting/notifier/FORMAT.md", "Example"),
            "TARSNTF1" + frame({kSilenceGone}) + frame({kGroup}));
}

TEST(NotifierLog, EveryRecordComesBack) {
  Alert alert;
  alert.labels = tsdb::Labels{{"alertname", "X"}, {"job", "a"}};
  alert.annotations = {{"empty", ""}, {"summary", "s"}};
  alert.value = 1.5;
  alert.starts_at = Timestamp{5};
  alert.ends_at = Timestamp{-7};
  alert.generator_url = "http://x";
  alert.resolve_reason = ResolveReason::kRuleRemoved;
  Silence silence;
  silence.id = "i";
  silence.matchers = {tsdb::Matcher::equal("a", "b"),
                      *tsdb::Matcher::create(tsdb::MatchOp::kNotRegex, "c", "d.*")};
  silence.created_by = "me";
  const Message message{"id", "r/webhook[0]", "r", "{}:{}", Timestamp{9}, "http://y", "{}\n", 3, 4};
  const std::vector<Record> records = {
      LoggedAlert{alert},
      AlertGoneRecord{Fingerprint{77}},
      kGroup,
      GroupGoneRecord{"hook", "k"},
      NotifiedRecord{"r/webhook[0]", "k", Timestamp{1}, Timestamp{2}, {1, 2}, {3}},
      NotifiedGoneRecord{"r", "k"},
      MessageRecord{message},
      AttemptRecord{"id", 2, Timestamp{1}, Timestamp{2}, 503, "busy"},
      DeliveredRecord{"id", Timestamp{3}, 200},
      DeadRecord{"id", Timestamp{3}, "why"},
      ReplayedRecord{"id", Timestamp{3}},
      DeadGoneRecord{"id"},
      HistoryRecord{"id", "r", "k", Timestamp{1}, Timestamp{2}, 200, 1, 2, 3},
      SilenceRecord{silence},
      kSilenceGone};
  ASSERT_EQ(records.size(), std::variant_size_v<Record>);
  std::string payload;
  for (const Record& record : records) encode_record(payload, record);
  const Result<std::vector<Record>> back = decode_records(as_bytes(payload));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_TRUE(*back == records);
  for (std::size_t size = 1; size < payload.size(); ++size) {
    (void)decode_records(as_bytes(std::string_view(payload).substr(0, size)));
  }
}

TEST(NotifierLog, ATornTailIsCutOffAndDamageIsAnError) {
  const std::string whole = "TARSNTF1" + frame({kGroup});
  const std::string second = frame({kSilenceGone});
  for (std::size_t cut = 0; cut < second.size(); ++cut) {
    tarsier::testing::FaultyFileSystem disk;
    ASSERT_TRUE(put(disk, whole + second.substr(0, cut)).ok());
    Result<NotifierLog::Opened> opened = NotifierLog::open(disk, "n");
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_EQ(opened->torn_bytes, cut);
    EXPECT_EQ(opened->state.groups.size(), 1u);
    ASSERT_TRUE(opened->log->commit("\x0f\x01x").ok());
    EXPECT_TRUE(NotifierLog::open(disk, "n").ok());
  }
  std::string damaged = whole + second;
  damaged[20] ^= 1;
  tarsier::testing::FaultyFileSystem disk;
  ASSERT_TRUE(put(disk, damaged).ok());
  EXPECT_EQ(NotifierLog::open(disk, "n").status().code(), Code::kCorruption);
  ASSERT_TRUE(put(disk, "something else").ok());
  EXPECT_EQ(NotifierLog::open(disk, "n").status().code(), Code::kCorruption);
}

TEST(NotifierLog, CompactionKeepsTheState) {
  tarsier::testing::FaultyFileSystem disk;
  Result<NotifierLog::Opened> opened = NotifierLog::open(disk, "n");
  ASSERT_TRUE(opened.ok());
  std::string payload;
  for (int i = 0; i < 50'000; ++i) encode_record(payload, kGroup);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(opened->log->commit(payload).ok());
  EXPECT_TRUE(opened->log->wants_compaction());
  opened->state.apply(kGroup);
  ASSERT_TRUE(opened->log->compact(opened->state).ok());
  EXPECT_LT(opened->log->size_bytes(), 100u);
  const Result<NotifierLog::Opened> again = NotifierLog::open(disk, "n");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->state.groups.size(), 1u);
  EXPECT_EQ(disk.list("n")->size(), 1u);
}

TEST(NotifierLog, AFailedSyncStopsAllFurtherWrites) {
  tarsier::testing::FaultyFileSystem disk;
  Result<NotifierLog::Opened> opened = NotifierLog::open(disk, "n");
  ASSERT_TRUE(opened.ok());
  disk.fail_sync(1);
  EXPECT_FALSE(opened->log->commit("\x0f\x01x").ok());
  EXPECT_FALSE(opened->log->commit("\x0f\x01x").ok());
}

}  // namespace
}  // namespace tarsier::alerting
