#include "tsdb/encoded_chunk.h"

#include <gtest/gtest.h>

#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

FloatHistogram histogram(double count) {
  FloatHistogram h;
  h.layout.schema = 0;
  h.layout.positive_spans = {{0, 2}};
  h.count = count;
  h.sum = count;
  h.positive_counts = {count - 1, 1};
  return h;
}

TEST(EncodedChunks, HoldBothKindsInTimeOrder) {
  SampleColumns floats;
  HistogramColumns histograms;
  for (int i = 0; i < 130; ++i) floats.push_back(Timestamp{i * 10}, i);
  for (int i = 0; i < 3; ++i) histograms.push_back(Timestamp{2000 + i * 10}, histogram(2 + i));
  floats.push_back(Timestamp{3000}, 7);
  histograms.push_back(Timestamp{4000}, histogram(1));  // Fewer than before: a reset.

  const std::vector<TransferChunk> chunks = encode_chunks(floats, histograms);
  ASSERT_EQ(chunks.size(), 5u);
  std::vector<int> encodings;
  std::size_t float_count = 0;
  std::size_t histogram_count = 0;
  std::int64_t end = -1;
  for (const TransferChunk& chunk : chunks) {
    EXPECT_GT(chunk.min_time_ms, end);
    end = chunk.max_time_ms;
    encodings.push_back(chunk.encoding);
    if (chunk.encoding == 1) {
      XorIterator samples(as_bytes(chunk.data));
      while (samples.next()) ++float_count;
      EXPECT_TRUE(samples.status().ok());
    } else {
      HistogramIterator samples(ChunkEncoding::kFloatHistogram, as_bytes(chunk.data));
      while (samples.next()) ++histogram_count;
      EXPECT_TRUE(samples.status().ok());
    }
  }
  EXPECT_EQ(encodings, (std::vector<int>{1, 1, 3, 1, 3}));
  EXPECT_EQ(float_count, 131u);
  EXPECT_EQ(histogram_count, 4u);
}

TEST(EncodedChunks, OfNothingAreNone) { EXPECT_TRUE(encode_chunks({}, {}).empty()); }

}  // namespace
}  // namespace tarsier::tsdb
