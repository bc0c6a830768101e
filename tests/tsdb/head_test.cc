#include "tsdb/head/head.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tsdb/head/head_querier.h"
#include "tsdb/head/replay_router.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kHour = 3'600'000;

Labels series(std::string_view name, std::string_view job) {
  return {{"__name__", name}, {"job", job}};
}

/// A head without a log, and words to fill and read it.
class HeadTest : public ::testing::Test {
 protected:
  HeadTest() { make({}); }
  void make(const Options& options) { head_ = std::make_unique<Head>(options); }

  AppendOutcome append(const Labels& labels, std::int64_t t, double v) {
    const auto appender = head_->appender();
    const SeriesRef ref = appender->resolve(labels).value();
    const AppendOutcome outcome = appender->append(ref, {Timestamp{t}, v});
    EXPECT_TRUE(appender->commit().ok());
    return outcome;
  }
  std::unique_ptr<SeriesSet> select(const std::vector<Matcher>& matchers, TimeRange range = {}) {
    SelectHints hints;
    hints.range = range;
    return make_head_querier(*head_, range)->select(matchers, hints, nullptr).value();
  }
  std::unique_ptr<SeriesSet> select(std::string_view name) {
    return select({Matcher::equal("__name__", std::string(name))});
  }
  static std::vector<Sample> read(const SeriesSet& set, std::size_t i, TimeRange range = {}) {
    SampleColumns out;
    EXPECT_TRUE(set.read(i, range, out).ok());
    std::vector<Sample> samples;
    for (std::size_t k = 0; k < out.size(); ++k) {
      samples.push_back({Timestamp{out.times_ms[k]}, out.values[k]});
    }
    return samples;
  }
  static std::vector<std::string> names(const SeriesSet& set) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < set.size(); ++i) out.push_back(set.labels(i).to_string());
    return out;
  }

  std::unique_ptr<Head> head_;
};

TEST_F(HeadTest, GivesBackWhatWasCommitted) {
  EXPECT_EQ(append(series("up", "a"), 1000, 1), AppendOutcome::kAppended);
  EXPECT_EQ(append(series("up", "a"), 2000, 0), AppendOutcome::kAppended);
  append(series("up", "b"), 2000, 5);
  const auto set = select("up");
  EXPECT_EQ(names(*set), (std::vector<std::string>{R"(up{job="a"})", R"(up{job="b"})"}));
  EXPECT_EQ(read(*set, 0), (std::vector<Sample>{{Timestamp{1000}, 1}, {Timestamp{2000}, 0}}));
  EXPECT_EQ(read(*set, 1), (std::vector<Sample>{{Timestamp{2000}, 5}}));
  EXPECT_EQ(set->label(1, "job"), "b");
  EXPECT_EQ(set->label(1, "instance"), "");
}

TEST_F(HeadTest, ComparesLabelsWithoutBuildingThem) {
  for (const Labels& labels : {Labels{{"a", "1"}}, Labels{{"a", "1"}, {"b", "1"}},
                               Labels{{"a", "12"}}, Labels{{"b", "1"}}}) {
    append(labels, 1000, 1);
  }
  const auto set = select(std::vector<Matcher>{});
  ASSERT_EQ(set->size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(set->compare(i, set->labels(k)), i <=> k);
    EXPECT_EQ(set->compare(i, Labels()), std::strong_ordering::greater);
  }
  EXPECT_TRUE(set->may_have_label("b"));
  EXPECT_FALSE(set->may_have_label("__type__"));
}

TEST_F(HeadTest, JudgesASampleByTheNewestOfItsSeriesAndBatch) {
  EXPECT_EQ(append(series("up", "a"), 10 * kHour, 1), AppendOutcome::kAppended);
  const auto appender = head_->appender();
  const SeriesRef ref = appender->resolve(series("up", "a")).value();
  const std::int64_t t = 10 * kHour;
  EXPECT_EQ(appender->append(ref, {Timestamp{t}, 1}), AppendOutcome::kIgnored);
  EXPECT_EQ(appender->append(ref, {Timestamp{t}, 2}), AppendOutcome::kDuplicate);
  EXPECT_EQ(appender->append(ref, {Timestamp{t - 1}, 1}), AppendOutcome::kOutOfOrder);
  EXPECT_EQ(appender->append(ref, {Timestamp{t - kHour - 1}, 1}), AppendOutcome::kOutOfBounds);
  EXPECT_EQ(appender->append(ref, {Timestamp{t + 1}, 3}), AppendOutcome::kAppended);
  EXPECT_EQ(appender->append(ref, {Timestamp{t + 1}, 3}), AppendOutcome::kIgnored);
  EXPECT_EQ(appender->append(ref, {Timestamp{t + 1}, 4}), AppendOutcome::kDuplicate);
  EXPECT_EQ(appender->append(ref, {Timestamp{t}, 4}), AppendOutcome::kOutOfOrder);
  EXPECT_EQ(appender->append(SeriesRef{99}, {Timestamp{t}, 4}), AppendOutcome::kUnknownSeries);
  EXPECT_EQ(appender->append(SeriesRef{~0ull}, {Timestamp{t}, 4}), AppendOutcome::kUnknownSeries);
  ASSERT_TRUE(appender->commit().ok());
  EXPECT_EQ(read(*select("up"), 0).size(), 2u);
}

TEST_F(HeadTest, ShowsNothingOfABatchBeforeItsCommit) {
  const auto appender = head_->appender();
  const SeriesRef ref = appender->resolve(series("up", "a")).value();
  appender->append(ref, {Timestamp{1000}, 1});
  EXPECT_EQ(select("up")->size(), 0u);
  ASSERT_TRUE(appender->commit().ok());
  EXPECT_EQ(select("up")->size(), 1u);
}

TEST_F(HeadTest, ASelectionSeesNoLaterCommit) {
  append(series("up", "a"), 1000, 1);
  const auto set = select("up");
  for (int i = 0; i < 500; ++i) append(series("up", "a"), 2000 + i * 60'000, i);
  EXPECT_EQ(read(*set, 0), (std::vector<Sample>{{Timestamp{1000}, 1}}));
  EXPECT_EQ(set->last_sample(0, {}).value(), (Sample{Timestamp{1000}, 1}));
  EXPECT_EQ(read(*select("up"), 0).size(), 501u);
}

TEST_F(HeadTest, SelectionsMadeTogetherSeeTheSameCommits) {
  // Each commit writes the same value to two old series and creates one: no selection may see a
  // part of a commit that another does not.
  constexpr int kCommits = 3000;
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < kCommits; ++i) {
      const auto appender = head_->appender();
      for (const Labels& labels :
           {series("left", "a"), series("right", "a"), series("made", std::to_string(i))}) {
        const SeriesRef ref = appender->resolve(labels).value();
        appender->append(ref, {Timestamp{1000 + i}, double(i)});
      }
      EXPECT_TRUE(appender->commit().ok());
    }
    done = true;
  });
  const auto request = [](const char* name) {
    return SelectRequest{{Matcher::equal("__name__", name)}, {}};
  };
  const std::vector<SelectRequest> requests = {request("left"), request("made"), request("right")};
  std::size_t look_count = 0;
  while (!done || look_count == 0) {
    const auto sets = make_head_querier(*head_, {})->select_all(requests, nullptr).value();
    ++look_count;
    if (sets[0]->size() == 0) {
      ASSERT_EQ(sets[1]->size() + sets[2]->size(), 0u);
      continue;
    }
    const double left = sets[0]->last_sample(0, {}).value()->v;
    ASSERT_EQ(sets[2]->last_sample(0, {}).value()->v, left);
    ASSERT_EQ(static_cast<double>(sets[1]->size()), left + 1);
  }
  writer.join();
}

TEST_F(HeadTest, TheFasterOfTwoWritersWinsAndTheOtherIsDropped) {
  append(series("up", "a"), 1000, 1);
  const auto slow = head_->appender();
  const SeriesRef ref = slow->resolve(series("up", "a")).value();
  EXPECT_EQ(slow->append(ref, {Timestamp{2000}, 2}), AppendOutcome::kAppended);
  append(series("up", "a"), 3000, 3);
  ASSERT_TRUE(slow->commit().ok());
  EXPECT_EQ(read(*select("up"), 0),
            (std::vector<Sample>{{Timestamp{1000}, 1}, {Timestamp{3000}, 3}}));
  EXPECT_EQ(head_->metrics().samples_lost_to_races.value(), 1u);
}

TEST_F(HeadTest, ACommitTellsWhatItRefused) {
  const auto slow = head_->appender();
  const SeriesRef ref = slow->resolve(series("up", "a")).value();
  for (const auto& [t, v] : {std::pair(1000, 1.0), {2000, 2.0}, {3000, 3.0}}) {
    EXPECT_EQ(slow->append(ref, {Timestamp{t}, v}), AppendOutcome::kAppended);
  }
  append(series("up", "a"), 2000, 2);  // The same sample: stored, whoever was first.
  ASSERT_TRUE(slow->commit().ok());
  ASSERT_EQ(slow->refused_at_commit().size(), 1u);
  const LateRefusal& refusal = slow->refused_at_commit()[0];
  EXPECT_EQ(refusal.series, ref);
  EXPECT_EQ(refusal.sample, (Sample{Timestamp{1000}, 1}));
  EXPECT_EQ(refusal.outcome, AppendOutcome::kOutOfOrder);
  EXPECT_EQ(slow->append(ref, {Timestamp{4000}, 4}), AppendOutcome::kAppended);
  append(series("up", "a"), 4000, 5);
  ASSERT_TRUE(slow->commit().ok());
  ASSERT_EQ(slow->refused_at_commit().size(), 1u);
  EXPECT_EQ(slow->refused_at_commit()[0].outcome, AppendOutcome::kDuplicate);
  ASSERT_TRUE(slow->commit().ok());
  EXPECT_TRUE(slow->refused_at_commit().empty());
}

TEST_F(HeadTest, SortsManySeriesAsTheirLabelsCompare) {
  std::mt19937 random(1);
  std::map<Labels, int> expected;
  const auto appender = head_->appender();
  for (int i = 0; i < 3000; ++i) {
    LabelsBuilder builder;
    const std::string names[] = {"__name__", "a", "ab", "z"};
    for (const std::string& name : names) {
      if (random() % 3 != 0) builder.set(name, std::string(1 + random() % 3, "aAb"[random() % 3]));
    }
    builder.set("id", std::to_string(i));
    const Labels labels = builder.build();
    expected[labels] = i;
    appender->append(appender->resolve(labels).value(), {Timestamp{1000}, 1});
  }
  ASSERT_TRUE(appender->commit().ok());
  const auto set = select(std::vector<Matcher>{});
  ASSERT_EQ(set->size(), expected.size());
  std::size_t i = 0;
  for (const auto& [labels, number] : expected) EXPECT_EQ(set->labels(i++), labels);
}

TEST_F(HeadTest, RefusesLabelsThatAreNone) {
  const auto appender = head_->appender();
  EXPECT_EQ(appender->resolve(Labels()).status().code(), Code::kInvalid);
  EXPECT_EQ(appender->resolve({{"a", "\xff"}}).status().code(), Code::kInvalid);
}

TEST_F(HeadTest, RefusesSeriesBeyondItsLimitAndServesTheOthers) {
  Options options;
  options.head_series_max = 2;
  make(options);
  append(series("up", "a"), 1, 1);
  append(series("up", "b"), 1, 1);
  const auto appender = head_->appender();
  EXPECT_EQ(appender->resolve(series("up", "c")).status().code(), Code::kLimit);
  EXPECT_EQ(append(series("up", "a"), 2, 1), AppendOutcome::kAppended);
}

TEST_F(HeadTest, ARefusalNamesTheLimitAndWhoIsToBlame) {
  Options options;
  options.metric_series_max = 3;
  options.label_series_max = {{"tenant", 2}};
  make(options);
  for (const char* job : {"a", "b", "c"}) append(series("up", job), 1000, 1);
  const auto refusal = [&](const Labels& labels) {
    const auto slot = head_->appender()->resolve(labels);
    return slot.ok() ? "taken" : slot.status().message();
  };
  EXPECT_EQ(
      refusal(series("up", "d")),
      "metric \"up\" has 3 series, its limit is 3: new series "
      "up{job=\"d\"} refused; metric \"up\" has most series (3), label \"job\" most values (3)");
  EXPECT_EQ(refusal(series("up", "a")), "taken");  // It is there already.
  EXPECT_EQ(refusal(series("down", "d")), "taken");
  EXPECT_EQ(refusal({{"job", "no name"}}), "taken");
  EXPECT_EQ(refusal({{"__name__", "x"}, {"tenant", "t"}}), "taken");
  EXPECT_EQ(refusal({{"__name__", "y"}, {"tenant", "t"}}), "taken");
  EXPECT_TRUE(refusal({{"__name__", "z"}, {"tenant", "t"}})
                  .starts_with("tenant=\"t\" has 2 series, its limit is 2: new series z{"));
  EXPECT_EQ(refusal({{"__name__", "z"}, {"tenant", "u"}}), "taken");
  EXPECT_EQ(append(series("up", "a"), 2000, 1), AppendOutcome::kAppended);
}

TEST_F(HeadTest, TakesNoNewSeriesWhileMemoryIsFull) {
  append(series("up", "a"), 1000, 1);
  head_->table().admission().set_memory_is_full(true);
  const auto appender = head_->appender();
  EXPECT_EQ(appender->resolve(series("up", "b")).status().code(), Code::kLimit);
  EXPECT_EQ(append(series("up", "a"), 2000, 1), AppendOutcome::kAppended);
  head_->table().admission().set_memory_is_full(false);
  EXPECT_TRUE(appender->resolve(series("up", "b")).ok());
}

TEST_F(HeadTest, KeepsToItsShareOfMemory) {
  Options options;
  options.memory_limit_bytes = std::uint64_t{16} << 20;
  options.memory_head_percent = 50;
  make(options);
  const auto appender = head_->appender();
  std::size_t count = 0;
  const std::string filler(500, 'x');
  while (count < 100'000 && appender->resolve(series("up", filler + std::to_string(count))).ok()) {
    ++count;
  }
  EXPECT_GT(count, 2'000u);
  EXPECT_LT(count, 20'000u);
  EXPECT_LT(head_->bytes(), std::size_t{10} << 20);
  EXPECT_TRUE(appender->resolve(series("up", filler + "0")).ok());
}

TEST_F(HeadTest, ReplayTakesWhatItCanAndNeverTwoSeriesForOneNumber) {
  const std::vector<RefSeries> logged = {{SeriesRef{7}, series("up", "a")},
                                         {SeriesRef{7}, series("up", "b")},
                                         {SeriesRef{0}, series("up", "c")},
                                         {SeriesRef{~0ull}, series("up", "d")},
                                         {SeriesRef{9}, series("up", "a")}};
  EXPECT_EQ(head_->replay_series(logged), 3u);
  const std::vector<RefSample> samples = {{SeriesRef{7}, Timestamp{1}, 1},
                                          {SeriesRef{9}, Timestamp{2}, 2},
                                          {SeriesRef{8}, Timestamp{3}, 3},
                                          {SeriesRef{11}, Timestamp{3}, 3}};
  ReplayRouter(*head_, nullptr).add(samples);
  head_->finish_replay();
  ASSERT_EQ(select("up")->size(), 1u);
  EXPECT_EQ(read(*select("up"), 0).size(), 2u);  // Both numbers mean the series.
  EXPECT_EQ(head_->appender()->resolve(series("new", "a")).value(), SeriesRef{12});
  EXPECT_EQ(head_->appender()->resolve(series("up", "a")).value(), SeriesRef{7});
}

TEST_F(HeadTest, SelectsByEveryKindOfMatcher) {
  for (const char* job : {"api", "db", "web-1", "web-2"}) append(series("up", job), 1000, 1);
  append({{"__name__", "up"}}, 1000, 1);
  const auto count = [&](MatchOp op, const char* value) {
    return select({Matcher::create(op, "job", value).value()})->size();
  };
  EXPECT_EQ(count(MatchOp::kEqual, "api"), 1u);
  EXPECT_EQ(count(MatchOp::kEqual, ""), 1u);
  EXPECT_EQ(count(MatchOp::kNotEqual, "api"), 4u);
  EXPECT_EQ(count(MatchOp::kNotEqual, ""), 4u);
  EXPECT_EQ(count(MatchOp::kRegex, "web-.*"), 2u);
  EXPECT_EQ(count(MatchOp::kRegex, "api|db"), 2u);
  EXPECT_EQ(count(MatchOp::kNotRegex, "web-[0-9]"), 3u);
  EXPECT_EQ(select(std::vector<Matcher>{})->size(), 5u);
}

TEST_F(HeadTest, NamesLabelsAndValues) {
  append(series("up", "a"), 1000, 1);
  append({{"__name__", "down"}, {"zone", "z"}}, 1000, 1);
  const auto querier = make_head_querier(*head_, {});
  EXPECT_EQ(querier->label_names({}).value(),
            (std::vector<std::string>{"__name__", "job", "zone"}));
  EXPECT_EQ(querier->label_names({Matcher::equal("job", "a")}).value(),
            (std::vector<std::string>{"__name__", "job"}));
  EXPECT_EQ(querier->label_values("__name__", {}).value(),
            (std::vector<std::string>{"down", "up"}));
  EXPECT_EQ(querier->label_values("__name__", {Matcher::equal("zone", "z")}).value(),
            (std::vector<std::string>{"down"}));
}

TEST_F(HeadTest, ChunksInMemoryStayShortAndAreNotFullTogether) {
  const auto name = [](int i) { return series("up", "job" + std::to_string(i)); };
  std::mt19937_64 random(1);
  std::vector<Sample> noise;
  for (std::int64_t i = 0; i < 480; ++i) {
    noise.push_back({Timestamp{i * 15'000}, std::bit_cast<double>(random() >> 2)});
  }
  constexpr int kSeries = 40;  // The first half of which never changes.
  for (const Sample& sample : noise) {
    const auto appender = head_->appender();
    for (int i = 0; i < kSeries; ++i) {
      appender->append(appender->resolve(name(i)).value(),
                       {sample.t, i < kSeries / 2 ? 1.0 : sample.v});
    }
    ASSERT_TRUE(appender->commit().ok());
  }
  std::set<std::int64_t> ends;
  for (int i = 0; i < kSeries; ++i) {
    Head::ChunksInRange chunks;
    head_->find_chunks(head_->table().resolve(name(i)).value(), {}, chunks);
    ends.insert(chunks.sealed.back()->max_t());
    for (const SealedChunk* chunk : chunks.sealed) {
      EXPECT_LE(chunk->size(), 3 * OpenChunks::kCellDataBytes);
      EXPECT_LE(chunk->sample_count(), 120);
    }
    EXPECT_LE(chunks.open_bytes, 3 * OpenChunks::kCellDataBytes);
    const auto set = select({Matcher::equal("job", "job" + std::to_string(i))});
    if (i >= kSeries / 2) {
      EXPECT_EQ(read(*set, 0), noise);
    }
    EXPECT_EQ(read(*set, 0).size(), noise.size());
  }
  EXPECT_GT(ends.size(), kSeries / 4u);
  // Some 130 bytes a series, where full chunks would take 64 or 192.
  EXPECT_LT(head_->bytes() - head_->table().bytes(), 2u << 20);
}

TEST_F(HeadTest, ListsOfChunksReachOverAnyDistance) {
  make({.block_range = milliseconds(10)});
  const Labels labels = series("up", "a");
  // More windows lie between the last two than are counted in place.
  const std::vector<std::int64_t> times = {-25, -3, 0, 5, 9, 10, 700, 710, 2'000'000};
  for (const std::int64_t t : times) append(labels, t, static_cast<double>(t));
  for (std::size_t from = 0; from < times.size(); ++from) {
    const auto samples = read(*select("up"), 0, {Timestamp{times[from]}, kMaxTimestamp});
    ASSERT_EQ(samples.size(), times.size() - from);
    EXPECT_EQ(samples.front().v, static_cast<double>(times[from]));
  }
  // What is truncated is not looked at.
  for (const std::int64_t end : {10, 20, 710, 1'000'000}) {
    head_->freeze_before(Timestamp{end});
    head_->truncate_before(Timestamp{end});
    const auto left = std::count_if(times.begin(), times.end(), [&](auto t) { return t >= end; });
    EXPECT_EQ(read(*select("up"), 0).size(), static_cast<std::size_t>(left)) << end;
  }
  make({});
  const std::vector<std::int64_t> extremes = {INT64_MIN + 2, -1, INT64_MAX - 2};
  for (const std::int64_t t : extremes) append(labels, t, 1);
  EXPECT_EQ(read(*select("up"), 0).size(), extremes.size());
}

TEST_F(HeadTest, ReadsRangesAcrossChunks) {
  const Labels labels = series("up", "a");
  for (std::int64_t i = 0; i < 1000; ++i) append(labels, i * 15'000, static_cast<double>(i));
  const auto set = select("up");
  for (std::int64_t from = 0; from < 1000; from += 97) {
    for (std::int64_t to = from; to < 1000; to += 61) {
      const TimeRange range{Timestamp{from * 15'000 - 5}, Timestamp{to * 15'000 + 5}};
      const auto samples = read(*set, 0, range);
      ASSERT_EQ(samples.size(), static_cast<std::size_t>(to - from + 1));
      EXPECT_EQ(samples.front().v, static_cast<double>(from));
      EXPECT_EQ(set->last_sample(0, range).value(), samples.back());
    }
  }
  EXPECT_EQ(set->last_sample(0, {Timestamp{1}, Timestamp{2}}).value(), std::nullopt);
}

TEST_F(HeadTest, SortsManySeriesByLabelsWhicheverWayTheyCame) {
  std::mt19937 random(5);
  std::vector<Labels> all;
  for (int round = 0; round < 4; ++round) {
    const auto appender = head_->appender();
    for (int i = 0; i < 3000; ++i) {
      const Labels labels{{"__name__", "m" + std::to_string(random() % 50)},
                          {"id", std::to_string(random() % 100'000)}};
      all.push_back(labels);
      appender->append(appender->resolve(labels).value(), {Timestamp{round + 1}, 1});
    }
    ASSERT_TRUE(appender->commit().ok());
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    const auto set = select(std::vector<Matcher>{});
    ASSERT_EQ(set->size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(set->labels(i), all[i]);
  }
}

TEST_F(HeadTest, TruncationDropsOldSamplesAndSeriesWithNothingElse) {
  append(series("up", "gone"), 1000, 1);
  append(series("up", "stays"), 1000, 1);
  append(series("up", "stays"), 4 * kHour, 2);
  const auto before = select("up");
  ASSERT_TRUE(head_->is_cut_due());
  head_->freeze_before(Timestamp{2 * kHour});
  head_->truncate_before(Timestamp{2 * kHour});
  const auto after = select("up");
  EXPECT_EQ(names(*after), (std::vector<std::string>{R"(up{job="stays"})"}));
  EXPECT_EQ(read(*after, 0), (std::vector<Sample>{{Timestamp{4 * kHour}, 2}}));
  // Who selected before still reads everything.
  ASSERT_EQ(before->size(), 2u);
  EXPECT_EQ(before->labels(0), series("up", "gone"));
  EXPECT_EQ(read(*before, 0), (std::vector<Sample>{{Timestamp{1000}, 1}}));
  EXPECT_EQ(read(*before, 1).size(), 2u);
  EXPECT_EQ(head_->table().series_count(), 1u);
  EXPECT_FALSE(head_->is_cut_due());
}

TEST_F(HeadTest, ASeriesRemovedBetweenQueueingAndCommitComesBack) {
  append(series("up", "a"), 3 * kHour, 1);
  const auto appender = head_->appender();
  const SeriesRef ref = appender->resolve(series("up", "a")).value();
  append(series("up", "b"), 7 * kHour, 1);
  EXPECT_EQ(appender->append(ref, {Timestamp{6 * kHour}, 2}), AppendOutcome::kAppended);
  head_->freeze_before(Timestamp{6 * kHour});
  head_->truncate_before(Timestamp{6 * kHour});
  EXPECT_EQ(head_->table().series_count(), 1u);
  ASSERT_TRUE(appender->commit().ok());
  const auto set = select({Matcher::equal("job", "a")});
  ASSERT_EQ(set->size(), 1u);
  EXPECT_EQ(read(*set, 0), (std::vector<Sample>{{Timestamp{6 * kHour}, 2}}));
  EXPECT_EQ(head_->appender()->append(ref, {Timestamp{7 * kHour}, 1}),
            AppendOutcome::kUnknownSeries);
}

TEST_F(HeadTest, SlotsAreUsedAgainAfterTheLastReaderAndNothingIsMixedUp) {
  Options options;
  options.block_range = milliseconds(1000);
  make(options);
  std::mt19937 random(11);
  std::map<Labels, std::map<std::int64_t, double>> model;
  std::unique_ptr<SeriesSet> old_view;
  std::vector<std::pair<Labels, std::vector<Sample>>> old_content;
  for (std::int64_t t = 1000; t < 60'000; t += 50) {
    const auto appender = head_->appender();
    for (int i = 0; i < 20; ++i) {
      const Labels labels{{"id", std::to_string(t / 3000) + "-" + std::to_string(random() % 40)},
                          {"kind", random() % 2 == 0 ? "x" : "y"}};
      const auto outcome =
          appender->append(appender->resolve(labels).value(), {Timestamp{t}, 1.0 * i});
      if (outcome == AppendOutcome::kAppended) model[labels][t] = i;
    }
    ASSERT_TRUE(appender->commit().ok());
    if (random() % 40 == 0) {
      if (old_view != nullptr) {
        for (std::size_t i = 0; i < old_view->size(); ++i) {
          ASSERT_EQ(old_view->labels(i), old_content[i].first);
          ASSERT_EQ(read(*old_view, i), old_content[i].second);
        }
      }
      old_view = select(std::vector<Matcher>{});
      old_content.clear();
      for (std::size_t i = 0; i < old_view->size(); ++i) {
        old_content.emplace_back(old_view->labels(i), read(*old_view, i));
      }
    }
    if (head_->is_cut_due()) {
      const std::int64_t end = head_->window_end(head_->min_time());
      head_->freeze_before(Timestamp{end});
      head_->truncate_before(Timestamp{end});
      for (auto it = model.begin(); it != model.end();) {
        it->second.erase(it->second.begin(), it->second.lower_bound(end));
        it = it->second.empty() ? model.erase(it) : std::next(it);
      }
    }
    const auto set = select(std::vector<Matcher>{});
    ASSERT_EQ(set->size(), model.size()) << t;
    std::size_t i = 0;
    for (const auto& [labels, samples] : model) {
      ASSERT_EQ(set->labels(i), labels);
      ASSERT_EQ(read(*set, i).size(), samples.size());
      ++i;
    }
    ASSERT_EQ(select({Matcher::equal("kind", "x")})->size() +
                  select({Matcher::equal("kind", "y")})->size(),
              model.size());
  }
  EXPECT_LT(head_->table().slot_count(), 1000u);  // 800 series in all, few at a time.
}

}  // namespace
}  // namespace tarsier::tsdb
