// What becomes of the inputs when a compaction ends, well or badly.

#include "tsdb/compaction/block_compaction.h"

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/tombstones.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;
using Outcome = BlockCompaction::Outcome;

/// Four blocks of a second each; the first three are due.
class BlockCompactionTest : public ::testing::Test {
 protected:
  BlockCompactionTest() {
    options_.block_range = seconds(1);
    options_.block_range_max = seconds(3);
    for (int b = 0; b < 4; ++b) {
      write_block(files_, "data", test_ulid(b), {{Labels{{"a", "1"}}, samples(b)}});
    }
    EXPECT_TRUE(files_.sync_directory(".").ok());
  }
  static testing::Samples samples(int b) { return samples_between(b * 1000, b * 1000 + 1000, 1); }
  static std::string directory(int b) { return "data/" + test_ulid(b).to_string(); }
  void open() {
    blocks_ = BlockSet::open(files_, "data", log_).value();
    compaction_ = std::make_unique<BlockCompaction>(files_, "data", options_, *blocks_, log_);
  }
  Outcome run_due(Timestamp now) { return compaction_->run_due(now, test_ulid(next_ulid_++)); }

  testing::FaultyFileSystem files_;
  testing::CapturingLogger log_;
  Options options_;
  std::unique_ptr<BlockSet> blocks_;
  std::unique_ptr<BlockCompaction> compaction_;
  int next_ulid_ = 100;
};

TEST_F(BlockCompactionTest, PutsOneBlockInThePlaceOfItsInputs) {
  open();
  EXPECT_EQ(run_due(Timestamp{0}), Outcome::kDone);
  EXPECT_EQ(run_due(Timestamp{0}), Outcome::kNothingDue);
  ASSERT_EQ(blocks_->blocks()->size(), 2u);
  const BlockModel expected = {{Labels{{"a", "1"}}, samples_between(0, 3000, 1)}};
  EXPECT_EQ(testing::read_block(blocks_->blocks()->front()), expected);
  EXPECT_FALSE(files_.exists(directory(0)));
  EXPECT_EQ(compaction_->metrics().compactions.value(), 1u);
}

TEST_F(BlockCompactionTest, LeavesInputsAloneThatCannotBeCompacted) {
  const std::string chunks = directory(1) + "/chunks/000001";
  std::string bytes = read_file(files_, chunks, 1 << 20).value();
  bytes[20] = static_cast<char>(~bytes[20]);
  ASSERT_TRUE(write_file_atomically(files_, chunks, bytes).ok());
  open();
  EXPECT_EQ(run_due(Timestamp{0}), Outcome::kFailed);
  EXPECT_EQ(blocks_->blocks()->size(), 4u);
  EXPECT_TRUE(log_.contains("Compacting blocks failed"));
  EXPECT_TRUE(read_block_meta(files_, directory(0)).value().compaction_failed);
  EXPECT_FALSE(read_block_meta(files_, directory(3)).value().compaction_failed);
  EXPECT_EQ(run_due(Timestamp{} + hours(1)), Outcome::kNothingDue);
  open();
  EXPECT_EQ(run_due(Timestamp{}), Outcome::kNothingDue);
  EXPECT_EQ(compaction_->metrics().failed.value(), 0u);
}

TEST_F(BlockCompactionTest, TriesAgainLaterWhenTheDiskFailed) {
  open();
  files_.fail_append(2);
  EXPECT_EQ(run_due(Timestamp{0}), Outcome::kFailed);
  EXPECT_EQ(run_due(Timestamp{0} + seconds(59)), Outcome::kNothingDue);
  EXPECT_EQ(blocks_->blocks()->size(), 4u);
  EXPECT_EQ(run_due(Timestamp{0} + minutes(1)), Outcome::kDone);
  EXPECT_EQ(blocks_->blocks()->size(), 2u);
}

TEST_F(BlockCompactionTest, DoesNotFillTheDiskTheLogNeeds) {
  open();
  files_.fill_disk_after(1 << 20);
  EXPECT_EQ(run_due(Timestamp{0}), Outcome::kFailed);
  EXPECT_EQ(files_.free_bytes("data").value(), std::uint64_t{1} << 20) << "nothing was written";
  EXPECT_FALSE(read_block_meta(files_, directory(0)).value().compaction_failed);
}

TEST_F(BlockCompactionTest, DeletesInputsWithoutAnySample) {
  for (int b = 0; b < 3; ++b) {
    std::vector<std::uint32_t> refs;
    ASSERT_TRUE(Block::open(files_, directory(b)).value()->index().append_all(refs).ok());
    Tombstones tombstones;
    tombstones.add(refs[0], TimeRange{});
    ASSERT_TRUE(
        write_file_atomically(files_, directory(b) + "/tombstones", tombstones.encode()).ok());
  }
  open();
  EXPECT_EQ(run_due(Timestamp{0}), Outcome::kDone);
  EXPECT_EQ(blocks_->blocks()->size(), 1u);
  EXPECT_FALSE(files_.exists(directory(0)));
}

/// The child is what says that its parents are replaced.
TEST_F(BlockCompactionTest, DeletesParentsBeforeChildren) {
  const auto write_child = [&](int child, int parent, int level) {
    write_block(files_, "data", test_ulid(child), {{Labels{{"a", "1"}}, samples(0)}},
                {.parents = {{test_ulid(parent), Timestamp{0}, Timestamp{1000}}}});
    BlockMeta meta = read_block_meta(files_, directory(child)).value();
    meta.compaction_level = level;
    ASSERT_TRUE(write_file_atomically(files_, directory(child) + "/" + std::string(kMetaFileName),
                                      format_block_meta(meta))
                    .ok());
  };
  write_block(files_, "data", test_ulid(12), {{Labels{{"a", "1"}}, samples(0)}});
  write_child(11, 12, 2);
  write_child(10, 11, 3);
  bool is_done = false;
  for (std::uint64_t operation = 1; !is_done; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    const auto disk = files_.after_process_crash();
    disk->cut_power_at(operation);
    is_done = BlockSet::open(*disk, "data", log_).ok();
    const auto survivor = disk->after_power_cut(operation);
    const auto found = BlockSet::open(*survivor, "data", log_).value();
    EXPECT_EQ(found->blocks()->size(), 5u);
    EXPECT_FALSE(survivor->exists(directory(12)));
    EXPECT_TRUE(survivor->exists(directory(10)));
  }
}

TEST_F(BlockCompactionTest, RemovesParentsThatAreStillThereWithTheirChild) {
  write_block(files_, "data", test_ulid(11), {{Labels{{"a", "1"}}, samples(0)}},
              {.parents = {{test_ulid(10), Timestamp{0}, Timestamp{1000}}}});
  open();
  ASSERT_EQ(blocks_->blocks()->size(), 5u);
  write_block(files_, "data", test_ulid(10), {{Labels{{"a", "1"}}, samples(0)}});
  ASSERT_TRUE(blocks_->remove(test_ulid(11)).ok());
  open();
  EXPECT_EQ(blocks_->blocks()->size(), 4u);
}

/// Once a block serves, samples leave the head and deletions go to it.
TEST_F(BlockCompactionTest, ServesNoBlockThatAPowerCutCouldTake) {
  open();
  const std::string away = "data/away";
  write_block(files_, "data", test_ulid(10), {{Labels{{"a", "1"}}, samples(9)}});
  ASSERT_TRUE(files_.rename(directory(10), away).ok());
  ASSERT_TRUE(files_.sync_directory("data").ok());
  ASSERT_TRUE(files_.rename(away, directory(10)).ok());
  ASSERT_TRUE(blocks_->reload().ok());
  ASSERT_EQ(blocks_->blocks()->size(), 5u);
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto survivor = files_.after_power_cut(seed);
    EXPECT_EQ(BlockSet::open(*survivor, "data", log_).value()->blocks()->size(), 5u) << seed;
  }
}

TEST_F(BlockCompactionTest, FinishesAfterAPowerCutAnywhere) {
  const BlockModel all = {{Labels{{"a", "1"}}, samples_between(0, 3000, 1)}};
  for (std::uint64_t operation = 1;; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    const auto files = files_.after_process_crash();
    const auto blocks = BlockSet::open(*files, "data", log_).value();
    BlockCompaction compaction(*files, "data", options_, *blocks, log_);
    files->cut_power_at(files->operation_count() + operation);
    compaction.run_due(Timestamp{0}, test_ulid(100));
    if (!files->power_is_cut()) break;
    const auto survivor = files->after_power_cut(operation);
    const auto found = BlockSet::open(*survivor, "data", log_).value();
    BlockCompaction again(*survivor, "data", options_, *found, log_);
    const Outcome outcome = again.run_due(Timestamp{0}, test_ulid(101));
    EXPECT_TRUE(outcome == Outcome::kDone || outcome == Outcome::kNothingDue);
    ASSERT_EQ(found->blocks()->size(), 2u);
    EXPECT_EQ(testing::read_block(found->blocks()->front()), all);
  }
}

}  // namespace
}  // namespace tarsier::tsdb
