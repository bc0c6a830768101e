#include "tsdb/wal/checkpoint.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tsdb/wal/log_format.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;
using testing::lay_out;
using testing::LogContents;
using testing::put_file;
using testing::read_log;

std::string series(std::uint64_t ref) {
  std::string record;
  encode_series(std::vector<RefSeries>{{SeriesRef{ref}, {{"id", std::to_string(ref)}}}}, record);
  return record;
}

/// One sample of every ref at time `t`, value `t`.
std::string samples(std::vector<std::uint64_t> refs, std::int64_t t) {
  std::vector<RefSample> all;
  for (const std::uint64_t ref : refs) {
    all.push_back({SeriesRef{ref}, Timestamp{t}, static_cast<double>(t)});
  }
  std::string record;
  encode_samples(all, record);
  return record;
}

std::string tombstone(std::uint64_t ref, std::int64_t min, std::int64_t max) {
  std::string record;
  encode_tombstones(std::vector<RefTombstone>{{SeriesRef{ref}, Timestamp{min}, Timestamp{max}}},
                    record);
  return record;
}

std::string metadata(std::uint64_t ref, const std::string& help) {
  std::string record;
  encode_metadata(std::vector<RefMetadata>{{SeriesRef{ref}, {MetricType::kGauge, "", help}}},
                  record);
  return record;
}

void put_segment(FileSystem& files, std::uint32_t segment,
                 const std::vector<std::string>& records) {
  const auto contents = lay_out(records, WalCompression::kSnappy, std::size_t{1} << 20);
  put_file(files, join_path("data/wal", segment_name(segment)), contents.at(0));
}

CheckpointPlan plan_until(std::uint32_t last_segment, std::int64_t min_time) {
  CheckpointPlan plan;
  plan.last_segment = last_segment;
  plan.min_time = Timestamp{min_time};
  plan.segment_bytes = kLogPageBytes;
  return plan;
}

bool keep_odd(SeriesRef ref) { return ref.value % 2 == 1; }

TEST(Checkpoint, KeepsWhatIsStillNeeded) {
  FaultyFileSystem files;
  put_segment(files, 0,
              {series(1), series(2), metadata(1, "old"), samples({1, 2}, 10), std::string("\x55")});
  put_segment(files, 1,
              {series(3), metadata(1, "new"), metadata(2, "gone"), samples({1, 3}, 20),
               tombstone(1, 0, 15), tombstone(3, 0, 25), tombstone(2, 0, 99)});
  put_segment(files, 2, {samples({1, 3}, 30)});
  const auto statistics = create_checkpoint(files, "data/wal", plan_until(1, 20), keep_odd).value();
  EXPECT_EQ(
      read_log(files, "data/wal").records,
      (std::vector<std::string>{series(1), series(3), samples({1, 3}, 20), tombstone(3, 0, 25),
                                metadata(1, "new"), samples({1, 3}, 30)}));
  EXPECT_EQ(statistics.series.kept, 2u);
  EXPECT_EQ(statistics.series.dropped, 1u);
  EXPECT_EQ(statistics.samples.kept, 2u);
  EXPECT_EQ(statistics.samples.dropped, 2u);
  EXPECT_EQ(statistics.tombstones.dropped, 2u);
  EXPECT_EQ(statistics.unknown_records_dropped, 1u);
  ASSERT_TRUE(remove_superseded(files, "data/wal").ok());
  EXPECT_FALSE(files.exists("data/wal/00000001"));
  EXPECT_EQ(read_log(files, "data/wal").records.size(), 6u);
}

TEST(Checkpoint, BuildsOnTheOneBefore) {
  FaultyFileSystem files;
  put_segment(files, 0, {series(1), samples({1}, 10)});
  put_segment(files, 1, {samples({1}, 20)});
  ASSERT_TRUE(create_checkpoint(files, "data/wal", plan_until(1, 0), keep_odd).ok());
  ASSERT_TRUE(remove_superseded(files, "data/wal").ok());
  put_segment(files, 2, {series(3), samples({3}, 30)});
  ASSERT_TRUE(create_checkpoint(files, "data/wal", plan_until(2, 20), keep_odd).ok());
  ASSERT_GT(remove_superseded(files, "data/wal").value(), 0u);
  EXPECT_FALSE(files.exists("data/wal/checkpoint.00000001"));
  EXPECT_EQ(read_log(files, "data/wal").records,
            (std::vector<std::string>{series(1), samples({1}, 20), series(3), samples({3}, 30)}));
}

TEST(Checkpoint, RefusesADamagedLogAndChangesNothing) {
  FaultyFileSystem files;
  put_segment(files, 0, {series(1), "\x02 not samples", samples({1}, 10)});
  put_segment(files, 1, {samples({1}, 20)});
  const Status status = create_checkpoint(files, "data/wal", plan_until(1, 0), keep_odd).status();
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_NE(status.message().find("data/wal/00000000 at "), std::string::npos) << status.message();
  EXPECT_EQ(files.list("data/wal").value().size(), 2u);
  EXPECT_EQ(create_checkpoint(files, "data/wal", plan_until(7, 0), keep_odd).status().code(),
            Code::kInvalid);
}

TEST(Checkpoint, KeepsHistogramRecordsWholeWhileTheyAreYoungEnough) {
  std::string record("\x07", 1);
  put_be64(record, 1);
  put_be64(record, 100);
  put_varint(record, 0);
  put_varint(record, 0);
  put_u8(record, 0);
  put_varint(record, 0);
  put_f64(record, 0);
  put_uvarint(record, 0);
  put_uvarint(record, 0);
  put_f64(record, 0);
  for (int list = 0; list < 4; ++list) put_uvarint(record, 0);
  for (const std::int64_t min_time : {100, 101}) {
    FaultyFileSystem files;
    put_segment(files, 0, {record});
    ASSERT_TRUE(create_checkpoint(files, "data/wal", plan_until(0, min_time), keep_odd).ok());
    ASSERT_TRUE(remove_superseded(files, "data/wal").ok());
    const LogContents contents = read_log(files, "data/wal");
    EXPECT_TRUE(contents.status.ok());
    EXPECT_EQ(contents.records.size(), min_time == 100 ? 1u : 0u);
  }
}

TEST(Checkpoint, ReplacesTwoThirdsOfTheFinishedSegments) {
  EXPECT_EQ(choose_checkpoint_end(0, 0), std::nullopt);
  EXPECT_EQ(choose_checkpoint_end(0, 2), std::nullopt);
  EXPECT_EQ(choose_checkpoint_end(0, 3), 1u);
  EXPECT_EQ(choose_checkpoint_end(10, 20), 16u);
}

TEST(Checkpoint, LosesNothingWhateverMomentThePowerGoes) {
  const auto run = [](FaultyFileSystem& files) {
    const auto made = create_checkpoint(files, "data/wal", plan_until(2, 20), keep_odd);
    return made.ok() && remove_superseded(files, "data/wal").ok();
  };
  const auto needed = [](FileSystem& files) {
    const LogContents contents = read_log(files, "data/wal");
    EXPECT_TRUE(contents.status.ok()) << contents.status.message();
    std::vector<std::string> records = contents.records;
    std::erase(records, samples({1}, 10));  // Old: may be there or not.
    return records;
  };
  for (std::uint64_t cut = 1;; ++cut) {
    FaultyFileSystem files;
    put_segment(files, 0, {series(1), samples({1}, 10)});
    put_segment(files, 1, {samples({1}, 20)});
    put_segment(files, 2, {samples({1}, 30)});
    put_segment(files, 3, {samples({1}, 40)});
    const auto expected = needed(files);
    files.cut_power_at(files.operation_count() + cut);
    const bool is_done = run(files);
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
      SCOPED_TRACE("cut " + std::to_string(cut) + " seed " + std::to_string(seed));
      const auto later = files.after_power_cut(seed);
      EXPECT_EQ(needed(*later), expected);
      const auto segments = list_segments(*later, "data/wal").value();
      for (std::size_t i = 1; i < segments.size(); ++i) EXPECT_EQ(segments[i], segments[i - 1] + 1);
      ASSERT_TRUE(remove_superseded(*later, "data/wal").ok());
      EXPECT_EQ(needed(*later), expected);
    }
    if (is_done) break;
  }
}

}  // namespace
}  // namespace tarsier::tsdb
