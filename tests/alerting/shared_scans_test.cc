#include "alerting/shared_scans.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "query/engine.h"
#include "tests/alerting/rule_lab.h"
#include "tests/support/table_storage.h"

namespace tarsier::alerting {
namespace {

/// A table that counts what is selected and read.
class CountingStorage final : public tsdb::Queryable {
 public:
  testing::TableStorage table;
  std::size_t select_count = 0;
  std::size_t read_count = 0;

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override {
    return std::make_unique<View>(*this, TRY(table.querier(range)));
  }

 private:
  class Set final : public tsdb::SeriesSet {
   public:
    Set(CountingStorage& owner, std::unique_ptr<tsdb::SeriesSet> inner)
        : owner_(owner), inner_(std::move(inner)) {}
    std::size_t size() const override { return inner_->size(); }
    tsdb::Labels labels(std::size_t i) const override { return inner_->labels(i); }
    std::string_view label(std::size_t i, std::string_view name) const override {
      return inner_->label(i, name);
    }
    Status read(std::size_t i, TimeRange range, tsdb::SampleColumns& out) const override {
      return inner_->read(i, range, out);
    }
    Result<std::optional<tsdb::Sample>> last_sample(std::size_t i, TimeRange range) const override {
      ++owner_.read_count;
      return inner_->last_sample(i, range);
    }

   private:
    CountingStorage& owner_;
    const std::unique_ptr<tsdb::SeriesSet> inner_;
  };
  class View final : public tsdb::Querier {
   public:
    View(CountingStorage& owner, std::unique_ptr<tsdb::Querier> inner)
        : owner_(owner), inner_(std::move(inner)) {}
    Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                    const tsdb::SelectHints& hints,
                                                    const CancelToken* cancel) const override {
      ++owner_.select_count;
      return std::make_unique<Set>(owner_, TRY(inner_->select(matchers, hints, cancel)));
    }
    Result<std::vector<std::string>> label_names(
        const std::vector<tsdb::Matcher>& matchers) const override {
      return inner_->label_names(matchers);
    }
    Result<std::vector<std::string>> label_values(
        std::string_view name, const std::vector<tsdb::Matcher>& matchers) const override {
      return inner_->label_values(name, matchers);
    }

   private:
    CountingStorage& owner_;
    const std::unique_ptr<tsdb::Querier> inner_;
  };
};

struct Lab {
  Lab() {
    for (int i = 0; i < 100; ++i) {
      storage.table.add({{"__name__", "x"}, {"i", fmt::format("{}", i)}}, {60'000}, i);
    }
  }
  std::size_t count(tsdb::Queryable& from, const std::string& text) {
    const auto prepared = engine.prepare({.text = text, .start = {60'000}, .end = {60'000}});
    EXPECT_TRUE(prepared.ok());
    const auto answer = engine.run(from, *prepared, nullptr);
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->vector.size() : 0;
  }
  CountingStorage storage;
  const query::Engine engine{{}, nullptr};
};

TEST(SharedScans, EqualSelectionsAreLookedUpAndReadOnce) {
  Lab lab;
  SharedScans scans(lab.storage);
  EXPECT_EQ(lab.count(scans, "x > 89"), 10u);
  const std::size_t selects = lab.storage.select_count;
  const std::size_t reads = lab.storage.read_count;
  EXPECT_EQ(lab.count(scans, "x > 94"), 5u);
  EXPECT_EQ(lab.count(scans, "x < 50"), 50u);
  EXPECT_EQ(lab.storage.select_count, selects);
  EXPECT_EQ(lab.storage.read_count, reads);
  EXPECT_EQ(scans.hit_count(), 2u);
  EXPECT_EQ(lab.count(scans, "x{i=\"7\"}"), 1u);
  EXPECT_GT(lab.storage.select_count, selects);
}

TEST(SharedScans, WhatWasWrittenIsLookedUpAnew) {
  Lab lab;
  SharedScans scans(lab.storage);
  EXPECT_EQ(lab.count(scans, "x"), 100u);
  lab.storage.table.add({{"__name__", "x"}, {"i", "new"}}, {60'000}, 1);
  EXPECT_EQ(lab.count(scans, "x"), 100u);
  scans.wrote("y");
  EXPECT_EQ(lab.count(scans, "x"), 100u);
  scans.wrote("x");
  EXPECT_EQ(lab.count(scans, "x"), 101u);
  EXPECT_EQ(lab.count(scans, "{i=\"new\"}"), 1u);
  scans.wrote("z");  // A selection without a name may hold it.
  const std::size_t selects = lab.storage.select_count;
  EXPECT_EQ(lab.count(scans, "{i=\"new\"}"), 1u);
  EXPECT_EQ(lab.storage.select_count, selects + 1);
}

TEST(SharedScans, BeyondItsLimitNothingIsShared) {
  Lab lab;
  SharedScans scans(lab.storage, 50);
  EXPECT_EQ(lab.count(scans, "x > 89"), 10u);
  EXPECT_EQ(lab.count(scans, "x > 89"), 10u);
  EXPECT_EQ(scans.hit_count(), 0u);
}

}  // namespace
}  // namespace tarsier::alerting
