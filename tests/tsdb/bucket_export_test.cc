// What leaves as a bucket of Thanos says the same as what was stored, whether samples are still
// there or only their rows.

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "base/json_reader.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/sealed_set.h"
#include "tsdb/block/tier_set.h"
#include "tsdb/chunk/bit_stream.h"
#include "tsdb/compaction/downsampler.h"
#include "tsdb/compaction/thanos_downsampler.h"
#include "tsdb/sealing.h"

namespace tarsier::tsdb {
namespace {

using testing::test_ulid;

constexpr std::int64_t kHour = 3'600'000;

/// One entry of a series over all its chunks, each as its samples.
using Entry = std::vector<std::vector<Sample>>;
struct Downsampled {
  BlockMeta meta;
  std::int64_t resolution_ms = 0;
  std::map<Labels, std::array<Entry, AggregateChunk::kEntryCount>> series;
};

class BucketExportTest : public ::testing::Test {
 protected:
  /// A day of a counter with resets, and of a gauge, sealed and downsampled.
  BucketExportTest() {
    testing::Samples counter;
    testing::Samples gauge;
    double v = 0;
    for (std::int64_t t = 0; t < 24 * kHour; t += 15'000) {
      v = t % (7 * kHour + 37'000) < 15'000 ? 1 : v + 1;
      if (!counter.empty()) increase_ += v < counter.back().v ? v : v - counter.back().v;
      counter.push_back({Timestamp{t + 7}, v});
      gauge.push_back({Timestamp{t + 9}, static_cast<double>((t / 15'000) % 11) - 3});
    }
    testing::write_block(files_, "from", test_ulid(1), {{kCounter, counter}, {kGauge, gauge}});
    ImportRequest import;
    import.from = "from";
    import.data_directory = "data";
    EXPECT_EQ(import_blocks(files_, import, log_).value().imported, 1u);
    const auto sealed = SealedSet::open(files_, "data", log_).value();
    const auto tiers = TierSet::open(files_, "data", log_).value();
    Options options;
    options.tiers = {{minutes(5), Duration{0}}, {hours(1), Duration{0}}};
    Downsampler downsampler(files_, options, *sealed, *tiers, log_);
    int next = 100;
    while (downsampler.run_due([&next] { return test_ulid(next++); }).value()) {
    }
    EXPECT_EQ(tiers->blocks()->size(), 2u);
  }
  void drop_samples() {
    const auto sealed = SealedSet::open(files_, "data", log_).value();
    ASSERT_TRUE(sealed->remove(sealed->blocks()->front()->meta().ulid).ok());
  }
  std::uint64_t run() {
    ExportRequest request;
    request.data_directory = "data";
    request.target = "bucket";
    request.thanos_labels = {{"cluster", "eu"}};
    request.downsampled = {minutes(5), hours(1)};
    const auto count = export_blocks(files_, request, log_);
    EXPECT_TRUE(count.ok()) << count.status().message();
    return *count;
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    const auto entries = files_.list("bucket").value();
    for (const DirectoryEntry& entry : entries) out.push_back(entry.name);
    return out;
  }
  Downsampled read(const std::string& name) {
    Downsampled out;
    const std::string directory = "bucket/" + name;
    const std::string json = read_file(files_, directory + "/meta.json", 1 << 20).value();
    const JsonValue document = parse_json(json).value();
    const JsonValue& thanos = *document.find("thanos");
    EXPECT_EQ(*thanos.find("labels")->find("cluster")->as_string(), "eu");
    out.resolution_ms = *thanos.find("downsample")->find("resolution")->as_int64();
    const auto block = Block::open(files_, directory).value();
    out.meta = block->meta();
    if (out.resolution_ms == 0) return out;
    std::vector<IndexReader::Ref> refs;
    EXPECT_TRUE(block->index().append_all(refs).ok());
    ChunkBuffer buffer;
    for (const IndexReader::Ref ref : refs) {
      const Bytes series = block->index().series(ref).value();
      std::vector<LabelView> labels;
      EXPECT_TRUE(block->index().decode_labels(series, labels).ok());
      auto& entries = out.series[Labels::from_sorted(labels)];
      std::vector<ChunkMeta> metas;
      EXPECT_TRUE(block->index().append_chunks(series, TimeRange{}, metas).ok());
      for (const ChunkMeta& meta : metas) {
        EXPECT_LE(out.meta.min_time, meta.min_time);
        EXPECT_LT(meta.max_time, out.meta.max_time);
        EXPECT_EQ(block->chunks().read(std::span(&meta, 1), buffer).value(), 1u);
        EXPECT_EQ(buffer.chunks[0].encoding, kAggregateEncoding);
        ByteReader in(buffer.chunks[0].data);
        for (Entry& entry : entries) {
          const std::size_t size = in.uvarint();
          EXPECT_EQ(in.u8(), 1u);
          entry.push_back(decode(in.take(size)));
        }
        EXPECT_TRUE(in.ok() && in.empty());
      }
    }
    return out;
  }
  /// Our iterator refuses a time that comes twice, as the last of a counter does.
  static std::vector<Sample> decode(Bytes chunk) {
    BitReader in(chunk);
    std::vector<Sample> samples(in.bits(16));
    XorValue value;
    std::int64_t delta = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (i == 0) {
        samples[i].t = Timestamp{in.varint()};
        value.bits = in.bits(64);
      } else {
        unsigned ones = 0;
        while (i > 1 && ones < 4 && in.flag()) ++ones;
        constexpr unsigned kWidths[] = {0, 14, 17, 20, 64};
        const unsigned width = kWidths[ones];
        const std::uint64_t bits = width == 0 ? 0 : in.bits(width);
        const bool is_negative = width < 64 && bits > std::uint64_t{1}
                                                          << (width == 0 ? 0 : width - 1);
        const std::uint64_t change = is_negative ? bits - (std::uint64_t{1} << width) : bits;
        delta += static_cast<std::int64_t>(i == 1 ? in.uvarint() : change);
        samples[i].t = samples[i - 1].t + Duration{delta};
        in.xored(value);
      }
      samples[i].v = std::bit_cast<double>(value.bits);
    }
    return samples;
  }
  static double total(const Entry& entry) {
    double sum = 0;
    for (const auto& chunk : entry) {
      for (const Sample& sample : chunk) sum += sample.v;
    }
    return sum;
  }
  /// As Thanos reads a counter: a time that comes twice says what it really was.
  static double increase(const Entry& entry) {
    double sum = 0;
    Sample last{Timestamp{-1}, 0};
    for (const auto& chunk : entry) {
      for (const Sample& sample : chunk) {
        if (last.t > Timestamp{-1} && sample.t > last.t) {
          sum += sample.v < last.v ? sample.v : sample.v - last.v;
        }
        if (sample.t >= last.t) last = sample;
      }
    }
    return sum;
  }

  static inline const Labels kCounter{{"__name__", "c_total"}};
  static inline const Labels kGauge{{"__name__", "g"}};
  testing::FaultyFileSystem files_;
  testing::CapturingLogger log_;
  double increase_ = 0;
};

TEST_F(BucketExportTest, BlocksHaveTheirDownsampledOnesBeside) {
  EXPECT_EQ(run(), 1u);
  const std::vector<std::string> once = names();
  ASSERT_EQ(once.size(), 3u);
  std::map<std::int64_t, Downsampled> by_resolution;
  for (const std::string& name : once) {
    Downsampled block = read(name);
    by_resolution[block.resolution_ms] = std::move(block);
  }
  const Downsampled& raw = by_resolution.at(0);
  EXPECT_EQ(raw.meta.ulid, test_ulid(1));
  for (const std::int64_t resolution : {300'000, 3'600'000}) {
    const Downsampled& block = by_resolution.at(resolution);
    EXPECT_EQ(block.meta.sources, raw.meta.sources);
    EXPECT_EQ(block.meta.min_time, raw.meta.min_time);
    const auto& counter = block.series.at(kCounter);
    EXPECT_EQ(total(counter[AggregateChunk::kCount]), 24 * 240);
    EXPECT_EQ(increase(counter[AggregateChunk::kCounter]), increase_);
  }
  EXPECT_EQ(run(), 1u);
  EXPECT_EQ(names(), once) << "what is there is passed over";
}

TEST_F(BucketExportTest, RowsLeaveWhenTheirSamplesAreGone) {
  drop_samples();
  EXPECT_EQ(run(), 2u);
  ASSERT_EQ(names().size(), 2u);
  for (const std::string& name : names()) {
    const Downsampled block = read(name);
    EXPECT_TRUE(block.resolution_ms == 300'000 || block.resolution_ms == 3'600'000);
    const auto& gauge = block.series.at(kGauge);
    EXPECT_EQ(total(gauge[AggregateChunk::kCount]), 24 * 240);
    double sum = 0;
    for (std::int64_t n = 0; n < 24 * 240; ++n) sum += static_cast<double>(n % 11) - 3;
    EXPECT_EQ(total(gauge[AggregateChunk::kSum]), sum);
    for (const auto& chunk : gauge[AggregateChunk::kMin]) {
      for (const Sample& sample : chunk) EXPECT_EQ(sample.v, -3);
      EXPECT_LE(chunk.size(), 140u);
    }
    // All but what it gained within the first row, which nobody knows any more.
    const auto& counter = block.series.at(kCounter);
    const double found = increase(counter[AggregateChunk::kCounter]);
    const double first = counter[AggregateChunk::kCounter][0][0].v;
    EXPECT_LE(found, increase_);
    EXPECT_GE(found, increase_ - first);
  }
  const std::size_t count = names().size();
  run();
  EXPECT_EQ(names().size(), count);
}

}  // namespace
}  // namespace tarsier::tsdb
