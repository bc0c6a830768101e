// What is old is sealed, and nobody who reads can tell: not while it happens, not after a crash at
// any step, not when late samples, dropped blocks or deletions come.

#include "tsdb/compaction/sealer.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/compaction/downsampler.h"
#include "tsdb/compaction/retention.h"
#include "tsdb/db.h"
#include "tsdb/merge_querier.h"
#include "tsdb/sealing.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::FaultyFileSystem;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;
using Outcome = Sealer::Outcome;
using Scope = Sealer::Scope;

constexpr std::int64_t kHour = 3'600'000;

Options tiers_of(std::vector<Duration> resolutions) {
  Options options;
  for (const Duration resolution : resolutions) options.tiers.push_back({resolution, Duration{0}});
  return options;
}

Options sealing_options() {
  Options options;
  options.block_range = hours(2);
  options.seal_after = hours(24);
  options.retention = Duration{0};
  return options;
}

/// Everything in the blocks of either kind, as a query sees it.
BlockModel read_all(const BlockSet& blocks, const SealedSet& sealed, TimeRange range = {}) {
  std::vector<MergeSource> sources;
  const auto raw = blocks.blocks();
  const auto list = sealed.blocks();
  for (const auto& block : *list) {
    sources.push_back({make_sealed_querier(block, range), block->range()});
  }
  for (const auto& block : *raw) {
    sources.push_back({make_block_querier(block, range), block->range()});
  }
  BlockModel model;
  const auto querier = make_merge_querier(std::move(sources));
  const auto set = querier->select({}, {}, nullptr).value();
  for (std::size_t i = 0; i < set->size(); ++i) {
    SampleColumns columns;
    EXPECT_TRUE(set->read(i, range, columns).ok());
    for (std::size_t n = 0; n < columns.size(); ++n) {
      model[set->labels(i)].push_back({Timestamp{columns.times_ms[n]}, columns.values[n]});
    }
  }
  return model;
}

BlockModel hours_between(std::int64_t begin, std::int64_t end, std::int64_t step = 60'000) {
  BlockModel model;
  for (const char* job : {"a", "b"}) {
    model[Labels{{"__name__", "up"}, {"job", job}}] =
        samples_between(begin * kHour, end * kHour, step);
  }
  return model;
}

class SealerTest : public ::testing::Test {
 protected:
  SealerTest() { EXPECT_TRUE(files_->create_directories("data").ok()); }
  void open() {
    blocks_ = BlockSet::open(*files_, "data", log_).value();
    sealed_ = SealedSet::open(*files_, "data", log_).value();
    sealer_ =
        std::make_unique<Sealer>(*files_, "data", sealing_options(), *blocks_, *sealed_, log_);
  }
  Outcome run(std::int64_t now_hours, Scope scope = Scope::kDue) {
    const Timestamp now{now_hours * kHour};
    return sealer_->run_due(now, now, scope, [this] { return test_ulid(next_++); });
  }
  void run_all(std::int64_t now_hours, Scope scope = Scope::kDue) {
    for (int i = 0; i < 50; ++i) {
      if (run(now_hours, scope) == Outcome::kNothingDue) return;
    }
    FAIL() << "it never ends";
  }
  std::unique_ptr<FaultyFileSystem> files_ = std::make_unique<FaultyFileSystem>();
  testing::CapturingLogger log_;
  std::unique_ptr<BlockSet> blocks_;
  std::unique_ptr<SealedSet> sealed_;
  std::unique_ptr<Sealer> sealer_;
  int next_ = 1000;
};

TEST_F(SealerTest, SealsWindowsThatAreOldEnough) {
  BlockModel all = hours_between(0, 72);
  for (int b = 0; b < 36; ++b) {
    write_block(*files_, "data", test_ulid(b), hours_between(b * 2, b * 2 + 2));
  }
  open();
  EXPECT_EQ(run(41), Outcome::kNothingDue) << "the first window ends at 18 h";
  EXPECT_EQ(run(42), Outcome::kDone);
  EXPECT_EQ(sealed_->blocks()->size(), 1u);
  EXPECT_EQ(sealed_->blocks()->front()->meta().sources.size(), 9u);
  EXPECT_EQ(blocks_->blocks()->size(), 27u);
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all);
  run_all(96);
  EXPECT_EQ(blocks_->blocks()->size(), 0u);
  ASSERT_EQ(sealed_->blocks()->size(), 2u) << "the first three became one of 54 h";
  EXPECT_EQ(sealed_->blocks()->front()->meta().sources.size(), 27u);
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all);
  EXPECT_EQ(sealed_->complete_until(), Timestamp{72 * kHour - 59'999});
}

TEST_F(SealerTest, WhatComesLateHoldsAtOnceAndIsFoldedIn) {
  BlockModel all = hours_between(0, 36);
  for (int b = 0; b < 18; ++b) {
    write_block(*files_, "data", test_ulid(b), hours_between(b * 2, b * 2 + 2));
  }
  open();
  run_all(90);
  ASSERT_EQ(blocks_->blocks()->size(), 0u);
  BlockModel late;
  const Labels labels{{"__name__", "up"}, {"job", "b"}};
  for (std::int64_t t = 3 * kHour + 30; t < 7 * kHour; t += 60'000) {
    late[labels].push_back({Timestamp{t}, 17});
    all[labels].push_back({Timestamp{t}, 17});
  }
  std::sort(all[labels].begin(), all[labels].end(),
            [](const Sample& a, const Sample& b) { return a.t < b.t; });
  write_block(*files_, "data", test_ulid(50), late);
  ASSERT_TRUE(blocks_->reload().ok());
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all) << "before it is folded in";
  EXPECT_EQ(run(90), Outcome::kDone);
  EXPECT_EQ(blocks_->blocks()->size(), 0u);
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all);

  const auto gone = Matcher::create(MatchOp::kEqual, "job", "a").value();
  ASSERT_TRUE(sealed_->delete_series({gone}, {Timestamp{0}, Timestamp{5 * kHour}}).ok());
  auto& kept = all[Labels{{"__name__", "up"}, {"job", "a"}}];
  std::erase_if(kept, [](const Sample& sample) { return sample.t.ms <= 5 * kHour; });
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all) << "before it is written anew";
  open();
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all) << "by the next process too";
  ASSERT_TRUE(sealer_->clean_tombstones([this] { return test_ulid(next_++); }).ok());
  EXPECT_TRUE(read_all(*blocks_, *sealed_) == all);
  for (const auto& block : *sealed_->blocks()) EXPECT_TRUE(block->tombstones().empty());
}

TEST_F(SealerTest, ACrashAtAnyStepLosesNothing) {
  const BlockModel all = hours_between(0, 54, 600'000);
  for (int b = 0; b < 27; ++b) {
    write_block(*files_, "data", test_ulid(b), hours_between(b * 2, b * 2 + 2, 600'000));
  }
  ASSERT_TRUE(files_->sync_directory(".").ok());
  ASSERT_TRUE(files_->sync_directory("data").ok());
  std::size_t cuts = 0;
  for (std::uint64_t step = 1;; step += 1 + step / 12) {
    SCOPED_TRACE(step);
    const auto disk = files_->after_process_crash();
    disk->cut_power_at(disk->operation_count() + step);
    {
      auto blocks = BlockSet::open(*disk, "data", log_);
      auto sealed = SealedSet::open(*disk, "data", log_);
      if (blocks.ok() && sealed.ok()) {
        Sealer sealer(*disk, "data", sealing_options(), **blocks, **sealed, log_);
        const Timestamp now{200 * kHour};
        for (int i = 0; i < 20 && !disk->power_is_cut(); ++i) {
          sealer.run_due(now, now, Scope::kDue, [this] { return test_ulid(next_++); });
        }
      }
    }
    if (!disk->power_is_cut()) break;
    ++cuts;
    for (const std::uint64_t seed : {step, step + 1}) {
      const auto survivor = disk->after_power_cut(seed);
      const auto blocks = BlockSet::open(*survivor, "data", log_).value();
      const auto sealed = SealedSet::open(*survivor, "data", log_).value();
      EXPECT_TRUE(read_all(*blocks, *sealed) == all) << survivor->describe();
      Sealer sealer(*survivor, "data", sealing_options(), *blocks, *sealed, log_);
      const Timestamp now{200 * kHour};
      for (int i = 0; i < 20; ++i) {
        sealer.run_due(now, now, Scope::kDue, [this] { return test_ulid(next_++); });
      }
      EXPECT_EQ(blocks->blocks()->size(), 0u);
      EXPECT_TRUE(read_all(*blocks, *sealed) == all);
    }
  }
  EXPECT_GT(cuts, 20u);
}

TEST_F(SealerTest, ExportBringsBlocksBackToTheByte) {
  std::vector<std::string> chunks;
  std::vector<std::string> metas;
  std::vector<std::string> indexes;
  const auto read = [&](const std::string& path) {
    return read_file(*files_, path, 1 << 28).value();
  };
  for (int b = 0; b < 27; ++b) {
    write_block(*files_, "data", test_ulid(b), hours_between(b * 2, b * 2 + 2));
    const std::string directory = "data/" + test_ulid(b).to_string();
    chunks.push_back(read(directory + "/chunks/000001"));
    metas.push_back(read(directory + "/meta.json"));
    indexes.push_back(read(directory + "/index"));
  }
  open();
  run_all(300);
  ASSERT_EQ(blocks_->blocks()->size(), 0u);
  const auto tiers = summarize_tiers(*files_, "data").value();
  EXPECT_EQ(tiers[0].blocks, 0u);
  EXPECT_EQ(tiers[1].samples, 2u * 54 * 60);
  for (const char* target : {"elsewhere", "data"}) {
    ExportRequest request;
    request.data_directory = "data";
    request.target = target;
    for (int round = 0; round < 2; ++round) {
      const auto count = export_blocks(*files_, request, log_);
      ASSERT_TRUE(count.ok()) << count.status().message();
      EXPECT_EQ(*count, round == 0 || target[0] == 'e' ? 27u : 0u);
    }
    for (std::size_t b = 0; b < 27; ++b) {
      const std::string directory =
          std::string(target) + "/" + test_ulid(static_cast<int>(b)).to_string();
      EXPECT_EQ(read(directory + "/chunks/000001"), chunks[b]);
      EXPECT_EQ(read(directory + "/meta.json"), metas[b]);
      EXPECT_EQ(read(directory + "/index"), indexes[b]);
    }
  }
  EXPECT_TRUE(files_->list("data/tarsier/sealed").value().empty());
  ImportRequest import;
  import.from = "elsewhere";
  import.data_directory = "other";
  const auto report = import_blocks(*files_, import, log_);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->imported, 27u);
  EXPECT_EQ(import_blocks(*files_, import, log_)->known, 27u);
}

TEST_F(SealerTest, RetentionTakesSealedBlocksToo) {
  for (int b = 0; b < 27; ++b) {
    write_block(*files_, "data", test_ulid(b), hours_between(b * 2, b * 2 + 2));
  }
  open();
  const auto tiers = TierSet::open(*files_, "data", log_).value();
  const std::vector<TierOptions> kept = {{minutes(5), hours(50)}, {hours(1), hours(10)}};
  Downsampler downsampler(*files_, tiers_of({minutes(5), hours(1)}), *sealed_, *tiers, log_);
  const RetainedStorage storage{*blocks_, *sealed_, *tiers, downsampler};
  const auto expired = [&](Duration time, std::uint64_t bytes) {
    Options limits;
    limits.retention = time;
    limits.retention_bytes = bytes;
    limits.tiers = kept;
    return apply_retention(storage, retention_plan(limits), log_).value();
  };
  const auto next = [this] { return test_ulid(next_++); };
  run(60);
  ASSERT_EQ(sealed_->blocks()->size(), 1u);
  EXPECT_EQ(expired(hours(37), 0).for_age, 0u);
  EXPECT_EQ(expired(hours(35), 0).for_age, 0u) << "it is not downsampled yet";
  while (downsampler.run_due(next).value()) {
  }
  EXPECT_EQ(tiers->blocks()->size(), 2u);
  Options options;
  options.retention = hours(35);
  options.tiers = kept;
  const auto planned = plan_retention(*files_, "data", options, log_).value();
  ASSERT_EQ(planned.size(), 1u);
  EXPECT_EQ(planned[0].tier, "sealed");
  EXPECT_GT(planned[0].bytes, 0u);
  EXPECT_EQ(expired(hours(35), 0).for_age, 1u);
  EXPECT_EQ(sealed_->blocks()->size(), 0u);
  EXPECT_EQ(tiers->blocks()->size(), 2u);
  EXPECT_EQ(expired(hours(35), 0).for_age, 0u) << "1h is kept as long as 5m at least";
  run_all(80);
  EXPECT_GT(expired(Duration{0}, 1).for_size, 1u);
  EXPECT_EQ(tiers->blocks()->size(), 0u);
}

/// A database that seals what is older than four of its blocks.
TEST(SealingDb, AnswersTheSameBeforeAndAfterAndAcrossStarts) {
  FaultyFileSystem files;
  NullLogger log;
  Options options;
  options.block_range = seconds(10);
  options.block_range_max = seconds(90);
  options.retention = Duration{0};
  options.seal_after = seconds(40);
  const Labels labels{{"__name__", "up"}};
  std::vector<Sample> all;
  const auto read = [&](Db& db) {
    const auto set = db.querier({}).value()->select({}, {}, nullptr).value();
    std::vector<Sample> got;
    SampleColumns columns;
    if (set->size() == 1) {
      EXPECT_TRUE(set->read(0, {}, columns).ok());
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      got.push_back({Timestamp{columns.times_ms[i]}, columns.values[i]});
    }
    return got;
  };
  auto db = Db::open(files, "data", options, log, nullptr).value();
  const auto sync = [&] {
    db->interrupt_sync();
    db->sync_due();
  };
  for (int s = 0; s < 400; ++s) {
    const auto appender = db->appender();
    appender->append(appender->resolve(labels).value(), {Timestamp{s * 1000}, s * 0.1});
    ASSERT_TRUE(appender->commit().ok());
    all.push_back({Timestamp{s * 1000}, s * 0.1});
    if (s % 7 != 0) continue;
    sync();
    for (int i = 0; i < 20; ++i) db->run_due(Timestamp{s * 1000});
    if (s % 49 == 0) {
      ASSERT_TRUE(read(*db) == all) << s;
    }
  }
  ASSERT_TRUE(files.exists("data/tarsier/sealed"));
  EXPECT_FALSE(files.list("data/tarsier/sealed").value().empty());
  db.reset();
  db = Db::open(files, "data", options, log, nullptr).value();
  EXPECT_TRUE(read(*db) == all);

  db->begin_compacting_everything(Timestamp{400'000});
  sync();
  const auto report = db->compact_everything(Timestamp{400'000});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->samples_after, 400u);
  EXPECT_EQ(report->failures, 0u);
  EXPECT_TRUE(db->blocks().empty());
  EXPECT_TRUE(read(*db) == all);
  {
    const auto appender = db->appender();
    appender->append(appender->resolve(labels).value(), {Timestamp{400'000}, 1});
    ASSERT_TRUE(appender->commit().ok());
    all.push_back({Timestamp{400'000}, 1});
  }
  sync();
  EXPECT_TRUE(read(*db) == all);
  db.reset();
  db = Db::open(files, "data", options, log, nullptr).value();
  EXPECT_TRUE(read(*db) == all);
}

}  // namespace
}  // namespace tarsier::tsdb
