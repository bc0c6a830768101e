// Some series are kept less long than others: their samples go, their rows stay as long as they
// shall, nobody else's answers change, and a power cut at any step leaves all of that true.

#include "tsdb/compaction/series_retention.h"

#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/source_choice.h"
#include "tsdb/compaction/sealer.h"
#include "tsdb/merge_querier.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::FaultyFileSystem;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kStep = 60'000;

Matcher job(const char* name) { return Matcher::create(MatchOp::kEqual, "job", name).value(); }

/// Samples of "debug" for 20 h, their 5-minute rows for 50 h, 1-hour rows never; of others all
/// for longer than anything here.
Options debug_options() {
  Options options;
  options.block_range = hours(2);
  options.seal_after = hours(1);
  options.retention = hours(1000);
  options.tiers = {{minutes(5), hours(2000)}, {hours(1), Duration{0}}};
  options.retention_rules = {{{job("debug")}, hours(20), {hours(50), std::nullopt}}};
  return options;
}

/// What opens a data directory and maintains it as the database does.
struct Storage {
  Storage(FaultyFileSystem& the_files, const Options& the_options, testing::CapturingLogger& log)
      : files(the_files),
        options(the_options),
        blocks(BlockSet::open(files, "data", log).value()),
        sealed(SealedSet::open(files, "data", log).value()),
        tiers(TierSet::open(files, "data", log).value()),
        sealer(files, "data", options, *blocks, *sealed, log),
        downsampler(files, options, *sealed, *tiers, log),
        retention(files, options, {*blocks, *sealed, *tiers, downsampler}, log) {}

  /// One step; false when there is nothing to do, or the disk fails.
  bool step(int& number) {
    const auto next = [&] { return test_ulid(number++); };
    const auto dropped = retention.run_due(next);
    if (!dropped.ok() || *dropped) return dropped.ok();
    const Timestamp now{1000 * kHour};
    Timestamp newest = kMinTimestamp;
    for (const auto& block : *blocks->blocks()) newest = std::max(newest, block->meta().max_time);
    newest = std::max(newest, sealed->newest_end());
    if (sealer.run_due(now, newest, Sealer::Scope::kDue, next) == Sealer::Outcome::kDone) {
      return true;
    }
    const auto made = downsampler.run_due(next);
    return made.ok() && *made;
  }
  void run(int& number) {
    for (int i = 0; i < 200; ++i) {
      if (!step(number)) return;
    }
    FAIL() << "it never ends";
  }

  /// Samples counted through windows of `window`, as count_over_time does.
  std::map<Labels, std::size_t> counts(TimeRange range, Duration window) const {
    const auto list = blocks->blocks();
    const auto sealed_list = sealed->blocks();
    const auto tier_list = tiers->blocks();
    const auto querier =
        make_merge_querier(choose_sources({*list, *sealed_list, *tier_list}, range));
    SelectHints hints;
    hints.range = range;
    hints.function = "count_over_time";
    hints.window = window;
    const auto set = querier->select({}, hints, nullptr).value();
    std::map<Labels, std::size_t> found;
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns columns;
      EXPECT_TRUE(set->read(i, range, columns).ok());
      if (columns.size() > 0) found[set->labels(i)] = columns.size();
    }
    return found;
  }
  /// Samples of a series in the sealed and other blocks themselves.
  std::size_t raw_count(const char* name) const {
    std::size_t count = 0;
    const auto sealed_list = sealed->blocks();
    for (const auto& block : *sealed_list) {
      const auto querier = make_sealed_querier(block, TimeRange{});
      const auto set = querier->select({job(name)}, {}, nullptr).value();
      for (std::size_t i = 0; i < set->size(); ++i) {
        SampleColumns columns;
        EXPECT_TRUE(set->read(i, TimeRange{}, columns).ok());
        count += columns.size();
      }
    }
    return count;
  }
  std::size_t rows_of(Duration resolution, const char* name) const {
    std::size_t count = 0;
    const auto list = tiers->blocks();
    for (const auto& rows : *list) {
      if (rows->meta().resolution != resolution) continue;
      const auto querier = make_tier_querier(rows, TimeRange{});
      const auto set = querier->select({job(name)}, {}, nullptr).value();
      for (std::size_t i = 0; i < set->size(); ++i) {
        SampleColumns columns;
        EXPECT_TRUE(set->read(i, TimeRange{}, columns).ok());
        count += columns.size() > 0 ? 1 : 0;
      }
    }
    return count;
  }

  FaultyFileSystem& files;
  const Options options;
  std::unique_ptr<BlockSet> blocks;
  std::unique_ptr<SealedSet> sealed;
  std::unique_ptr<TierSet> tiers;
  Sealer sealer;
  Downsampler downsampler;
  SeriesRetention retention;
};

const Labels kDebug{{"__name__", "up"}, {"job", "debug"}};
const Labels kProduction{{"__name__", "up"}, {"job", "production"}};

BlockModel hours_between(std::int64_t begin, std::int64_t end) {
  BlockModel model;
  for (const Labels& labels : {kDebug, kProduction}) {
    model[labels] = samples_between(begin * kHour + 1, end * kHour, kStep);
  }
  return model;
}

void write_hours(FaultyFileSystem& files, std::int64_t end) {
  ASSERT_TRUE(files.create_directories("data").ok());
  for (std::int64_t b = 0; b < end / 2; ++b) {
    write_block(files, "data", test_ulid(static_cast<int>(b)), hours_between(b * 2, b * 2 + 2));
  }
  ASSERT_TRUE(files.sync_directory(".").ok());
  ASSERT_TRUE(files.sync_directory("data").ok());
}

TEST(SeriesRetention, TakesSamplesAndLeavesTheirRows) {
  FaultyFileSystem files;
  testing::CapturingLogger log;
  write_hours(files, 60);
  int number = 1000;
  Storage storage(files, debug_options(), log);
  storage.run(number);
  // The sealed block of 0 to 54 h ends 6 h ago.
  EXPECT_EQ(storage.raw_count("debug"), 54u * 60);

  for (std::int64_t b = 30; b < 50; ++b) {
    write_block(files, "data", test_ulid(static_cast<int>(b)), hours_between(b * 2, b * 2 + 2));
  }
  ASSERT_TRUE(storage.blocks->reload().ok());
  storage.run(number);
  EXPECT_LT(storage.raw_count("debug"), 54u * 60);
  EXPECT_EQ(storage.raw_count("production"), 90u * 60);
  EXPECT_GT(storage.rows_of(minutes(5), "debug"), 0u);
  EXPECT_EQ(storage.rows_of(hours(1), "debug"), 0u) << "off";
  const TimeRange early{Timestamp{1}, Timestamp{54 * kHour}};
  const auto counts = storage.counts(early, hours(1));
  EXPECT_EQ(counts.at(kDebug), 54u * 60) << "counted by rows";
  EXPECT_EQ(counts.at(kProduction), 54u * 60) << "counted by samples, once";

  for (std::int64_t b = 50; b < 70; ++b) {
    write_block(files, "data", test_ulid(static_cast<int>(b)), hours_between(b * 2, b * 2 + 2));
  }
  ASSERT_TRUE(storage.blocks->reload().ok());
  storage.run(number);
  EXPECT_EQ(storage.counts(early, hours(1)).count(kDebug), 0u) << "its rows are 50 h old";
  EXPECT_EQ(storage.counts(early, hours(1)).at(kProduction), 54u * 60);
  EXPECT_TRUE(storage.retention.plan()->empty());
}

TEST(SeriesRetention, SaysWhatWouldGo) {
  FaultyFileSystem files;
  testing::CapturingLogger log;
  write_hours(files, 90);
  int number = 1000;
  Options keeps = debug_options();
  keeps.retention_rules.clear();
  Storage(files, keeps, log).run(number);
  Storage storage(files, debug_options(), log);
  const auto plan = storage.retention.plan().value();
  ASSERT_FALSE(plan.empty());
  for (const auto& doom : plan) EXPECT_EQ(doom.series_count, 1u);
  EXPECT_EQ(storage.raw_count("debug"), storage.raw_count("production")) << "nothing went";
}

TEST(SeriesRetention, TakesSamplesOfBlocksWhereNoRowsAreWanted) {
  FaultyFileSystem files;
  testing::CapturingLogger log;
  write_hours(files, 40);
  Options options = debug_options();
  options.seal_after = kSealNever;
  options.tiers.clear();
  options.retention_rules = {{{job("debug")}, hours(20), {}}};
  int number = 1000;
  Storage storage(files, options, log);
  storage.run(number);
  const auto counts = storage.counts({Timestamp{1}, Timestamp{40 * kHour}}, hours(1));
  EXPECT_EQ(counts.at(kDebug), 20u * 60);
  EXPECT_EQ(counts.at(kProduction), 40u * 60);
}

TEST(SeriesRetention, APowerCutAtAnyStepLosesNoRow) {
  FaultyFileSystem files;
  testing::CapturingLogger log;
  write_hours(files, 40);
  int number = 1000;
  Options keeps = debug_options();
  keeps.retention_rules.clear();
  Storage(files, keeps, log).run(number);
  const TimeRange all{Timestamp{1}, Timestamp{40 * kHour}};
  const std::map<Labels, std::size_t> wanted = {{kDebug, 40u * 60}, {kProduction, 40u * 60}};
  std::size_t cuts = 0;
  for (std::uint64_t step = 1;; step += 1 + step / 12) {
    SCOPED_TRACE(step);
    const auto disk = files.after_process_crash();
    {
      Storage storage(*disk, debug_options(), log);
      disk->cut_power_at(disk->operation_count() + step);
      for (int i = 0; i < 50 && !disk->power_is_cut(); ++i) {
        if (!storage.step(number)) break;
      }
    }
    if (!disk->power_is_cut()) break;
    ++cuts;
    for (const std::uint64_t seed : {step, step + 1}) {
      const auto survivor = disk->after_power_cut(seed);
      Storage storage(*survivor, debug_options(), log);
      EXPECT_EQ(storage.counts(all, hours(1)), wanted) << survivor->describe();
      storage.run(number);
      EXPECT_EQ(storage.counts(all, hours(1)), wanted);
      EXPECT_LT(storage.raw_count("debug"), 40u * 60);
      EXPECT_EQ(storage.raw_count("production"), 36u * 60);
    }
  }
  EXPECT_GT(cuts, 10u);
}

}  // namespace
}  // namespace tarsier::tsdb
