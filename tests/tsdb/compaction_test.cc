// Blocks are compacted when Prometheus would, and nothing is lost or made up by it.

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/compaction/compactor.h"
#include "tsdb/compaction/planner.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;

constexpr std::uint64_t kSegmentBytes = std::uint64_t{512} << 20;

/// Blocks numbered from 1 that cover [begin, end) each.
std::vector<BlockMeta> metas(const std::vector<std::pair<std::int64_t, std::int64_t>>& ranges) {
  std::vector<BlockMeta> metas;
  for (const auto& [begin, end] : ranges) {
    BlockMeta& meta = metas.emplace_back();
    meta.ulid = test_ulid(static_cast<int>(metas.size()));
    meta.min_time = Timestamp{begin};
    meta.max_time = Timestamp{end};
    meta.series_count = 100;
  }
  return metas;
}

std::vector<int> plan(const std::vector<BlockMeta>& blocks) {
  const std::vector<Duration> ranges = {milliseconds(20), milliseconds(60), milliseconds(180)};
  std::vector<int> numbers;
  for (const Ulid& ulid : plan_compaction(blocks, ranges)) {
    numbers.push_back(static_cast<int>(ulid.created().ms - test_ulid(0).created().ms));
  }
  return numbers;
}

TEST(CompactionPlanner, RangesGrowThreefoldUpToTheLimit) {
  EXPECT_EQ(compaction_ranges(hours(2), hours(36)),
            (std::vector<Duration>{hours(2), hours(6), hours(18)}));
  EXPECT_EQ(compaction_ranges(hours(2), hours(1)), std::vector<Duration>{hours(2)});
  EXPECT_EQ(compaction_ranges(milliseconds(1), kMaxTimestamp - Timestamp{}).size(), 10u);
}

TEST(CompactionPlanner, ChoosesWhatPrometheusWould) {
  using Plan = std::vector<int>;
  EXPECT_EQ(plan({}), Plan{});
  EXPECT_EQ(plan(metas({{0, 20}})), Plan{});
  // The newest block is left alone; a window is compacted once it is full ...
  EXPECT_EQ(plan(metas({{0, 20}, {20, 40}, {40, 60}})), Plan{});
  EXPECT_EQ(plan(metas({{0, 20}, {20, 40}, {40, 60}, {60, 80}})), (Plan{1, 2, 3}));
  // ... or once time has moved on past it.
  EXPECT_EQ(plan(metas({{0, 20}, {20, 40}, {60, 80}, {80, 100}})), (Plan{1, 2}));
  EXPECT_EQ(plan(metas({{0, 20}, {60, 80}, {120, 140}})), Plan{});
  // Compacted blocks are compacted again.
  EXPECT_EQ(plan(metas({{0, 60}, {60, 120}, {120, 180}, {180, 200}})), (Plan{1, 2, 3}));
  EXPECT_EQ(plan(metas({{-60, -40}, {-40, -20}, {-20, 0}, {0, 20}})), (Plan{1, 2, 3}));
  // Overlap comes first, the newest block included.
  EXPECT_EQ(plan(metas({{0, 20}, {20, 40}, {40, 60}, {60, 80}, {70, 90}, {89, 100}})),
            (Plan{4, 5, 6}));
}

TEST(CompactionPlanner, LeavesFailedAndHintedBlocksOut) {
  using Plan = std::vector<int>;
  std::vector<BlockMeta> blocks = metas({{0, 20}, {20, 40}, {40, 60}, {60, 80}});
  blocks[1].compaction_failed = true;
  EXPECT_EQ(plan(blocks), Plan{});
  blocks = metas({{0, 20}, {10, 20}, {20, 40}, {30, 40}});
  blocks[1].compaction_failed = true;
  EXPECT_EQ(plan(blocks), (Plan{3, 4})) << "nor are they tried again because they overlap";
  blocks = metas({{0, 20}, {0, 20}, {20, 40}});
  blocks[1].hints = {std::string(kHintStaleSeries)};
  EXPECT_EQ(plan(blocks), Plan{}) << "they overlap, but are planned apart";
}

TEST(CompactionPlanner, RewritesABlockOfWhichMuchIsDeleted) {
  std::vector<BlockMeta> blocks = metas({{0, 180}, {180, 360}, {360, 380}});
  blocks[0].tombstone_count = 6;
  EXPECT_EQ(plan(blocks), std::vector<int>{1});
  blocks[0].tombstone_count = 5;
  EXPECT_EQ(plan(blocks), std::vector<int>{});
}

TEST(Compactor, MergesRandomBlocksWithoutLossOrInvention) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    testing::FaultyFileSystem files;
    BlockModel expected;
    BlockList inputs;
    const bool overlapping = seed % 2 == 0;
    for (int b = 0; b < 1 + static_cast<int>(seed % 4); ++b) {
      BlockModel model;
      for (int s = 0; s < 20; ++s) {
        if (random() % 3 == 0) continue;
        const Labels labels{{"a", std::to_string(s % 7)}, {"b", std::to_string(s)}};
        std::int64_t t = (overlapping ? b * 300 : b * 100'000) + static_cast<int>(random() % 50);
        for (auto n = 1 + random() % 300; n > 0; --n) {
          model[labels].push_back({Timestamp{t}, static_cast<double>(random() % 100)});
          t += 1 + static_cast<int>(random() % 9);
        }
        for (const Sample& sample : model[labels]) {  // The earlier input's sample stays.
          auto& samples = expected[labels];
          const auto at =
              std::lower_bound(samples.begin(), samples.end(), sample,
                               [](const Sample& x, const Sample& y) { return x.t < y.t; });
          if (at == samples.end() || at->t != sample.t) samples.insert(at, sample);
        }
      }
      write_block(files, "data", test_ulid(b), model, {.samples_per_chunk = 1 + random() % 150});
      inputs.push_back(Block::open(files, "data/" + test_ulid(b).to_string()).value());
    }
    const auto meta = compact_blocks(files, "data", inputs, test_ulid(99), kSegmentBytes, nullptr);
    ASSERT_TRUE(meta.ok()) << meta.status().message();
    const auto block = Block::open(files, "data/" + test_ulid(99).to_string()).value();
    EXPECT_TRUE(testing::read_block(block) == expected);
    EXPECT_EQ(block->meta().compaction_level, 2);
    EXPECT_EQ(block->meta().parents.size(), inputs.size());
    EXPECT_EQ(block->meta().sources.size(), inputs.size());
    std::uint64_t sample_count = 0;
    for (const auto& [labels, samples] : expected) sample_count += samples.size();
    EXPECT_EQ(block->meta().sample_count, sample_count);

    NullLogger log;  // Its parents go when it is found.
    const auto set = BlockSet::open(files, "data", log).value();
    EXPECT_EQ(set->blocks()->size(), 1u);
  }
}

TEST(Compactor, CopiesChunksThatNothingTouchesAsTheyAre) {
  testing::FaultyFileSystem files;
  BlockList inputs;
  for (int b = 0; b < 2; ++b) {
    write_block(files, "data", test_ulid(b),
                {{Labels{{"a", "1"}}, samples_between(b * 1000, b * 1000 + 1000, 10)}},
                {.samples_per_chunk = 7});
    inputs.push_back(Block::open(files, "data/" + test_ulid(b).to_string()).value());
  }
  const BlockMeta meta =
      compact_blocks(files, "data", inputs, test_ulid(9), kSegmentBytes, nullptr).value().value();
  EXPECT_EQ(meta.chunk_count, inputs[0]->meta().chunk_count + inputs[1]->meta().chunk_count);
  inputs.push_back(inputs[0]);  // The same chunks twice are one.
  EXPECT_EQ(compact_blocks(files, "data", inputs, test_ulid(10), kSegmentBytes, nullptr)
                .value()
                ->chunk_count,
            meta.chunk_count);
}

TEST(Compactor, LeavesDeletedSamplesOut) {
  testing::FaultyFileSystem files;
  write_block(files, "data", test_ulid(1),
              {{Labels{{"a", "1"}}, samples_between(0, 1000, 10)},
               {Labels{{"a", "2"}}, samples_between(0, 1000, 10)}},
              {.samples_per_chunk = 10});
  const std::string path = "data/" + test_ulid(1).to_string();
  std::vector<std::uint32_t> refs;
  ASSERT_TRUE(Block::open(files, path).value()->index().append_all(refs).ok());
  Tombstones tombstones;
  tombstones.add(refs[0], TimeRange{});
  tombstones.add(refs[1], {Timestamp{95}, Timestamp{505}});
  const auto compact = [&] {
    EXPECT_TRUE(write_file_atomically(files, path + "/tombstones", tombstones.encode()).ok());
    const BlockList inputs = {Block::open(files, path).value()};
    return compact_blocks(files, "data", inputs, test_ulid(2), kSegmentBytes, nullptr).value();
  };
  ASSERT_TRUE(compact().has_value());
  auto left = samples_between(0, 95, 10);
  const auto after = samples_between(510, 1000, 10);
  left.insert(left.end(), after.begin(), after.end());
  const BlockModel expected = {{Labels{{"a", "2"}}, left}};
  EXPECT_EQ(testing::read_block(Block::open(files, "data/" + test_ulid(2).to_string()).value()),
            expected);
  ASSERT_TRUE(files.remove_all("data/" + test_ulid(2).to_string()).ok());
  tombstones.add(refs[1], TimeRange{});
  EXPECT_FALSE(compact().has_value()) << "nothing is left";
}

}  // namespace
}  // namespace tarsier::tsdb
