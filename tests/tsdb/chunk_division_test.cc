#include "tsdb/head/chunk_division.h"

#include <bit>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tsdb/head/head_cutter.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kRange = 2 * 3'600'000;

class ChunkDivisionTest : public ::testing::Test {
 protected:
  /// The samples in chunks of so many.
  std::vector<EncodedChunk> chunks_of(std::span<const Sample> samples, std::size_t count) {
    std::vector<EncodedChunk> chunks;
    for (std::size_t begin = 0; begin < samples.size(); begin += count) {
      const auto some = samples.subspan(begin, std::min(count, samples.size() - begin));
      chunks.push_back({some.front().t, some.back().t, {ChunkEncoding::kXor, encoded(some)}});
    }
    return chunks;
  }
  Bytes encoded(std::span<const Sample> samples) {
    XorEncoder encoder;
    for (const Sample& sample : samples) encoder.append(sample);
    data_.emplace_back(as_text(encoder.bytes()));
    return as_bytes(data_.back());
  }
  static std::vector<std::size_t> counts(const std::vector<EncodedChunk>& chunks) {
    std::vector<std::size_t> out;
    for (const EncodedChunk& chunk : chunks)
      out.push_back(load_be<std::uint16_t>(chunk.chunk.data.data()));
    return out;
  }
  static std::vector<Sample> every(std::int64_t interval_ms, std::size_t count) {
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < count; ++i) {
      samples.push_back(
          {Timestamp{static_cast<std::int64_t>(i) * interval_ms}, static_cast<double>(i)});
    }
    return samples;
  }

  std::deque<std::string> data_;
  ChunkDivision division_{kRange};
};

TEST_F(ChunkDivisionTest, DividesAsPrometheusDoesHoweverTheHeadDid) {
  const std::vector<Sample> samples = every(15'000, 481);
  for (const std::size_t count : {1u, 7u, 100u, 120u, 121u, 480u}) {
    std::vector<EncodedChunk> chunks = chunks_of(samples, count);
    division_.divide(chunks);
    // Two hours at 15 s: four times 120.
    ASSERT_EQ(counts(chunks), (std::vector<std::size_t>{120, 120, 120, 120, 1})) << count;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto some = std::span(samples).subspan(120 * i, 120);
      EXPECT_EQ(as_text(chunks[i].chunk.data), as_text(encoded(some)));
      EXPECT_EQ(chunks[i].min_time, some.front().t);
      EXPECT_EQ(chunks[i].max_time, some.back().t);
    }
  }
  std::vector<EncodedChunk> fast = chunks_of(every(1, 500), 50);
  division_.divide(fast);
  EXPECT_EQ(counts(fast), (std::vector<std::size_t>{120, 120, 120, 120, 20}));
}

TEST_F(ChunkDivisionTest, NothingIsAddedToAChunkOfMoreThan1005Bytes) {
  std::mt19937_64 random(1);
  std::vector<Sample> samples = every(20'000, 300);
  for (Sample& sample : samples) {
    sample.t.ms += static_cast<std::int64_t>(random() % 10'000);
    sample.v = std::bit_cast<double>(random() >> 2);
  }
  std::vector<EncodedChunk> chunks = chunks_of(samples, 10);
  division_.divide(chunks);
  SampleColumns out;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_LE(chunks[i].chunk.data.size(), 1024u);
    if (i + 1 < chunks.size()) {
      EXPECT_GT(chunks[i].chunk.data.size(), 900u);
    }
    ASSERT_TRUE(decode_xor_chunk(chunks[i].chunk.data, {}, out).ok());
  }
  ASSERT_EQ(out.size(), samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ((Sample{Timestamp{out.times_ms[i]}, out.values[i]}), samples[i]);
  }
}

TEST_F(ChunkDivisionTest, OnlyNeighboursOfFloatsThatCanBeReadAreJoined) {
  const std::vector<Sample> samples = every(15'000, 60);
  std::vector<EncodedChunk> chunks = chunks_of(samples, 10);
  const Bytes alone = chunks[0].chunk.data;
  chunks[1].chunk.encoding = ChunkEncoding::kHistogram;
  chunks[4].chunk.encoding = ChunkEncoding::kHistogram;
  division_.divide(chunks);
  ASSERT_EQ(chunks.size(), 5u);
  EXPECT_EQ(chunks[0].chunk.data.data(), alone.data());
  EXPECT_EQ(counts(chunks), (std::vector<std::size_t>{10, 10, 20, 10, 10}));

  chunks = chunks_of(samples, 10);
  chunks[2].chunk.data = chunks[2].chunk.data.first(5);
  division_.divide(chunks);
  EXPECT_EQ(counts(chunks), std::vector<std::size_t>(6, 10));
}

TEST_F(ChunkDivisionTest, BlocksOfTheHeadHaveWholeChunks) {
  Head head(Options{});
  const auto appender = head.appender();
  std::vector<SeriesRef> refs;
  for (const char* job : {"a", "b", "c"}) {
    refs.push_back(appender->resolve(Labels{{"__name__", "up"}, {"job", job}}).value());
  }
  for (const Sample& sample : every(15'000, 481)) {
    for (const SeriesRef ref : refs) appender->append(ref, sample);
  }
  ASSERT_TRUE(appender->commit().ok());
  head.freeze_before(Timestamp{kRange});
  testing::FaultyFileSystem files;
  const auto meta = cut_block(head, files, "data", {}, Timestamp{kRange}, 1 << 20).value();
  ASSERT_TRUE(meta);
  EXPECT_EQ(meta->sample_count, 3u * 480);
  EXPECT_EQ(meta->chunk_count, 3u * 4);
}

}  // namespace
}  // namespace tarsier::tsdb
