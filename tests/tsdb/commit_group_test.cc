// A commit of several records is in the log as a whole or, for a start, not at all.

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tsdb/db.h"
#include "tsdb/wal/commit_group.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

class CommitGroupTest : public ::testing::Test {
 protected:
  void open() {
    db_ = Db::open(*disk_, "data", options_, log_, nullptr).value();
    db_->interrupt_sync();
  }
  /// A float, a histogram and an exemplar in one commit.
  void commit(std::int64_t t) {
    const auto appender = db_->appender();
    const SeriesRef a = appender->resolve({{"__name__", "a"}}).value();
    const SeriesRef h = appender->resolve({{"__name__", "h"}}).value();
    appender->append(a, {Timestamp{t}, 1.0});
    IntegerHistogram histogram;
    histogram.layout.positive_spans = {{0, 1}};
    histogram.positive_deltas = {3};
    histogram.count = 3;
    appender->append_histogram(h, Timestamp{t}, histogram);
    appender->append_exemplar(a, {{{"id", "x"}}, 1.0, Timestamp{t}});
    ASSERT_TRUE(appender->commit().ok());
    db_->sync_due();
  }
  /// How many samples there are of both kinds.
  std::pair<std::size_t, std::size_t> counts() {
    SampleColumns floats;
    HistogramColumns histograms;
    const auto querier = db_->querier({}).value();
    const auto set = querier->select({}, {}, nullptr).value();
    for (std::size_t i = 0; i < set->size(); ++i) {
      EXPECT_TRUE(set->read_mixed(i, {}, floats, histograms).ok());
    }
    return {floats.size(), histograms.size()};
  }

  Options options_{.wal_compression = WalCompression::kNone};
  NullLogger log_;
  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  std::unique_ptr<Db> db_;
};

TEST_F(CommitGroupTest, SurvivesWholeOrNotAtAllWhereverTheLogEnds) {
  open();
  commit(1000);
  const std::size_t first = testing::get_file(*disk_, "data/wal/00000000").size();
  commit(2000);
  db_.reset();
  const std::string log = testing::get_file(*disk_, "data/wal/00000000");
  ASSERT_GT(log.size(), first);
  for (std::size_t size = first; size <= log.size(); ++size) {
    SCOPED_TRACE(size);
    disk_ = std::make_unique<FaultyFileSystem>();
    testing::put_file(*disk_, "data/wal/00000000", log.substr(0, size));
    const std::size_t expected = size == log.size() ? 2 : 1;
    open();
    EXPECT_EQ(counts(), std::pair(expected, expected));
    // What was cut off stays so, and what follows is not taken for the rest of it.
    commit(3000);
    db_.reset();
    open();
    EXPECT_EQ(counts(), std::pair(expected + 1, expected + 1));
    db_.reset();
  }
}

TEST(CommitGroup, IsKeptWithinOneSegment) {
  FaultyFileSystem disk;
  NullLogger log;
  Options options;
  options.wal_segment_bytes = 32 << 10;
  options.wal_compression = WalCompression::kNone;
  auto db = Db::open(disk, "data", options, log, nullptr).value();
  for (int i = 0; i < 400; ++i) {
    const auto appender = db->appender();
    for (int k = 0; k < 1 + i % 20; ++k) {
      const auto ref = appender->resolve({{"__name__", "m" + std::to_string(k)}}).value();
      if (k % 2 == 0) {
        appender->append(ref, {Timestamp{1000 * i}, 1.0});
      } else {
        FloatHistogram histogram;
        histogram.layout.positive_spans = {{0, 1}};
        histogram.positive_counts = {1.0 * i};
        histogram.count = 1.0 * i;
        appender->append_float_histogram(ref, Timestamp{1000 * i}, histogram);
      }
    }
    ASSERT_TRUE(appender->commit().ok());
  }
  ASSERT_TRUE(db->close().ok());
  db.reset();
  const auto reader = LogReader::open(disk, "data/wal").value();
  std::size_t missing = 0;
  std::size_t groups = 0;
  std::uint32_t segment = 0;
  while (reader->next()) {
    if (const auto count = decode_commit_group(reader->record())) {
      EXPECT_EQ(missing, 0u);
      missing = *count;
      segment = reader->segment();
      ++groups;
    } else if (missing > 0) {
      EXPECT_EQ(reader->segment(), segment);
      --missing;
    }
  }
  EXPECT_TRUE(reader->status().ok());
  EXPECT_GT(groups, 300u);
  EXPECT_GT(segment, 3u);
}

TEST(CommitGroup, IsRefusedIfItIsNone) {
  std::string record;
  encode_commit_group(3, record);
  EXPECT_EQ(record, "\xf0\x03");
  EXPECT_EQ(decode_commit_group(as_bytes(record)), std::optional<std::size_t>(3));
  for (const std::string bad : {"", "\xf0", "\x02\x03", "\xf0\x03\x01", "\xf0\xff\xff\x03"}) {
    EXPECT_EQ(decode_commit_group(as_bytes(bad)), std::nullopt);
  }
}

}  // namespace
}  // namespace tarsier::tsdb
