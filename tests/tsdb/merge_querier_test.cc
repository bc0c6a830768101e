#include "tsdb/merge_querier.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/seed.h"
#include "tests/support/table_storage.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_querier.h"

namespace tarsier::tsdb {
namespace {

/// Few names and values, so that sets share beginnings and one is another's prefix.
Labels random_labels(std::mt19937_64& random) {
  std::vector<LabelView> labels;
  constexpr std::string_view kNames[] = {"__name__", "a", "aa", "b"};
  constexpr std::string_view kValues[] = {"", "", "1", "12", "2", "~"};
  for (const std::string_view name : kNames) {
    labels.push_back({name, kValues[random() % std::size(kValues)]});
  }
  labels.push_back({"z", random() % 2 == 0 ? "" : "z"});
  return Labels::from_views(labels);
}

class MergeQuerier : public ::testing::Test {
 protected:
  std::unique_ptr<Querier> block(int number, const testing::BlockModel& model) {
    const BlockMeta meta = testing::write_block(files_, "data", testing::test_ulid(number), model);
    return make_block_querier(Block::open(files_, join_path("data", meta.ulid.to_string())).value(),
                              TimeRange{});
  }
  static std::unique_ptr<SeriesSet> all(const Querier& querier) {
    return querier.select({}, {}, nullptr).value();
  }
  testing::FaultyFileSystem files_;
};

TEST_F(MergeQuerier, ShowsEverySeriesOnceWithTheSamplesOfAllParts) {
  const std::uint32_t seed = testing::seed_or(1);
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 30; ++round) {
    testing::BlockModel model;
    testing::TableStorage table;  // Builds labels to compare them; blocks do not.
    std::vector<MergeSource> sources;
    for (int part = 0; part < 4; ++part) {
      testing::BlockModel own;
      for (std::uint64_t i = random() % 12; i > 0; --i) {
        const Labels labels = random_labels(random);
        const Sample sample{Timestamp{1000 * part + 1}, static_cast<double>(part)};
        if (labels.empty() || own.contains(labels)) continue;
        own[labels] = {sample};
        model[labels].push_back(sample);
        if (part == 3) table.add(labels, sample.t, sample.v);
      }
      if (part < 3 && !own.empty()) sources.push_back({block(10 * round + part, own), TimeRange{}});
    }
    sources.push_back({table.querier(TimeRange{}).value(), TimeRange{}});
    const auto merged = make_merge_querier(std::move(sources));
    const auto set = all(*merged);
    ASSERT_EQ(set->size(), model.size());
    std::size_t i = 0;
    for (const auto& [labels, samples] : model) {
      EXPECT_EQ(set->labels(i), labels);
      SampleColumns columns;
      ASSERT_TRUE(set->read(i, TimeRange{}, columns).ok());
      std::vector<Sample> found;
      for (std::size_t k = 0; k < columns.size(); ++k) {
        found.push_back({Timestamp{columns.times_ms[k]}, columns.values[k]});
      }
      EXPECT_EQ(found, samples) << labels.to_string();
      for (const auto& [other, unused] : model) {
        EXPECT_EQ(set->compare(i, other), labels <=> other)
            << labels.to_string() << " and " << other.to_string();
      }
      ++i;
    }
  }
}

TEST_F(MergeQuerier, KnowsWhichLabelsNoSeriesHas) {
  std::vector<MergeSource> sources;
  sources.push_back(
      {block(1, {{Labels{{"__name__", "x"}, {"a", "1"}}, {{Timestamp{1}, 1}}}}), TimeRange{}});
  sources.push_back(
      {block(2, {{Labels{{"__name__", "x"}, {"b", "1"}}, {{Timestamp{2}, 1}}}}), TimeRange{}});
  const auto merged = make_merge_querier(std::move(sources));
  const auto set = all(*merged);
  EXPECT_TRUE(set->may_have_label("a"));
  EXPECT_TRUE(set->may_have_label("b"));
  EXPECT_FALSE(set->may_have_label("__type__"));
  EXPECT_FALSE(merged->heeds_resolution());
}

}  // namespace
}  // namespace tarsier::tsdb
