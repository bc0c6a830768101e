// Damage to sealed and downsampled blocks is found and named, and repair leaves everything it did
// not touch.

#include "tsdb/compaction/sealed_repair.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/compaction/downsampler.h"
#include "tsdb/compaction/sealer.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::FaultyFileSystem;
using testing::samples_between;
using testing::test_ulid;

constexpr std::int64_t kHour = 3'600'000;
constexpr int kSeries = 20;

Labels series(int i) { return {{"__name__", "m"}, {"i", std::to_string(i)}}; }

class SealedRepairTest : public ::testing::Test {
 protected:
  SealedRepairTest() {
    EXPECT_TRUE(files_.create_directories("data").ok());
    for (int b = 0; b < 9; ++b) {
      BlockModel model;
      for (int i = 0; i < kSeries; ++i) {
        model[series(i)] = samples_between(b * 2 * kHour, (b + 1) * 2 * kHour, 60'000 + i);
      }
      testing::write_block(files_, "data", test_ulid(b), model);
    }
    Options options;
    options.seal_after = hours(1);
    options.tiers = {{minutes(5), Duration{0}}};
    const auto blocks = BlockSet::open(files_, "data", log_).value();
    const auto sealed = SealedSet::open(files_, "data", log_).value();
    const auto tiers = TierSet::open(files_, "data", log_).value();
    Sealer sealer(files_, "data", options, *blocks, *sealed, log_);
    Downsampler downsampler(files_, options, *sealed, *tiers, log_);
    const auto next = [this] { return test_ulid(number_++); };
    EXPECT_EQ(
        sealer.run_due(Timestamp{100 * kHour}, Timestamp{100 * kHour}, Sealer::Scope::kDue, next),
        Sealer::Outcome::kDone);
    EXPECT_TRUE(downsampler.run_due(next).value());
    sealed_ = sealed->directory_of(sealed->blocks()->front()->meta().ulid);
    rows_ = tiers->directory_of(tiers->blocks()->front()->meta().ulid);
  }

  void flip(const std::string& path, std::uint64_t at_percent) {
    std::string bytes = read_file(files_, path, 1 << 28).value();
    bytes[bytes.size() * at_percent / 100] ^= 1;
    const auto file = files_.open_writable(path, OpenMode::kTruncate).value();
    ASSERT_TRUE(file->append(as_bytes(bytes)).ok());
    ASSERT_TRUE(file->sync().ok());
  }
  std::vector<Finding> findings(VerificationTotals& totals) {
    std::vector<Finding> found;
    EXPECT_TRUE(verify_sealed_blocks(
                    files_, "data", [&](const Finding& one) { found.push_back(one); }, totals)
                    .ok());
    return found;
  }
  /// Series that have all their samples in interchange blocks.
  int whole_series() {
    const auto blocks = BlockSet::open(files_, "data", log_).value();
    std::map<Labels, std::size_t> counts;
    const auto list = blocks->blocks();
    for (const auto& block : *list) {
      for (const auto& [labels, samples] : testing::read_block(block)) {
        counts[labels] += samples.size();
      }
    }
    int whole = 0;
    for (int i = 0; i < kSeries; ++i) {
      std::size_t wanted = 0;
      for (int b = 0; b < 9; ++b) {
        wanted += samples_between(b * 2 * kHour, (b + 1) * 2 * kHour, 60'000 + i).size();
      }
      whole += counts[series(i)] == wanted ? 1 : 0;
    }
    return whole;
  }

  FaultyFileSystem files_;
  testing::CapturingLogger log_;
  int number_ = 1000;
  std::string sealed_;
  std::string rows_;
};

TEST_F(SealedRepairTest, SoundBlocksAreSound) {
  VerificationTotals totals;
  EXPECT_TRUE(findings(totals).empty());
  EXPECT_EQ(totals.blocks, 2u);
  EXPECT_GT(totals.samples, 20'000u);
  EXPECT_EQ(repair_sealed_blocks(files_, "data", Timestamp{0}, log_).value(), 0u);
}

TEST_F(SealedRepairTest, ADamagedColumnCostsThoseItIsOf) {
  flip(join_path(sealed_, "columns"), 60);
  VerificationTotals totals;
  const auto found = findings(totals);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].path, sealed_);
  EXPECT_EQ(repair_sealed_blocks(files_, "data", Timestamp{0}, log_).value(), 1u);
  EXPECT_FALSE(files_.exists(sealed_));
  EXPECT_GE(whole_series(), kSeries - 2);
  EXPECT_TRUE(findings(totals).empty());
}

TEST_F(SealedRepairTest, WithoutTheOriginSamplesAreEncodedAnew) {
  flip(join_path(sealed_, "origin"), 50);
  VerificationTotals totals;
  EXPECT_FALSE(findings(totals).empty());
  EXPECT_EQ(repair_sealed_blocks(files_, "data", Timestamp{0}, log_).value(), 1u);
  EXPECT_EQ(whole_series(), kSeries);
}

TEST_F(SealedRepairTest, DamagedRowsAreSetAside) {
  flip(join_path(rows_, "columns"), 60);
  VerificationTotals totals;
  ASSERT_FALSE(findings(totals).empty());
  EXPECT_EQ(repair_sealed_blocks(files_, "data", Timestamp{0}, log_).value(), 1u);
  EXPECT_FALSE(files_.exists(rows_));
  EXPECT_TRUE(files_.exists(sealed_));
}

}  // namespace
}  // namespace tarsier::tsdb
