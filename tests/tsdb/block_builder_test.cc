#include "tsdb/block_builder.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tsdb/block_analysis.h"
#include "tsdb/offline.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;
using Contents = std::map<std::string, std::vector<std::int64_t>>;

Contents read_all(FileSystem& files) {
  NullLogger log;
  const auto db = OfflineDb::open(files, "out", OfflineDb::Scope::kBlocksAndLog, log).value();
  const auto set = db->querier({}).value()->select({}, {}, nullptr).value();
  Contents out;
  for (std::size_t i = 0; i < set->size(); ++i) {
    SampleColumns columns;
    EXPECT_TRUE(set->read(i, {}, columns).ok());
    out[std::string(set->label(i, "host"))] = columns.times_ms;
  }
  return out;
}

Labels series(int i) { return {{"__name__", "m"}, {"host", std::to_string(i)}}; }

/// A minute apart over `minutes_count`, series by series; as little memory as asked for.
std::vector<BlockSummary> build(FileSystem& files, std::size_t memory_bytes_max, int minutes_count,
                                Contents& expected) {
  auto builder =
      BlockBuilder::create(files, "out",
                           {.memory_bytes_max = memory_bytes_max, .now = Timestamp{1'000'000}})
          .value();
  for (int i = 0; i < 5; ++i) {
    std::size_t number = builder->add_series(series(i));
    for (int n = 0; n < minutes_count; ++n) {
      const Timestamp t{60'000LL * n + i};
      expected[std::to_string(i)].push_back(t.ms);
      if (builder->append(number, {t, 1.5}).value() == BlockBuilder::Appended::kForgotten) {
        number = builder->add_series(series(i));
      }
    }
  }
  return builder->finish().value();
}

TEST(BlockBuilder, CutsAtMultiplesOfTheBlockDuration) {
  FaultyFileSystem files;
  Contents expected;
  const std::vector<BlockSummary> blocks = build(files, std::size_t{1} << 30, 300, expected);
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(blocks[0].min_time, Timestamp{0});
  EXPECT_EQ(blocks[1].min_time, Timestamp{7'200'000});
  EXPECT_EQ(blocks[0].sample_count, 600u);
  EXPECT_EQ(blocks[0].series_count, 5u);
  EXPECT_EQ(read_all(files), expected);
  EXPECT_EQ(files.list("out").value().size(), 3u);  // Nothing else is left behind.
}

TEST(BlockBuilder, WithLittleMemoryMakesTheSameBlocks) {
  FaultyFileSystem files;
  Contents expected;
  const std::vector<BlockSummary> blocks = build(files, 2000, 300, expected);
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(read_all(files), expected);
  EXPECT_EQ(blocks[0].compaction_level, 1);
  EXPECT_EQ(files.list("out").value().size(), 3u);
}

TEST(BlockBuilder, RefusesDisorderAndLeavesNothing) {
  FaultyFileSystem files;
  {
    auto builder = BlockBuilder::create(files, "out", {}).value();
    const std::size_t number = builder->add_series(series(1));
    ASSERT_TRUE(builder->append(number, {Timestamp{1000}, 1}).ok());
    EXPECT_TRUE(builder->append(number, {Timestamp{1000}, 1}).ok());
    const Status duplicate = builder->append(number, {Timestamp{1000}, 2}).status();
    EXPECT_EQ(duplicate.message(), "duplicate sample of m{host=\"1\"} at 1000");
    const Status late = builder->append(number, {Timestamp{999}, 1}).status();
    EXPECT_EQ(late.message(), "out of order sample of m{host=\"1\"} at 999");
  }
  EXPECT_TRUE(files.list("out").value().empty());
}

TEST(BlockBuilder, KnowsTheLengthsOfBlocks) {
  EXPECT_EQ(backfill_block_duration(minutes(5)), hours(2));
  EXPECT_EQ(backfill_block_duration(hours(17)), hours(6));
  EXPECT_EQ(backfill_block_duration(hours(18)), hours(18));
}

TEST(BlockAnalysis, CountsWhatABlockIsMadeOf) {
  FaultyFileSystem files;
  Contents expected;
  build(files, std::size_t{1} << 30, 300, expected);
  const BlockAnalysis all = analyze_block(files, "out", {.with_chunks = true}).value();
  EXPECT_EQ(all.series_count, 5u);
  EXPECT_EQ(all.label_pair_count, 6u);
  EXPECT_EQ(all.posting_count, 10u);
  EXPECT_EQ(all.values_by_label_name.front(), (std::pair<std::uint64_t, std::string>{5, "host"}));
  EXPECT_EQ(all.series_by_label_pair.front(),
            (std::pair<std::uint64_t, std::string>{5, "__name__=m"}));
  EXPECT_EQ(all.float_chunks.samples, std::vector<std::uint32_t>(5, 60));
  const BlockAnalysis one =
      analyze_block(files, "out", {.ulid = all.ulid, .matchers = {Matcher::equal("host", "3")}})
          .value();
  EXPECT_EQ(one.matched_count, 1u);
  EXPECT_EQ(analyze_block(files, "out", {.ulid = "nope"}).status().message(),
            "block nope not found");
}

}  // namespace
}  // namespace tarsier::tsdb
