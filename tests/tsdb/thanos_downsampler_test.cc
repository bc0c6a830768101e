// Downsampled chunks are those Thanos' compactor makes: its own small examples, and the chunk of a
// real series as its code wrote it.

#include "tsdb/compaction/thanos_downsampler.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/bytes.h"
#include "tests/support/format_page.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

using Pairs = std::vector<std::pair<std::int64_t, double>>;

std::vector<Sample> samples_of(const Pairs& pairs) {
  std::vector<Sample> samples;
  for (const auto& [t, v] : pairs) samples.push_back({Timestamp{t}, v});
  return samples;
}

Pairs pairs_of(const std::vector<Sample>& samples) {
  Pairs pairs;
  for (const Sample& sample : samples) pairs.emplace_back(sample.t.ms, sample.v);
  return pairs;
}

struct Expected {
  Pairs count, sum, min, max, counter;
};

void expect_chunk(const AggregateChunk& chunk, const Expected& expected) {
  EXPECT_EQ(pairs_of(chunk.entries[AggregateChunk::kCount]), expected.count);
  EXPECT_EQ(pairs_of(chunk.entries[AggregateChunk::kSum]), expected.sum);
  EXPECT_EQ(pairs_of(chunk.entries[AggregateChunk::kMin]), expected.min);
  EXPECT_EQ(pairs_of(chunk.entries[AggregateChunk::kMax]), expected.max);
  EXPECT_EQ(pairs_of(chunk.entries[AggregateChunk::kCounter]), expected.counter);
}

const Pairs kOneChunk = {{20, 1}, {40, 2}, {60, 3}, {80, 1}, {100, 2}, {120, 5}, {180, 10}};

TEST(ThanosDownsampler, CountsUpOverResetsAndRepeatsTheLastValue) {
  Pairs pairs = kOneChunk;
  pairs.emplace_back(250, 1);
  const auto chunks = downsample_for_thanos(samples_of(pairs), milliseconds(100));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].min_time, Timestamp{99});
  EXPECT_EQ(chunks[0].max_time, Timestamp{250});
  expect_chunk(chunks[0], {{{99, 4}, {199, 3}, {250, 1}},
                           {{99, 7}, {199, 17}, {250, 1}},
                           {{99, 1}, {199, 2}, {250, 1}},
                           {{99, 3}, {199, 10}, {250, 1}},
                           {{20, 1}, {99, 4}, {199, 13}, {250, 14}, {250, 1}}});
}

TEST(ThanosDownsampler, ChunksOfSamplesDoNotMatter) {
  Pairs pairs = kOneChunk;
  for (const auto& pair :
       Pairs{{250, 2}, {260, 1}, {300, 10}, {340, 15}, {380, 25}, {420, 35}, {500, 10}, {540, 3}}) {
    pairs.push_back(pair);
  }
  const auto chunks = downsample_for_thanos(samples_of(pairs), milliseconds(100));
  ASSERT_EQ(chunks.size(), 1u);
  expect_chunk(
      chunks[0],
      {{{99, 4}, {199, 3}, {299, 2}, {399, 3}, {499, 1}, {540, 2}},
       {{99, 7}, {199, 17}, {299, 3}, {399, 50}, {499, 35}, {540, 13}},
       {{99, 1}, {199, 2}, {299, 1}, {399, 10}, {499, 35}, {540, 3}},
       {{99, 3}, {199, 10}, {299, 2}, {399, 25}, {499, 35}, {540, 10}},
       {{20, 1}, {99, 4}, {199, 13}, {299, 16}, {399, 40}, {499, 50}, {540, 63}, {540, 3}}});
}

TEST(ThanosDownsampler, PassesOverWhatIsNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto chunks = downsample_for_thanos(samples_of({{20, nan},
                                                        {250, nan},
                                                        {260, 1},
                                                        {300, 10},
                                                        {340, 15},
                                                        {380, 25},
                                                        {420, 35},
                                                        {500, 10},
                                                        {540, 3}}),
                                            milliseconds(100));
  ASSERT_EQ(chunks.size(), 1u);
  expect_chunk(chunks[0], {{{299, 1}, {399, 3}, {499, 1}, {540, 2}},
                           {{299, 1}, {399, 50}, {499, 35}, {540, 13}},
                           {{299, 1}, {399, 10}, {499, 35}, {540, 3}},
                           {{299, 1}, {399, 25}, {499, 35}, {540, 10}},
                           {{260, 1}, {299, 1}, {399, 25}, {499, 35}, {540, 48}, {540, 3}}});
  EXPECT_TRUE(downsample_for_thanos(samples_of({{20, nan}, {30, nan}}), milliseconds(100)).empty());
  EXPECT_TRUE(downsample_for_thanos({}, milliseconds(100)).empty());
}

TEST(ThanosDownsampler, AWindowOfInfinitiesHasTheGreatestNumberAsMinimum) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto chunks =
      downsample_for_thanos(samples_of({{20, infinity}, {40, infinity}}), milliseconds(100));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].entries[AggregateChunk::kMin][0].v, std::numeric_limits<double>::max());
}

TEST(ThanosDownsampler, GoesOnAlongChunkBoundaries) {
  AggregateChunk chunk;
  const auto set = [&](AggregateChunk::Entry entry, const Pairs& pairs) {
    chunk.entries[entry] = samples_of(pairs);
  };
  const auto rows = [](double at_400) {
    return Pairs{{199, 5}, {299, 1}, {399, 10}, {400, at_400}, {499, 10}, {699, 0}, {999, 100}};
  };
  set(AggregateChunk::kCount, rows(3));
  set(AggregateChunk::kSum, rows(3));
  set(AggregateChunk::kMin, rows(-3));
  set(AggregateChunk::kMax, rows(-3));
  set(AggregateChunk::kCounter, {{99, 100},
                                 {299, 150},
                                 {499, 210},
                                 {499, 10},
                                 {599, 20},
                                 {799, 50},
                                 {999, 120},
                                 {999, 50},
                                 {1099, 40},
                                 {1199, 80},
                                 {1299, 110}});
  chunk.min_time = Timestamp{199};
  chunk.max_time = Timestamp{999};
  const Expected once = {{{499, 29}, {999, 100}},
                         {{499, 29}, {999, 100}},
                         {{499, -3}, {999, 0}},
                         {{499, 10}, {999, 100}},
                         {{99, 100}, {499, 210}, {999, 320}, {1299, 430}, {1299, 110}}};
  const auto chunks =
      downsample_further_for_thanos(std::span(&chunk, 1), milliseconds(100), milliseconds(500));
  ASSERT_EQ(chunks.size(), 1u);
  expect_chunk(chunks[0], once);
  EXPECT_EQ(chunks[0].max_time, Timestamp{1299});
  const auto again = downsample_further_for_thanos(chunks, milliseconds(500), milliseconds(500));
  ASSERT_EQ(again.size(), 1u);
  expect_chunk(again[0], once);
}

TEST(ThanosDownsampler, ChunksHaveAtMostSomeHundredRows) {
  Pairs pairs;
  for (int i = 0; i < 20 * 24 * 60; ++i) pairs.emplace_back(std::int64_t{i} * 60'000, i);
  const auto five = downsample_for_thanos(samples_of(pairs), minutes(5));
  std::size_t rows = 0;
  for (const AggregateChunk& chunk : five) {
    EXPECT_LE(chunk.row_count(), 150u);
    rows += chunk.row_count();
  }
  EXPECT_EQ(rows, 20u * 24 * 12);
  const auto hour = downsample_further_for_thanos(five, minutes(5), hours(1));
  rows = 0;
  for (const AggregateChunk& chunk : hour) rows += chunk.row_count();
  EXPECT_GE(rows, 20u * 24);
  EXPECT_LE(rows, 20u * 24 + five.size());
}

TEST(ThanosDownsampler, EncodesFiveEntriesInTheirOrder) {
  const auto chunks = downsample_for_thanos(samples_of({{10, 1}, {20, 3}}), milliseconds(100));
  const std::string data = encode_aggregate_chunk(chunks.at(0));
  EXPECT_EQ(data, testing::format_example(std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md",
                                          "Thanos' downsampled block"));
  ByteReader in(as_bytes(data));
  const std::size_t rows[] = {1, 1, 1, 1, 3};
  const double last[] = {2, 4, 1, 3, 3};
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t size = in.uvarint();
    EXPECT_EQ(in.u8(), 1u) << "the encoding, which the size leaves out";
    XorIterator chunk(in.take(size));
    EXPECT_EQ(chunk.sample_count(), rows[i]);
    Sample sample{};
    while (chunk.next()) sample = chunk.sample();
    // The counter ends with a time that was there; nobody but readers of aggregates takes that.
    EXPECT_EQ(chunk.status().ok(), i < 4);
    EXPECT_EQ(sample.t, Timestamp{20});
    EXPECT_EQ(sample.v, last[i]);
  }
  EXPECT_EQ(in.remaining(), 0u);
}

}  // namespace
}  // namespace tarsier::tsdb
