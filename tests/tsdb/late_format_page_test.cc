#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tests/support/log_tools.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/head/head_chunk_files.h"
#include "tsdb/wal/histogram_record.h"
#include "tsdb/wal/mmap_markers.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

const std::string kPage = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";

TEST(LateFormatPage, ShowsAWriteBehindLogAsItIsWritten) {
  const std::string segment = testing::format_example(kPage, "Write-behind log");
  testing::FaultyFileSystem files;
  testing::put_file(files, "wbl/00000000", segment);
  const testing::LogContents contents = testing::read_log(files, "wbl");
  ASSERT_TRUE(contents.status.ok()) << contents.status.message();
  ASSERT_EQ(contents.records.size(), 4u);
  std::vector<std::string> written(4);

  const std::vector<RefSample> samples = {{SeriesRef{7}, Timestamp{1'700'000'000'000}, 1.5}};
  encode_samples(samples, written[0]);
  IntegerHistogram h;
  h.layout.schema = 1;
  h.layout.zero_threshold = 0.001;
  h.layout.positive_spans = {{0, 2}};
  h.positive_deltas = {2, 1};
  h.zero_count = 1;
  h.count = 6;
  h.sum = 10.5;
  const std::vector<RefHistogram> histograms = {{SeriesRef{7}, Timestamp{1'699'999'999'000}, h}};
  encode_histograms(histograms, RecordType::kHistograms, written[1]);
  const std::vector<MmapMarker> markers = {{SeriesRef{7}, head_chunk_ref(1, 8)}};
  encode_markers(markers, written[2]);
  const std::vector<RefTombstone> gone = {{SeriesRef{7}, Timestamp{1000}, Timestamp{2000}}};
  encode_tombstones(gone, written[3]);
  EXPECT_EQ(contents.records, written);
}

TEST(LateFormatPage, ShowsAHeadChunkFile) {
  const std::string file = testing::format_example(kPage, "Head chunk file");
  testing::FaultyFileSystem disk;
  testing::put_file(disk, "chunks_head/000001", file);
  NullLogger log;
  const auto files = HeadChunkFiles::open(disk, "chunks_head", "lost", log).value();
  ASSERT_EQ(files->found().size(), 2u);
  const HeadChunkEntry first = files->entry(files->found()[0]);
  EXPECT_EQ(files->found()[0].ref(), head_chunk_ref(1, 8));
  EXPECT_EQ(first.header.series_ref, 7u);
  EXPECT_EQ(first.header.min_time, Timestamp{1'700'000'000'000});
  EXPECT_EQ(first.header.max_time, Timestamp{1'700'000'083'192});
  EXPECT_FALSE(first.header.is_out_of_order);
  EXPECT_EQ(std::string(as_text(first.data)), testing::format_example(kPage, "XOR chunk"));
  const HeadChunkEntry second = files->entry(files->found()[1]);
  EXPECT_TRUE(second.header.is_out_of_order);
  EXPECT_EQ(second.header.encoding, 1);
  XorIterator samples(second.data);
  ASSERT_TRUE(samples.next());
  EXPECT_EQ(samples.sample(), (Sample{Timestamp{1'700'000'000'000}, 1.0}));
  EXPECT_FALSE(samples.next());
}

}  // namespace
}  // namespace tarsier::tsdb
