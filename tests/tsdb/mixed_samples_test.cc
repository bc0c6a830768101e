#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/compaction/compactor.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/merge_querier.h"

// Blocks whose series hold floats and native histograms, queried, merged and compacted.

namespace tarsier::tsdb {
namespace {

const Labels kSeries{{"__name__", "h"}};

IntegerHistogram counts_of(std::int64_t n, CounterResetHint hint = CounterResetHint::kUnknown) {
  IntegerHistogram h;
  h.layout.positive_spans = {{0, 2}};
  h.positive_deltas = {n, 1};
  h.count = static_cast<std::uint64_t>(2 * n + 1);
  h.sum = static_cast<double>(n);
  h.hint = hint;
  return h;
}
AnySample histogram_at(std::int64_t t, std::int64_t n) { return {Timestamp{t}, counts_of(n)}; }
AnySample float_at(std::int64_t t, double v) { return {Timestamp{t}, v}; }

class MixedSamples : public ::testing::Test {
 protected:
  std::shared_ptr<const Block> write(int number, const std::vector<AnySample>& samples) {
    BlockMeta meta;
    meta.ulid = testing::test_ulid(number);
    meta.min_time = samples.front().t;
    meta.max_time = samples.back().t + milliseconds(1);
    meta.sources = {meta.ulid};
    SymbolSet symbols;
    symbols.add(kSeries);
    auto writer = BlockWriter::create(files_, "data", meta, std::move(symbols), 1 << 20).value();
    std::vector<std::string> bytes;
    std::vector<EncodedChunk> chunks;
    encode_any_samples(samples, 120, [&](Timestamp min, Timestamp max, const Chunk& chunk) {
      bytes.emplace_back(as_text(chunk.data));
      chunks.push_back({min, max, {chunk.encoding, {}}});
    });
    for (std::size_t i = 0; i < chunks.size(); ++i) chunks[i].chunk.data = as_bytes(bytes[i]);
    EXPECT_TRUE(writer->add_series(kSeries, chunks).ok());
    EXPECT_TRUE(writer->finish().ok());
    return open(meta.ulid);
  }
  std::shared_ptr<const Block> open(const Ulid& ulid) {
    return Block::open(files_, join_path("data", ulid.to_string())).value();
  }
  void erase(const std::shared_ptr<const Block>& block, TimeRange range) {
    Tombstones tombstones;
    std::vector<std::uint32_t> refs;
    ASSERT_TRUE(block->index().append_all(refs).ok());
    tombstones.add(refs[0], range);
    const std::string path = join_path("data", block->meta().ulid.to_string());
    ASSERT_TRUE(
        write_file_atomically(files_, join_path(path, kTombstonesFileName), tombstones.encode())
            .ok());
  }

  /// "10:f1 20:h5?" - histograms with their sum, and a mark for a hint that is unknown.
  static std::string read(const Querier& querier) {
    const auto set = querier.select({}, {}, nullptr).value();
    if (set->size() == 0) return "nothing";
    EXPECT_EQ(set->size(), 1u);
    SampleColumns floats;
    HistogramColumns histograms;
    EXPECT_TRUE(set->read_mixed(0, TimeRange{}, floats, histograms).ok());
    std::map<std::int64_t, std::string> rows;
    for (std::size_t i = 0; i < floats.size(); ++i) {
      rows[floats.times_ms[i]] = "f" + std::to_string(static_cast<int>(floats.values[i]));
    }
    for (std::size_t i = 0; i < histograms.size(); ++i) {
      const FloatHistogram h = histograms.at(i);
      EXPECT_EQ(h.count, 2 * h.sum + 1);
      EXPECT_EQ(h.positive_counts, (std::vector<double>{h.sum, h.sum + 1}));
      std::string& row = rows[histograms.times_ms[i]];
      EXPECT_TRUE(row.empty()) << "two samples at one time";
      row = "h" + std::to_string(static_cast<int>(h.sum));
      if (h.hint == CounterResetHint::kUnknown) row += "?";
    }
    std::string text;
    for (const auto& [t, row] : rows) {
      if (!text.empty()) text += ' ';
      text += std::to_string(t) + ":" + row;
    }
    SampleColumns only_floats;
    EXPECT_TRUE(set->read(0, TimeRange{}, only_floats).ok());
    EXPECT_EQ(only_floats.times_ms, floats.times_ms);
    return text;
  }
  static std::string read(const std::shared_ptr<const Block>& block) {
    return read(*make_block_querier(block, TimeRange{}));
  }
  static std::string read(const std::vector<std::shared_ptr<const Block>>& blocks) {
    std::vector<MergeSource> sources;
    for (const auto& block : blocks) {
      sources.push_back({make_block_querier(block, TimeRange{}), block->range()});
    }
    return read(*make_merge_querier(std::move(sources)));
  }
  std::shared_ptr<const Block> compact(const BlockList& inputs) {
    const auto meta =
        compact_blocks(files_, "data", inputs, testing::test_ulid(99), 1 << 20, nullptr);
    EXPECT_TRUE(meta.ok()) << meta.status().message();
    return meta.ok() && *meta ? open((*meta)->ulid) : nullptr;
  }
  std::vector<ChunkResetHeader> headers(const std::shared_ptr<const Block>& block) {
    std::vector<ChunkResetHeader> out;
    std::vector<std::uint32_t> refs;
    EXPECT_TRUE(block->index().append_all(refs).ok());
    std::vector<ChunkMeta> metas;
    EXPECT_TRUE(block->index()
                    .append_chunks(block->index().series(refs[0]).value(), TimeRange{}, metas)
                    .ok());
    ChunkBuffer buffer;
    for (const ChunkMeta& meta : metas) {
      EXPECT_TRUE(block->chunks().read(std::span(&meta, 1), buffer).ok());
      if (!is_histogram_encoding(buffer.chunks[0].encoding)) continue;
      out.push_back(HistogramIterator(buffer.chunks[0].encoding, buffer.chunks[0].data).header());
    }
    return out;
  }

  testing::FaultyFileSystem files_;
};

TEST_F(MixedSamples, OfABlockComeInTwoColumns) {
  const auto block = write(1, {float_at(10, 1), histogram_at(20, 2), histogram_at(30, 3),
                               histogram_at(40, 1), float_at(50, 5), histogram_at(60, 6)});
  EXPECT_EQ(read(block), "10:f1 20:h2? 30:h3 40:h1? 50:f5 60:h6?");
  EXPECT_EQ(block->meta().histogram_sample_count, 4u);
  EXPECT_EQ(block->meta().float_sample_count, 2u);
  using enum ChunkResetHeader;
  EXPECT_EQ(headers(block), (std::vector{kUnknown, kReset, kUnknown}));
}

TEST_F(MixedSamples, ThatAreDeletedAreGone) {
  const auto block = write(1, {float_at(10, 1), histogram_at(20, 2), histogram_at(30, 3),
                               histogram_at(40, 4), float_at(50, 5)});
  erase(block, {Timestamp{25}, Timestamp{35}});
  const auto reopened = open(block->meta().ulid);
  EXPECT_EQ(read(reopened), "10:f1 20:h2? 40:h4 50:f5");
  const auto compacted = compact({reopened});
  ASSERT_NE(compacted, nullptr);
  EXPECT_EQ(read(compacted), "10:f1 20:h2? 40:h4 50:f5");
}

TEST_F(MixedSamples, OfBlocksThatFollowEachOtherStayAsTheyAre) {
  const auto a = write(1, {histogram_at(10, 1), histogram_at(20, 2)});
  const auto b = write(2, {histogram_at(30, 3), float_at(40, 4)});
  EXPECT_EQ(read({a, b}), "10:h1? 20:h2 30:h3? 40:f4");
  EXPECT_EQ(read(compact({a, b})), "10:h1? 20:h2 30:h3? 40:f4");
}

TEST_F(MixedSamples, OfBlocksThatOverlapAreMergedAndForgetTheirNeighbours) {
  const auto a = write(1, {histogram_at(10, 1), histogram_at(30, 3), float_at(50, 5)});
  const auto b = write(
      2, {histogram_at(20, 2), histogram_at(30, 9), histogram_at(40, 4), histogram_at(60, 6)});
  // At 30 the first block's stays.
  EXPECT_EQ(read({a, b}), "10:h1? 20:h2? 30:h3? 40:h4? 50:f5 60:h6?");
  const auto compacted = compact({a, b});
  EXPECT_EQ(read(compacted), "10:h1? 20:h2 30:h3 40:h4? 50:f5 60:h6?");
  using enum ChunkResetHeader;
  EXPECT_EQ(headers(compacted), (std::vector{kUnknown, kUnknown, kUnknown}));
}

TEST_F(MixedSamples, BehindAMergeDoNotClaimToFollowWhatWasBefore) {
  std::vector<AnySample> long_series;
  for (int i = 0; i < 130; ++i) long_series.push_back(histogram_at(10 * i, i));
  const auto a = write(1, long_series);  // 120 samples, and 10 that say "no reset".
  using enum ChunkResetHeader;
  EXPECT_EQ(headers(a), (std::vector{kUnknown, kNotReset}));
  const auto b = write(2, {histogram_at(1185, 500)});
  const auto compacted = compact({a, b});
  EXPECT_EQ(headers(compacted), (std::vector{kUnknown, kReset, kUnknown}));
}

}  // namespace
}  // namespace tarsier::tsdb
