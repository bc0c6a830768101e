#include "tests/support/test_block.h"

#include <algorithm>
#include <array>

#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::testing {

using namespace tsdb;

Ulid test_ulid(int number) {
  std::array<std::byte, 10> entropy{};
  return make_ulid(Timestamp{1'700'000'000'000 + number}, entropy);
}

Result<std::optional<BlockMeta>> try_write_block(FileSystem& files, const std::string& data,
                                                 const Ulid& ulid, const BlockModel& model,
                                                 const BlockShape& shape) {
  BlockMeta meta;
  meta.ulid = ulid;
  meta.sources = {ulid};
  meta.parents = shape.parents;
  meta.deletable = shape.deletable;
  meta.min_time = kMaxTimestamp;
  meta.max_time = kMinTimestamp;
  SymbolSet symbols;
  for (const auto& [labels, samples] : model) {
    symbols.add(labels);
    meta.min_time = std::min(meta.min_time, samples.front().t);
    meta.max_time = std::max(meta.max_time, samples.back().t + milliseconds(1));
  }
  auto writer =
      TRY(BlockWriter::create(files, data, meta, std::move(symbols), shape.segment_bytes_max));
  for (const auto& [labels, samples] : model) {
    std::vector<XorEncoder> encoders;
    std::vector<EncodedChunk> chunks;
    encoders.reserve(samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (i % shape.samples_per_chunk == 0) {
        encoders.emplace_back();
        chunks.push_back({.min_time = samples[i].t});
      }
      encoders.back().append(samples[i]);
      chunks.back().max_time = samples[i].t;
      chunks.back().chunk = {ChunkEncoding::kXor, encoders.back().bytes()};
    }
    TRY(writer->add_series(labels, chunks));
  }
  return writer->finish();
}

BlockMeta write_block(FileSystem& files, const std::string& data, const Ulid& ulid,
                      const BlockModel& model, const BlockShape& shape) {
  return try_write_block(files, data, ulid, model, shape).value().value();
}

BlockModel read_block(const std::shared_ptr<const Block>& block) {
  BlockModel model;
  const auto set = make_block_querier(block, TimeRange{})->select({}, {}, nullptr).value();
  for (std::size_t i = 0; i < set->size(); ++i) {
    SampleColumns columns;
    CHECK(set->read(i, TimeRange{}, columns).ok());
    Samples& samples = model[set->labels(i)];
    for (std::size_t n = 0; n < columns.size(); ++n) {
      samples.push_back({Timestamp{columns.times_ms[n]}, columns.values[n]});
    }
  }
  return model;
}

Samples samples_between(std::int64_t min, std::int64_t max, std::int64_t step) {
  Samples samples;
  for (std::int64_t t = min; t < max; t += step) {
    samples.push_back({Timestamp{t}, static_cast<double>(t)});
  }
  return samples;
}

}  // namespace tarsier::testing
