// Sealing changes nothing of what a start relies on: where the log begins, and that what is deleted
// or replaced does not come back, whatever failed or was cut short.

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_deletion.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/compaction/downsampler.h"
#include "tsdb/compaction/seal.h"
#include "tsdb/compaction/sealer.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::FaultyFileSystem;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;
using Outcome = Sealer::Outcome;
using Scope = Sealer::Scope;

Options tiers_of(std::vector<Duration> resolutions) {
  Options options;
  for (const Duration resolution : resolutions) options.tiers.push_back({resolution, Duration{0}});
  return options;
}

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kStep = 600'000;

BlockModel hours_between(std::int64_t begin, std::int64_t end) {
  BlockModel model;
  for (const char* job : {"a", "b"}) {
    model[Labels{{"__name__", "up"}, {"job", job}}] =
        samples_between(begin * kHour, end * kHour, kStep);
  }
  return model;
}

/// A block of samples that came late, before the head was cut as far.
void write_late_block(FileSystem& files, const Ulid& ulid, const BlockModel& model) {
  BlockMeta meta = write_block(files, "data", ulid, model);
  meta.hints = {std::string(kHintOutOfOrder)};
  const std::string path = "data/" + ulid.to_string() + "/" + std::string(kMetaFileName);
  ASSERT_TRUE(write_file_atomically(files, path, format_block_meta(meta)).ok());
}

/// Both kinds of blocks of one disk, and who seals.
class Storage final {
 public:
  explicit Storage(FileSystem& files) {
    Options options;
    options.block_range = hours(2);
    options.seal_after = hours(24);
    options.retention = Duration{0};
    blocks = BlockSet::open(files, "data", log_).value();
    sealed = SealedSet::open(files, "data", log_).value();
    sealer = std::make_unique<Sealer>(files, "data", options, *blocks, *sealed, log_);
  }
  Outcome run(std::int64_t now_hours, Scope scope = Scope::kDue) {
    const Timestamp now{now_hours * kHour};
    return sealer->run_due(now, now, scope, [this] { return test_ulid(next_++); });
  }
  void run_all(Scope scope) {
    for (int i = 0; i < 50; ++i) {
      if (run(300, scope) == Outcome::kNothingDue) return;
    }
    FAIL() << "it never ends";
  }
  void do_everything() {
    run_all(Scope::kDue);
    ASSERT_TRUE(sealer->clean_tombstones([this] { return test_ulid(next_++); }).ok());
    run_all(Scope::kEverything);
  }
  /// As the database deletes.
  void delete_job(const char* job) {
    const auto gone = Matcher::create(MatchOp::kEqual, "job", job).value();
    const auto list = blocks->blocks();
    for (const auto& block : *list) {
      auto more = delete_in_block(*block, {gone}, {}).value();
      if (!more) continue;
      ASSERT_TRUE(blocks->set_tombstones(block->meta().ulid, std::move(*more)).ok());
    }
    ASSERT_TRUE(sealed->delete_series({gone}, {}).ok());
  }
  /// Samples of that job in any block.
  std::size_t count(const char* job) {
    std::size_t n = 0;
    const auto add = [&](std::unique_ptr<Querier> querier) {
      const auto wanted = Matcher::create(MatchOp::kEqual, "job", job).value();
      const auto set = querier->select({wanted}, {}, nullptr).value();
      for (std::size_t i = 0; i < set->size(); ++i) {
        SampleColumns columns;
        EXPECT_TRUE(set->read(i, {}, columns).ok());
        n += columns.size();
      }
    };
    const auto list = blocks->blocks();
    const auto sealed_list = sealed->blocks();
    for (const auto& block : *list) add(make_block_querier(block, {}));
    for (const auto& block : *sealed_list) add(make_sealed_querier(block, {}));
    return n;
  }
  /// Where a start reads the log from.
  Timestamp horizon() const { return std::max(blocks->complete_until(), sealed->complete_until()); }

  std::unique_ptr<BlockSet> blocks;
  std::unique_ptr<SealedSet> sealed;
  std::unique_ptr<Sealer> sealer;

 private:
  testing::CapturingLogger log_;
  int next_ = 1000;
};

class SealerStart : public ::testing::Test {
 protected:
  SealerStart() { EXPECT_TRUE(files_->create_directories("data").ok()); }
  void write_window() {
    for (int b = 0; b < 9; ++b) {
      write_block(*files_, "data", test_ulid(b), hours_between(b * 2, b * 2 + 2));
    }
  }
  std::unique_ptr<FaultyFileSystem> files_ = std::make_unique<FaultyFileSystem>();
  const Timestamp end_{18 * kHour - kStep + 1};  // Of the window.
};

TEST_F(SealerStart, LateSamplesAheadOfTheHeadAreNeitherSealedNorFoldedIn) {
  write_window();
  Storage storage(*files_);
  BlockModel late;
  for (const std::int64_t begin : {18, 17}) {  // Beside what is sealed, and over its end.
    if (begin == 17) storage.do_everything();
    late[Labels{{"__name__", "up"}, {"job", "late"}}] =
        samples_between(begin * kHour, (begin + 2) * kHour, kStep);
    write_late_block(*files_, test_ulid(static_cast<int>(40 + begin)), late);
    ASSERT_TRUE(storage.blocks->reload().ok());
    ASSERT_EQ(storage.horizon(), end_);
    storage.do_everything();
    EXPECT_EQ(storage.horizon(), end_) << "the log has the other samples of that time";
    if (begin == 18) {
      EXPECT_EQ(storage.blocks->blocks()->size(), 1u);
      ASSERT_TRUE(storage.blocks->remove(test_ulid(58)).ok());
    }
  }
  EXPECT_EQ(storage.blocks->blocks()->size(), 1u);
  storage.delete_job("a");
  storage.do_everything();
  EXPECT_EQ(storage.horizon(), end_);
  EXPECT_EQ(Storage(*files_).horizon(), end_);

  write_block(*files_, "data", test_ulid(60), hours_between(20, 22));
  ASSERT_TRUE(storage.blocks->reload().ok());
  storage.do_everything();
  EXPECT_EQ(storage.blocks->blocks()->size(), 0u) << "now nothing is in the way";
  EXPECT_EQ(storage.horizon(), Timestamp{22 * kHour - kStep + 1});
  EXPECT_EQ(storage.count("late"), 12u);
}

TEST_F(SealerStart, LateSamplesThatWereSealedTooEarlyAreNotFoldedInEither) {
  write_window();
  BlockModel late;
  late[Labels{{"__name__", "up"}, {"job", "late"}}] =
      samples_between(18 * kHour, 20 * kHour, kStep);
  write_late_block(*files_, test_ulid(50), late);
  {
    Storage storage(*files_);
    const auto list = storage.blocks->blocks();
    std::vector<std::unique_ptr<ChunkSource>> sources;
    for (const auto& block : *list) {
      const std::string directory = "data/" + block->meta().ulid.to_string();
      sources.push_back(make_block_chunk_source(*files_, directory, block).value());
    }
    auto block =
        seal_blocks(*files_, {storage.sealed->directory(), test_ulid(70), {}}, sources, nullptr)
            .value();
    ASSERT_TRUE(storage.sealed->add(std::move(block)).ok());
  }
  Storage storage(*files_);
  storage.delete_job("a");
  storage.do_everything();
  EXPECT_EQ(storage.blocks->blocks()->size(), 0u);
  EXPECT_EQ(storage.horizon(), end_);
  EXPECT_EQ(storage.count("late"), 12u);
}

TEST_F(SealerStart, TheNewestBlockStaysThoughNothingOfItIsLeft) {
  write_window();
  Storage storage(*files_);
  storage.do_everything();
  ASSERT_EQ(storage.sealed->blocks()->size(), 1u);
  storage.delete_job("a");
  storage.delete_job("b");
  storage.do_everything();
  EXPECT_EQ(storage.horizon(), end_) << "the log before it has what is deleted";
  EXPECT_EQ(Storage(*files_).horizon(), end_);

  write_block(*files_, "data", test_ulid(60), hours_between(18, 20));
  ASSERT_TRUE(storage.blocks->reload().ok());
  storage.do_everything();
  const auto list = storage.sealed->blocks();
  for (const auto& block : *list) EXPECT_TRUE(block->tombstones().empty());
  EXPECT_EQ(storage.horizon(), Timestamp{20 * kHour - kStep + 1});
  EXPECT_EQ(storage.count("a"), 12u);
}

TEST_F(SealerStart, WhatIsDeletedStaysSoInABlockThatWasPublishedByAFailure) {
  write_window();
  std::size_t unserved = 0;
  bool is_done = false;
  for (std::uint64_t read = 1; !is_done; ++read) {
    SCOPED_TRACE(read);
    const auto disk = files_->after_process_crash();
    {
      Storage storage(*disk);
      disk->fail_read(read);
      is_done = storage.run(42) == Outcome::kDone;
      disk->fail_read(0);
      if (!is_done && disk->exists("data/tarsier/sealed")) {
        const std::vector<DirectoryEntry> entries = disk->list("data/tarsier/sealed").value();
        for (const DirectoryEntry& entry : entries) {
          if (parse_ulid(entry.name)) ++unserved;
        }
      }
      storage.delete_job("a");
      EXPECT_EQ(storage.count("a"), 0u);
    }
    Storage next(*disk);
    next.run_all(Scope::kDue);
    EXPECT_EQ(next.count("a"), 0u);
    EXPECT_EQ(next.count("b"), 18u * 6);
  }
  EXPECT_GT(unserved, 0u);
}

TEST_F(SealerStart, WhatIsDeletedStaysSoInRowsThatWerePublishedByAFailure) {
  write_window();
  ASSERT_EQ(Storage(*files_).run(42), Outcome::kDone);
  testing::CapturingLogger log;
  const auto gone = Matcher::create(MatchOp::kEqual, "job", "a").value();
  int number = 2000;
  std::size_t unserved = 0;
  bool is_done = false;
  for (std::uint64_t read = 1; !is_done; ++read) {
    SCOPED_TRACE(read);
    const auto disk = files_->after_process_crash();
    const auto sealed = SealedSet::open(*disk, "data", log).value();
    {
      const auto tiers = TierSet::open(*disk, "data", log).value();
      Downsampler downsampler(*disk, tiers_of({hours(1)}), *sealed, *tiers, log);
      disk->fail_read(read);
      is_done = downsampler.run_due([&] { return test_ulid(number++); }).ok();
      disk->fail_read(0);
      if (!is_done && disk->exists(tiers->directory())) {
        const std::vector<DirectoryEntry> entries = disk->list(tiers->directory()).value();
        for (const DirectoryEntry& entry : entries) {
          if (parse_ulid(entry.name)) ++unserved;
        }
      }
      ASSERT_TRUE(tiers->delete_series({gone}, {}).ok());
    }
    const auto tiers = TierSet::open(*disk, "data", log).value();
    const auto list = tiers->blocks();
    for (const auto& block : *list) {
      const auto querier = make_tier_querier(block, {});
      const auto set = querier->select({gone}, {}, nullptr).value();
      for (std::size_t i = 0; i < set->size(); ++i) {
        SampleColumns columns;
        ASSERT_TRUE(set->read(i, {}, columns).ok());
        EXPECT_TRUE(columns.times_ms.empty());
      }
    }
  }
  EXPECT_GT(unserved, 0u);
}

TEST_F(SealerStart, AReplacedBlockDoesNotComeBackWhenItsReplacementGoes) {
  write_window();
  {
    Storage storage(*files_);
    const auto list = storage.blocks->blocks();
    std::vector<Ulid> replaces;
    for (const int number : {90, 80, 70}) {  // Deleted by name they would go in the wrong order.
      std::vector<std::unique_ptr<ChunkSource>> sources;
      for (const auto& block : *list) {
        const std::string directory = "data/" + block->meta().ulid.to_string();
        sources.push_back(make_block_chunk_source(*files_, directory, block).value());
      }
      const SealRequest request{storage.sealed->directory(), test_ulid(number), replaces};
      ASSERT_TRUE(seal_blocks(*files_, request, sources, nullptr).ok());
      replaces = {test_ulid(number)};
    }
  }
  ASSERT_TRUE(files_->sync_directory(".").ok());
  testing::CapturingLogger log;
  for (std::uint64_t step = 1;; ++step) {
    SCOPED_TRACE(step);
    const auto disk = files_->after_process_crash();
    disk->cut_power_at(disk->operation_count() + step);
    static_cast<void>(SealedSet::open(*disk, "data", log));
    if (!disk->power_is_cut()) break;
    for (const std::uint64_t seed : {step, step + 1, step + 2}) {
      const auto survivor = disk->after_power_cut(seed);
      const auto sealed = SealedSet::open(*survivor, "data", log).value();
      ASSERT_EQ(sealed->blocks()->size(), 1u);
      EXPECT_EQ(sealed->blocks()->front()->meta().ulid, test_ulid(70));
    }
  }
}

}  // namespace
}  // namespace tarsier::tsdb
