// A sealed block gives everything back: samples to queries, and the blocks it was made of.

#include "tsdb/block/sealed_block.h"

#include <bit>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/fleet.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/block/sealed_writer.h"
#include "tsdb/chunk/histogram_encoder.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/compaction/seal.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockModel;
using testing::BlockShape;
using testing::FaultyFileSystem;
using testing::read_block;
using testing::samples_between;
using testing::test_ulid;
using testing::write_block;

constexpr const char* kSealed = "data/tarsier/sealed";

std::string directory_of(int number) { return "data/" + test_ulid(number).to_string(); }
std::string sealed_directory_of(int number) {
  return std::string(kSealed) + "/" + test_ulid(number).to_string();
}

std::unique_ptr<ChunkSource> source_of(FileSystem& files, int number) {
  auto block = Block::open(files, directory_of(number)).value();
  return make_block_chunk_source(files, directory_of(number), std::move(block)).value();
}

Result<std::shared_ptr<const SealedBlock>> try_seal(FileSystem& files, int number,
                                                    const std::vector<int>& inputs,
                                                    ColumnProfile profile) {
  std::vector<std::unique_ptr<ChunkSource>> sources;
  for (const int input : inputs) sources.push_back(source_of(files, input));
  SealRequest request;
  request.sealed_directory = kSealed;
  request.ulid = test_ulid(number);
  request.profile = profile;
  return seal_blocks(files, request, sources, nullptr);
}

std::shared_ptr<const SealedBlock> seal(FileSystem& files, int number,
                                        const std::vector<int>& inputs,
                                        ColumnProfile profile = ColumnProfile::kSmallest) {
  auto sealed = try_seal(files, number, inputs, profile);
  EXPECT_TRUE(sealed.ok()) << sealed.status().message();
  return std::move(sealed).value();
}

BlockModel read_sealed(const std::shared_ptr<const SealedBlock>& block, TimeRange range = {}) {
  BlockModel model;
  SelectHints hints;
  hints.range = range;
  const auto set = make_sealed_querier(block, range)->select({}, hints, nullptr).value();
  for (std::size_t i = 0; i < set->size(); ++i) {
    SampleColumns columns;
    const Status status = set->read(i, range, columns);
    EXPECT_TRUE(status.ok()) << status.message();
    for (std::size_t n = 0; n < columns.size(); ++n) {
      model[set->labels(i)].push_back({Timestamp{columns.times_ms[n]}, columns.values[n]});
    }
  }
  return model;
}

double odd_value(std::mt19937_64& random) {
  switch (random() % 12) {
    case 0: return stale_marker();
    case 1: return std::bit_cast<double>(kNormalNanBits);
    case 2: return -0.0;
    case 3: return INFINITY;
    case 4: return std::bit_cast<double>(random());
    case 5: return std::bit_cast<double>(random() % 100);
    case 6: return static_cast<double>(random() % 1000) / 10;
    default: return static_cast<double>(random() % 100);
  }
}

/// Series scraped together with gaps, jitter, late starts and early ends, and some of their own.
BlockModel random_model(std::uint64_t seed, std::int64_t begin, std::int64_t end) {
  std::mt19937_64 random(seed);
  BlockModel model;
  for (int target = 0; target < 3; ++target) {
    std::vector<std::int64_t> times;
    for (std::int64_t t = begin + static_cast<int>(random() % 1000); t < end;
         t += 1000 + (random() % 10 == 0 ? static_cast<int>(random() % 5) : 0)) {
      times.push_back(t);
    }
    for (int s = 0; s < 6; ++s) {
      const Labels labels{{"__name__", "m" + std::to_string(s)}, {"t", std::to_string(target)}};
      const std::size_t first = s == 1 ? random() % times.size() : 0;
      const std::size_t last = s == 2 ? random() % times.size() : times.size();
      double v = static_cast<double>(random() % 100'000);
      for (std::size_t i = first; i < last; ++i) {
        if (s == 3 && random() % 20 == 0) continue;
        v = s == 4 ? odd_value(random) : v + static_cast<double>(random() % 50);
        model[labels].push_back({Timestamp{times[i]}, v});
      }
    }
  }
  const Labels slow{{"__name__", "slow"}};
  for (std::int64_t t = begin + 7; t < end; t += 60'000) {
    model[slow].push_back({Timestamp{t}, static_cast<double>(random() % 9)});
  }
  const Labels single{{"__name__", "single"}};
  model[single] = {{Timestamp{begin + 1}, 0.1 + 0.2}};
  return model;
}

TEST(SealedBlock, GivesEveryBitBackOfRandomSeries) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    FaultyFileSystem files;
    const BlockModel model = random_model(seed, 1'700'000'000'000, 1'700'002'500'000);
    BlockShape shape;
    shape.samples_per_chunk = 1 + seed * 31;
    shape.segment_bytes_max = seed % 2 == 0 ? 20'000 : std::uint64_t{512} << 20;
    write_block(files, "data", test_ulid(1), model, shape);
    const auto sealed =
        seal(files, 9, {1}, seed % 3 == 0 ? ColumnProfile::kPacked : ColumnProfile::kSmallest);
    EXPECT_TRUE(read_sealed(sealed) == model);
    std::uint64_t count = 0;
    for (const auto& [labels, samples] : model) count += samples.size();
    EXPECT_EQ(sealed->meta().sample_count, count);
    EXPECT_EQ(sealed->meta().series_count, model.size());
  }
}

TEST(SealedBlock, AnswersForPartsOfItsTimeAndItsLabels) {
  FaultyFileSystem files;
  const BlockModel model = random_model(5, 1'700'000'000'000, 1'700'003'000'000);
  write_block(files, "data", test_ulid(1), model);
  const auto sealed = seal(files, 9, {1});
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    const Timestamp min{1'700'000'000'000 + static_cast<int>(random() % 3'000'000)};
    const TimeRange range{min, min + milliseconds(static_cast<int>(random() % 1'000'000))};
    BlockModel wanted;
    for (const auto& [labels, samples] : model) {
      for (const Sample& sample : samples) {
        if (range.contains(sample.t)) wanted[labels].push_back(sample);
      }
    }
    EXPECT_TRUE(read_sealed(sealed, range) == wanted) << round;
  }
  const auto querier = make_sealed_querier(sealed, {});
  EXPECT_EQ(querier->label_names({}).value(), (std::vector<std::string>{"__name__", "t"}));
  EXPECT_EQ(querier->label_values("t", {}).value(), (std::vector<std::string>{"0", "1", "2"}));
  const auto set = querier->select({}, {}, nullptr).value();
  for (std::size_t i = 0; i < set->size(); ++i) {
    const auto& samples = model.at(set->labels(i));
    EXPECT_EQ(set->last_sample(i, {}).value(), samples.back());
    EXPECT_EQ(set->last_sample(i, {kMinTimestamp, samples.front().t}).value(), samples.front());
  }
}

TEST(SealedBlock, SourcesComeBackAsTheyWere) {
  FaultyFileSystem files;
  for (int b = 0; b < 3; ++b) {
    BlockShape shape;
    shape.samples_per_chunk = 50 + static_cast<std::size_t>(b) * 35;
    shape.segment_bytes_max = 30'000;
    write_block(files, "data", test_ulid(b),
                random_model(static_cast<std::uint64_t>(b), b * 2'000'000, (b + 1) * 2'000'000),
                shape);
  }
  const auto sealed = seal(files, 9, {0, 1, 2});
  for (int b = 0; b < 3; ++b) {
    const auto original = source_of(files, b);
    const auto back =
        make_sealed_chunk_source(files, sealed_directory_of(9), sealed, static_cast<std::size_t>(b))
            .value();
    EXPECT_EQ(back->meta_json(), original->meta_json());
    ASSERT_TRUE(original->start().ok());
    ASSERT_TRUE(back->start().ok());
    while (!original->done()) {
      ASSERT_FALSE(back->done());
      ASSERT_EQ(back->labels(), original->labels());
      const auto wanted = original->chunks().value();
      const auto got = back->chunks().value();
      ASSERT_EQ(got.size(), wanted.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].meta, wanted[i].meta);
        EXPECT_EQ(as_text(got[i].chunk.data), as_text(wanted[i].chunk.data));
      }
      ASSERT_TRUE(original->step().ok());
      ASSERT_TRUE(back->step().ok());
    }
    EXPECT_TRUE(back->done());
  }
  EXPECT_TRUE(files.exists(directory_of(1) + "/chunks/000002")) << "segments were part of it";
}

TEST(SealedBlock, CanBeSealedAgainIntoALongerOne) {
  FaultyFileSystem files;
  BlockModel all;
  for (int b = 0; b < 4; ++b) {
    const BlockModel model =
        random_model(static_cast<std::uint64_t>(b), b * 1'000'000, (b + 1) * 1'000'000);
    write_block(files, "data", test_ulid(b), model);
    for (const auto& [labels, samples] : model) {
      all[labels].insert(all[labels].end(), samples.begin(), samples.end());
    }
  }
  const auto first = seal(files, 10, {0, 1}, ColumnProfile::kPacked);
  const auto second = seal(files, 11, {2, 3});
  std::vector<std::unique_ptr<ChunkSource>> sources;
  for (std::size_t s = 0; s < 2; ++s) {
    sources.push_back(make_sealed_chunk_source(files, sealed_directory_of(10), first, s).value());
  }
  for (std::size_t s = 0; s < 2; ++s) {
    sources.push_back(make_sealed_chunk_source(files, sealed_directory_of(11), second, s).value());
  }
  SealRequest request;
  request.sealed_directory = kSealed;
  request.ulid = test_ulid(12);
  request.replaces = {test_ulid(10), test_ulid(11)};
  const auto merged = seal_blocks(files, request, sources, nullptr);
  ASSERT_TRUE(merged.ok()) << merged.status().message();
  EXPECT_TRUE(read_sealed(*merged) == all);
  EXPECT_EQ((*merged)->meta().sources.size(), 4u);
}

TEST(SealedBlock, KeepsChunksItCouldNotMakeAgain) {
  FaultyFileSystem files;
  const Labels histogram_series{{"__name__", "h"}};
  const Labels old_series{{"__name__", "old"}};
  SymbolSet symbols;
  symbols.add(histogram_series);
  symbols.add(old_series);
  BlockMeta meta;
  meta.ulid = test_ulid(1);
  meta.sources = {meta.ulid};
  meta.min_time = Timestamp{0};
  meta.max_time = Timestamp{1'000'000};
  auto writer =
      BlockWriter::create(files, "data", meta, std::move(symbols), std::uint64_t{512} << 20)
          .value();
  std::vector<AnySample> samples;
  for (int i = 0; i < 300; ++i) {
    if (i % 100 < 50) {
      samples.push_back({Timestamp{i * 1000}, static_cast<double>(i)});
      continue;
    }
    FloatHistogram h;
    h.layout.schema = 0;
    h.layout.positive_spans = {{0, 2}};
    h.count = i;
    h.sum = i;
    h.positive_counts = {i - 1.0, 1};
    samples.push_back({Timestamp{i * 1000}, AnyHistogram(h)});
  }
  std::vector<std::string> bytes;
  std::vector<EncodedChunk> chunks;
  bytes.reserve(100);
  encode_any_samples(samples, 20, [&](Timestamp min, Timestamp max, const Chunk& chunk) {
    bytes.emplace_back(as_text(chunk.data));
    chunks.push_back({min, max, {chunk.encoding, as_bytes(bytes.back())}});
  });
  ASSERT_TRUE(writer->add_series(histogram_series, chunks).ok());
  // One with the byte older writers left behind, one with two, which nobody did.
  chunks.clear();
  for (int n = 1; n <= 2; ++n) {
    XorEncoder encoder;
    for (int i = 0; i < 10; ++i) encoder.append({Timestamp{n * 1000 + i}, 1.0 * i});
    bytes.push_back(std::string(as_text(encoder.bytes())) +
                    std::string(static_cast<std::size_t>(n), '\0'));
    chunks.push_back({Timestamp{n * 1000},
                      Timestamp{n * 1000 + 9},
                      {ChunkEncoding::kXor, as_bytes(bytes.back())}});
  }
  ASSERT_TRUE(writer->add_series(old_series, chunks).ok());
  ASSERT_TRUE(writer->finish().ok());

  const auto sealed = seal(files, 9, {1});
  EXPECT_GT(sealed->meta().histogram_sample_count, 0u);
  const auto block = Block::open(files, directory_of(1)).value();
  const auto wanted = make_block_querier(block, {})->select({}, {}, nullptr).value();
  const auto got = make_sealed_querier(sealed, {})->select({}, {}, nullptr).value();
  ASSERT_EQ(got->size(), wanted->size());
  for (std::size_t i = 0; i < got->size(); ++i) {
    SampleColumns wanted_floats;
    SampleColumns got_floats;
    HistogramColumns wanted_histograms;
    HistogramColumns got_histograms;
    ASSERT_TRUE(wanted->read_mixed(i, {}, wanted_floats, wanted_histograms).ok());
    ASSERT_TRUE(got->read_mixed(i, {}, got_floats, got_histograms).ok());
    EXPECT_EQ(got_floats.times_ms, wanted_floats.times_ms);
    EXPECT_EQ(got_floats.values, wanted_floats.values);
    EXPECT_EQ(got_histograms.times_ms, wanted_histograms.times_ms);
    EXPECT_EQ(got_histograms.sums, wanted_histograms.sums);
    EXPECT_EQ(got_histograms.hints, wanted_histograms.hints);
  }
}

TEST(SealedBlock, LeavesBlocksAloneThatDoNotComeBack) {
  FaultyFileSystem files;
  write_block(files, "data", test_ulid(1), {{Labels{{"a", "1"}}, samples_between(0, 1000, 10)}});
  write_block(files, "data", test_ulid(2), {{Labels{{"a", "1"}}, samples_between(500, 2000, 10)}});
  EXPECT_EQ(try_seal(files, 9, {1, 2}, ColumnProfile::kPacked).status().code(), Code::kInvalid)
      << "they overlap";
  EXPECT_TRUE(files.list(kSealed).value().empty());
  EXPECT_TRUE(try_seal(files, 9, {1}, ColumnProfile::kPacked).ok());
}

TEST(SealedBlock, DamageIsFound) {
  FaultyFileSystem files;
  write_block(files, "data", test_ulid(1), random_model(1, 0, 1'000'000));
  const std::shared_ptr<const SealedBlock> sound = seal(files, 9, {1});
  const BlockModel model = read_sealed(sound);
  const std::string path = sealed_directory_of(9) + "/columns";
  const std::string bytes = read_file(files, path, 1 << 30).value();
  std::mt19937_64 random(3);
  std::size_t found = 0;
  for (int round = 0; round < 60; ++round) {
    std::string damaged = bytes;
    damaged[8 + random() % (bytes.size() - 8)] ^= static_cast<char>(1 + random() % 255);
    ASSERT_TRUE(write_file_atomically(files, path, damaged).ok());
    const auto block = SealedBlock::open(files, sealed_directory_of(9)).value();
    const auto set = make_sealed_querier(block, {})->select({}, {}, nullptr).value();
    bool is_damaged = false;
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns columns;
      is_damaged |= set->read(i, {}, columns).code() == Code::kCorruption;
    }
    found += is_damaged ? 1 : 0;
  }
  EXPECT_EQ(found, 60u);
}

TEST(CutVectors, SeriesOfOneTargetEndTogether) {
  const VectorWindows windows{Timestamp{0}, seconds(1000)};
  std::vector<std::int64_t> times;
  for (std::int64_t t = 0; t < 4'000'000; t += 1000) times.push_back(t);
  EXPECT_EQ(cut_vectors(times, windows), (std::vector<std::size_t>{1000, 2000, 3000, 4000}));
  const std::vector<std::int64_t> late(times.begin() + 1500, times.end());
  EXPECT_EQ(cut_vectors(late, windows), (std::vector<std::size_t>{500, 1500, 2500}));
  std::vector<std::int64_t> slow;
  for (std::int64_t t = 0; t < 4'000'000; t += 4000) slow.push_back(t);
  EXPECT_EQ(cut_vectors(slow, windows), (std::vector<std::size_t>{1000}));
  std::vector<std::int64_t> fast;
  for (std::int64_t t = 0; t < 2'000'000; t += 500) fast.push_back(t);
  EXPECT_EQ(cut_vectors(fast, windows), (std::vector<std::size_t>{1024, 2000, 3024, 4000}));
  EXPECT_TRUE(cut_vectors({}, windows).empty());
}

}  // namespace
}  // namespace tarsier::tsdb
