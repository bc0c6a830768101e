#include "tsdb/head/ended_series_cutter.h"

#include <bit>
#include <map>
#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;
using Contents = std::map<std::string, std::map<std::int64_t, std::uint64_t>>;

class EndedSeriesTest : public ::testing::Test {
 protected:
  EndedSeriesTest() {
    options_.block_range = seconds(1000);
    options_.block_range_max = seconds(3000);
    options_.retention = Duration{0};
    options_.ended_series_min = 1;
    options_.ended_series_idle = seconds(100);
    open();
  }
  void open() {
    auto db = Db::open(*disk_, "data", options_, log_, nullptr);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
    db_->interrupt_sync();
  }
  void crash() {
    db_.reset();
    disk_ = disk_->after_process_crash();
    open();
  }
  AppendOutcome append(const std::string& name, std::int64_t s, double v) {
    const auto appender = db_->appender();
    const Labels labels = {{"__name__", name}, {"job", "j"}};
    const AppendOutcome outcome =
        appender->append(appender->resolve(labels).value(), {Timestamp{s * 1000}, v});
    EXPECT_TRUE(appender->commit().ok());
    if (outcome == AppendOutcome::kAppended) {
      model_[name][s * 1000] = std::bit_cast<std::uint64_t>(v);
    }
    return outcome;
  }
  void maintain() {
    for (int i = 0; i < 4; ++i) {
      db_->sync_due();
      clock_ms_ += 60'000;
      db_->run_due(Timestamp{clock_ms_});
    }
    db_->sync_due();
  }
  static Contents read(const Querier& querier) {
    Contents out;
    const auto set = querier.select({}, {}, nullptr).value();
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns columns;
      EXPECT_TRUE(set->read(i, {}, columns).ok());
      auto& samples = out[std::string(set->label(i, "__name__"))];
      for (std::size_t k = 0; k < columns.size(); ++k) {
        samples[columns.times_ms[k]] = std::bit_cast<std::uint64_t>(columns.values[k]);
      }
    }
    return out;
  }
  Contents read() { return read(*db_->querier({}).value()); }
  std::uint64_t series_count() const { return db_->head_statistics(1).series_count; }

  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  testing::CapturingLogger log_;
  Options options_;
  std::unique_ptr<Db> db_;
  Contents model_;
  std::int64_t clock_ms_ = 0;
};

TEST_F(EndedSeriesTest, LeaveMemoryAtOnceAndStayQueryable) {
  for (int s = 0; s < 50; ++s) {
    append("stays", s, s);
    append("ends", s, -s);
  }
  maintain();
  EXPECT_EQ(series_count(), 2u);
  append("ends", 50, stale_marker());
  auto held = db_->querier({}).value();
  maintain();
  EXPECT_EQ(series_count(), 1u);
  EXPECT_TRUE(log_.contains("Series that ended left memory"));
  EXPECT_EQ(read(), model_);
  EXPECT_EQ(read(*held), model_) << "who held a querier sees what was there";
  held.reset();
  EXPECT_EQ(db_->blocks().size(), 1u);
  crash();
  EXPECT_EQ(read(), model_);
}

TEST_F(EndedSeriesTest, SilenceEndsThemToo) {
  append("silent", 0, 1);
  append("stays", 100, 1);
  maintain();
  EXPECT_EQ(series_count(), 2u);
  append("stays", 101, 1);
  maintain();
  EXPECT_EQ(series_count(), 1u);
  EXPECT_EQ(read(), model_);
}

TEST_F(EndedSeriesTest, ComeBackAsNewOnesAlsoWithOlderSamples) {
  append("stays", 0, 0);
  for (int s = 0; s < 30; s += 2) append("returns", s, s);
  append("returns", 30, stale_marker());
  maintain();
  EXPECT_EQ(series_count(), 1u);
  EXPECT_EQ(append("returns", 25, 7), AppendOutcome::kAppended);
  EXPECT_EQ(append("returns", 40, 8), AppendOutcome::kAppended);
  append("stays", 41, 0);
  maintain();
  EXPECT_EQ(series_count(), 2u);
  EXPECT_EQ(read(), model_);
  crash();
  EXPECT_EQ(read(), model_);
  EXPECT_EQ(append("returns", 50, 9), AppendOutcome::kAppended);
  append("stays", 52, 0);
  // It ends again, the window is cut, and everything becomes one block.
  append("returns", 51, stale_marker());
  maintain();
  for (int s = 100; s < 2000; s += 10) append("stays", s, s);
  maintain();
  maintain();
  EXPECT_EQ(read(), model_);
  EXPECT_EQ(db_->blocks().size(), 1u);
  crash();
  EXPECT_EQ(read(), model_);
}

TEST_F(EndedSeriesTest, WhatIsDeletedOfThemStaysDeleted) {
  append("stays", 0, 0);
  for (int s = 0; s < 30; ++s) append("ends", s, s);
  append("ends", 30, stale_marker());
  const auto erase = [&](std::int64_t from, std::int64_t to) {
    const TimeRange range{Timestamp{from * 1000}, Timestamp{to * 1000}};
    ASSERT_TRUE(db_->delete_series({Matcher::equal("__name__", "ends")}, range).ok());
    std::erase_if(model_["ends"],
                  [&](const auto& one) { return range.contains(Timestamp{one.first}); });
  };
  erase(5, 9);
  maintain();
  EXPECT_EQ(series_count(), 1u);
  EXPECT_EQ(read(), model_);
  erase(15, 19);
  EXPECT_EQ(read(), model_);
  db_->sync_due();
  crash();
  EXPECT_EQ(read(), model_);
}

TEST_F(EndedSeriesTest, ADeletionOfWhatLeftLastsOnlyOnceTheDepartureDoes) {
  append("stays", 0, 0);
  for (int s = 0; s < 30; ++s) append("ends", s, s);
  append("ends", 30, stale_marker());
  for (int i = 0; i < 10 && series_count() > 1; ++i) {
    db_->sync_due();  // Never after the departure, of which the log's file has nothing then.
    db_->run_due(Timestamp{clock_ms_ += 60'000});
  }
  ASSERT_EQ(series_count(), 1u);
  const auto position = db_->delete_series({Matcher::equal("__name__", "ends")}, {});
  ASSERT_TRUE(position.ok());
  bool is_lasting = false;
  db_->when_synced(*position, [&](const Status& status) { is_lasting = status.ok(); });
  EXPECT_FALSE(is_lasting) << "a start would take the samples from the log again";
  db_->sync_due();
  EXPECT_TRUE(is_lasting);
  model_.erase("ends");
  db_.reset();
  disk_ = disk_->after_power_cut(1);
  open();
  EXPECT_EQ(read(), model_);
}

TEST_F(EndedSeriesTest, ThousandsThatComeAndGoLoseNothing) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    db_.reset();
    disk_ = std::make_unique<FaultyFileSystem>();
    model_.clear();
    open();
    for (int s = 0; s < 4000; s += 5) {
      append("stays", s, s);
      const std::string name = "pod" + std::to_string(s / 60);
      for (int i = 0; i < 3; ++i) {
        const bool ends = s % 60 == 55;
        append(name + "_" + std::to_string(i), s, ends ? stale_marker() : s * 0.5 + i);
      }
      if (random() % 40 == 0) append("pod" + std::to_string(random() % 20) + "_0", s, 1);
      if (random() % 25 == 0) maintain();
      if (random() % 60 == 0) db_->write_head_chunks_due(Timestamp{clock_ms_ += 600'000});
      if (random() % 150 == 0) {
        ASSERT_EQ(read(), model_) << s;
        db_->sync_due();
        crash();
      }
    }
    ASSERT_EQ(read(), model_);
    maintain();
    EXPECT_LT(series_count(), 40u);
  }
}

}  // namespace
}  // namespace tarsier::tsdb
