#include <vector>

#include <gtest/gtest.h>

#include "tsdb/head/head.h"
#include "tsdb/head/head_querier.h"

namespace tarsier::tsdb {
namespace {

const Labels kSeries = {{"__name__", "up"}};

class HeadChurnTest : public ::testing::Test {
 protected:
  AppendOutcome append(const Labels& labels, std::int64_t t, double v) {
    const auto appender = head_.appender();
    const AppendOutcome outcome =
        appender->append(appender->resolve(labels).value(), {Timestamp{t}, v});
    EXPECT_TRUE(appender->commit().ok());
    return outcome;
  }
  std::vector<std::int64_t> times(const Labels& labels) {
    const auto querier = make_head_querier(head_, {});
    const auto set =
        querier
            ->select({Matcher::equal("__name__", std::string(labels.get("__name__")))}, {}, nullptr)
            .value();
    EXPECT_EQ(set->size(), 1u);
    SampleColumns out;
    EXPECT_TRUE(set->read(0, {}, out).ok());
    return out.times_ms;
  }
  bool is_open(const Labels& labels) {
    const Slot slot = head_.table().resolve(labels).value();
    return head_.table().record(slot).has_open_chunk();
  }

  Head head_{Options{}};
};

TEST_F(HeadChurnTest, ASeriesThatEndedLeavesItsOpenChunkAndStaysReadable) {
  append(kSeries, 0, 1);
  append(kSeries, 15'000, 2);
  head_.close_finished_chunks();
  EXPECT_TRUE(is_open(kSeries));
  append(kSeries, 30'000, stale_marker());
  head_.close_finished_chunks();
  EXPECT_FALSE(is_open(kSeries));
  EXPECT_EQ(times(kSeries), (std::vector<std::int64_t>{0, 15'000, 30'000}));
  EXPECT_EQ(head_.metrics().chunks_closed.value(), 1u);
  head_.close_finished_chunks();
  EXPECT_EQ(head_.metrics().chunks_closed.value(), 1u);

  // It comes back; what is older than its end is still refused.
  EXPECT_EQ(append(kSeries, 30'000, 5), AppendOutcome::kDuplicate);
  EXPECT_EQ(append(kSeries, 20'000, 5), AppendOutcome::kOutOfOrder);
  EXPECT_EQ(append(kSeries, 45'000, 5), AppendOutcome::kAppended);
  EXPECT_EQ(times(kSeries), (std::vector<std::int64_t>{0, 15'000, 30'000, 45'000}));
}

TEST_F(HeadChurnTest, SilenceEndsASeriesWhenOthersGoOn) {
  append(kSeries, 0, 1);
  append({{"__name__", "other"}}, 15 * 60'000, 1);
  head_.close_finished_chunks();
  EXPECT_TRUE(is_open(kSeries));
  append({{"__name__", "other"}}, 15 * 60'000 + 1, 1);
  head_.close_finished_chunks();
  EXPECT_FALSE(is_open(kSeries));
  EXPECT_TRUE(is_open({{"__name__", "other"}}));
}

TEST_F(HeadChurnTest, AFullChunkIsClosedBeforeTheSampleThatWouldBeginTheNext) {
  int count = 0;
  const auto add = [&] { append(kSeries, 15'000 * count++, 1); };
  // The first chunk of a window ends early.
  while (head_.metrics().chunks_created.value() < 2) add();
  for (int i = 1; i < 119; ++i) add();
  head_.close_finished_chunks();
  EXPECT_TRUE(is_open(kSeries));
  add();
  head_.close_finished_chunks();
  EXPECT_FALSE(is_open(kSeries));
  add();
  EXPECT_EQ(times(kSeries).size(), static_cast<std::size_t>(count));
  EXPECT_EQ(head_.metrics().chunks_created.value(), 3u);
}

TEST_F(HeadChurnTest, WhatWasClosedIsCutIntoTheBlock) {
  for (int i = 0; i < 20; ++i) append(kSeries, 15'000 * i, i);
  append(kSeries, 300'000, stale_marker());
  head_.close_finished_chunks();
  append({{"__name__", "other"}}, 2 * 3'600'000 + 1, 1);
  head_.freeze_before(Timestamp{2 * 3'600'000});
  EXPECT_EQ(times(kSeries).size(), 21u);
  head_.truncate_before(Timestamp{2 * 3'600'000});
  EXPECT_EQ(head_.table().series_count(), 1u);
}

}  // namespace
}  // namespace tarsier::tsdb
