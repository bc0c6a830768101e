#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tests/support/log_tools.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

const std::string kPage = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";

TEST(WalFormatPage, ShowsASegmentThatReadsAsItSays) {
  const std::string segment = testing::format_example(kPage, "Write-ahead log");
  testing::FaultyFileSystem files;
  testing::put_file(files, "wal/00000000", segment);
  const testing::LogContents contents = testing::read_log(files, "wal");
  ASSERT_TRUE(contents.status.ok()) << contents.status.message();
  ASSERT_EQ(contents.records.size(), 6u);

  std::vector<RefSeries> series;
  ASSERT_TRUE(decode_series(as_bytes(contents.records[0]), series).ok());
  EXPECT_EQ(series, (std::vector<RefSeries>{{SeriesRef{7}, {{"__name__", "up"}, {"job", "a"}}}}));
  std::vector<RefSample> samples;
  ASSERT_TRUE(decode_samples(as_bytes(contents.records[1]), samples).ok());
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].ref, SeriesRef{7});
  EXPECT_EQ(samples[0].t, Timestamp{1700000000000});
  EXPECT_EQ(samples[0].v, 1.5);
  EXPECT_EQ(samples[1].ref, SeriesRef{5});
  EXPECT_EQ(samples[1].t, Timestamp{1700000000010});
  EXPECT_EQ(samples[1].v, -2.0);
  std::vector<RefTombstone> tombstones;
  ASSERT_TRUE(decode_tombstones(as_bytes(contents.records[2]), tombstones).ok());
  EXPECT_EQ(tombstones,
            (std::vector<RefTombstone>{{SeriesRef{7}, Timestamp{1000}, Timestamp{2000}}}));
  std::vector<RefExemplar> exemplars;
  ASSERT_TRUE(decode_exemplars(as_bytes(contents.records[3]), exemplars).ok());
  ASSERT_EQ(exemplars.size(), 1u);
  EXPECT_EQ(exemplars[0].v, 0.25);
  EXPECT_EQ(exemplars[0].labels, (Labels{{"id", "x"}}));
  std::vector<RefMetadata> metadata;
  ASSERT_TRUE(decode_metadata(as_bytes(contents.records[4]), metadata).ok());
  EXPECT_EQ(metadata, (std::vector<RefMetadata>{{SeriesRef{7}, {MetricType::kGauge, "", "Up."}}}));
  ASSERT_TRUE(decode_series(as_bytes(contents.records[5]), series).ok());
  EXPECT_EQ(series, (std::vector<RefSeries>{{SeriesRef{8}, {{"a", std::string(24, 'a')}}}}));
}

TEST(WalFormatPage, ShowsWhatIsWritten) {
  testing::FaultyFileSystem files;
  const std::string segment = testing::format_example(kPage, "Write-ahead log");
  testing::put_file(files, "wal/00000000", segment);
  std::vector<std::string> records = testing::read_log(files, "wal").records;
  ASSERT_EQ(records.size(), 6u);
  records.pop_back();  // How Snappy compresses is for the library to say.
  const std::string written = testing::lay_out(records, WalCompression::kNone, 1 << 20).at(0);
  EXPECT_EQ(segment.substr(0, written.size()), written);
}

}  // namespace
}  // namespace tarsier::tsdb
