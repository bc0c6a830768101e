// Blocks that are not in the bucket yet stay as they are, whatever else is done to the others.

#include "tsdb/block/shipped_list.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/compaction/block_compaction.h"
#include "tsdb/compaction/sealer.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;

constexpr std::int64_t kHour = 3'600'000;
constexpr const char* kList = "data/thanos.shipper.json";

BlockModel two_hours(std::int64_t begin) {
  BlockModel model;
  model[Labels{{"__name__", "up"}}] = samples_between(begin * kHour, (begin + 2) * kHour, 60'000);
  return model;
}

/// 22 blocks of two hours, of which a planner would have compacted and sealed the first nine.
class ShippedListTest : public ::testing::Test {
 protected:
  ShippedListTest() {
    options_.block_range = hours(2);
    options_.block_range_max = hours(18);
    options_.seal_after = hours(24);
    options_.retention = Duration{0};
    for (int b = 0; b < 22; ++b) write_block(files_, "data", test_ulid(b), two_hours(b * 2));
    blocks_ = BlockSet::open(files_, "data", log_).value();
    sealed_ = SealedSet::open(files_, "data", log_).value();
  }
  void note(int first, int end) {
    std::vector<Ulid> uploaded;
    for (int b = first; b < end; ++b) uploaded.push_back(test_ulid(b));
    ASSERT_TRUE(write_file_atomically(files_, kList, format_shipped_list(uploaded)).ok());
  }
  void use(ShippingOptions shipping) {
    shipped_ = std::make_unique<ShippedList>(files_, std::move(shipping), log_);
    shipped_->reload(*blocks_->blocks());
    compaction_ = std::make_unique<BlockCompaction>(files_, "data", options_, *blocks_, log_);
    compaction_->attach_shipped(shipped_.get());
    sealer_ = std::make_unique<Sealer>(files_, "data", options_, *blocks_, *sealed_, log_);
    sealer_->attach_shipped(shipped_.get());
  }
  std::size_t seal(Sealer::Scope scope = Sealer::Scope::kDue) {
    shipped_->reload(*blocks_->blocks());
    const Timestamp now{44 * kHour};
    while (sealer_->run_due(now, now, scope, [this] { return test_ulid(next_++); }) ==
           Sealer::Outcome::kDone) {
    }
    return sealed_->blocks()->size();
  }
  bool compact() {
    shipped_->reload(*blocks_->blocks());
    return compaction_->run_due(Timestamp{44 * kHour}, test_ulid(next_++)) ==
           BlockCompaction::Outcome::kDone;
  }
  bool has(int block) const {
    const auto list = blocks_->blocks();
    return std::any_of(list->begin(), list->end(),
                       [&](const auto& one) { return one->meta().ulid == test_ulid(block); });
  }

  testing::FaultyFileSystem files_;
  testing::CapturingLogger log_;
  Options options_;
  std::unique_ptr<BlockSet> blocks_;
  std::unique_ptr<SealedSet> sealed_;
  std::unique_ptr<ShippedList> shipped_;
  std::unique_ptr<BlockCompaction> compaction_;
  std::unique_ptr<Sealer> sealer_;
  int next_ = 1000;
};

TEST_F(ShippedListTest, ReadsWhatThanosWrites) {
  const auto list = parse_shipped_list(
      "{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"\n\t]\n}\n");
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(list->front().to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(parse_shipped_list(format_shipped_list(*list)).value(), *list);
  EXPECT_TRUE(parse_shipped_list(R"({"version":1,"uploaded":null})").value().empty());
  for (const char* bad : {"", "[]", R"({"version":2,"uploaded":[]})",
                          R"({"version":1,"uploaded":"x"})", R"({"version":1,"uploaded":["x"]})"}) {
    EXPECT_FALSE(parse_shipped_list(bad).ok()) << bad;
  }
}

TEST_F(ShippedListTest, NobodyWaitsWhereNobodyShips) {
  use({});
  EXPECT_EQ(shipped_->waiting_count(), 0u);
  use({kList, false});
  EXPECT_EQ(shipped_->waiting_count(), 0u) << "no sidecar has been here";
  EXPECT_TRUE(compact());
  EXPECT_EQ(seal(), 1u);
}

TEST_F(ShippedListTest, WindowsWaitUntilAllTheirBlocksAreShipped) {
  use({kList, true});
  EXPECT_EQ(shipped_->waiting_count(), 22u);
  EXPECT_EQ(seal(), 0u);
  EXPECT_FALSE(compact());
  note(0, 8);
  EXPECT_EQ(seal(), 0u) << "the ninth block of the window is missing";
  EXPECT_EQ(shipped_->waiting_count(), 14u);
  note(0, 9);
  EXPECT_EQ(seal(), 1u);
  EXPECT_FALSE(has(0));
  EXPECT_TRUE(has(9));
}

TEST_F(ShippedListTest, SealingEverythingLeavesWhatIsNotShipped) {
  note(3, 5);
  use({kList, false});
  EXPECT_GT(seal(Sealer::Scope::kEverything), 0u);
  EXPECT_EQ(blocks_->blocks()->size(), 20u);
  EXPECT_TRUE(has(2));
  EXPECT_FALSE(has(3));
  EXPECT_FALSE(has(4));
  EXPECT_TRUE(has(5));
}

TEST_F(ShippedListTest, CompactionStopsAtTheFirstThatWaits) {
  note(0, 4);
  use({kList, true});
  EXPECT_FALSE(compact()) << "the newest of what it may touch stays";
  note(0, 5);
  EXPECT_TRUE(compact());
  EXPECT_FALSE(compact());
  EXPECT_EQ(blocks_->blocks()->size(), 20u);
  EXPECT_TRUE(has(3));
}

TEST_F(ShippedListTest, DeletedSamplesStayInBlocksThatWait) {
  use({kList, true});
  Tombstones tombstones;
  const auto list = blocks_->blocks();
  std::vector<IndexReader::Ref> refs;
  ASSERT_TRUE(list->front()->index().append_all(refs).ok());
  tombstones.add(refs.front(), {Timestamp{0}, Timestamp{kHour}});
  ASSERT_TRUE(blocks_->set_tombstones(test_ulid(0), tombstones).ok());
  const auto next = [this] { return test_ulid(next_++); };
  ASSERT_TRUE(compaction_->clean_tombstones(next).ok());
  EXPECT_TRUE(has(0));
  note(0, 1);
  shipped_->reload(*blocks_->blocks());
  ASSERT_TRUE(compaction_->clean_tombstones(next).ok());
  EXPECT_FALSE(has(0));
}

TEST_F(ShippedListTest, AListThatCannotBeReadShipsNothingNew) {
  note(0, 9);
  use({kList, true});
  ASSERT_TRUE(write_file_atomically(files_, kList, "{").ok());
  shipped_->reload(*blocks_->blocks());
  shipped_->reload(*blocks_->blocks());
  EXPECT_EQ(shipped_->waiting_count(), 13u) << "what it said before still holds";
  const auto lines = log_.lines();
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) {
                            return line.find("cannot be read") != std::string::npos;
                          }),
            1);
}

}  // namespace
}  // namespace tarsier::tsdb
