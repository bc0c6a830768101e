#include "tsdb/block_builder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/keyed_hash.h"
#include "tsdb/block/block.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/compaction/compactor.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint16_t kSamplesPerChunk = 120;
/// Where blocks wait to be merged, below the output. Not a block's name, so nobody looks into it.
constexpr std::string_view kWorkName = "tarsier-backfill.tmp";
/// What a series and a chunk cost beside their bytes, roughly.
constexpr std::size_t kSeriesBytes = 200;
constexpr std::size_t kChunkBytes = 120;

struct GrowingChunk {
  Timestamp min_time;
  XorEncoder encoder;
};

/// What one series has of one block.
struct Part {
  std::vector<GrowingChunk> chunks;
  Sample last;
};

struct Series {
  Labels labels;
  std::map<std::int64_t, Part> parts;  // By the begin of the block.
};

}  // namespace

Duration backfill_block_duration(Duration longest) {
  Duration duration = hours(2);
  for (int i = 1; i < 10 && duration.ms * 3 <= longest.ms; ++i) duration.ms *= 3;
  return duration;
}

struct BlockBuilder::Impl {
  Impl(FileSystem& the_files, std::string the_directory, const Options& the_options)
      : files(the_files),
        directory(std::move(the_directory)),
        work_directory(join_path(directory, kWorkName)),
        options(the_options) {}

  Ulid next_ulid() {
    const HashKey key = draw_hash_key();
    std::array<std::byte, 10> entropy;
    std::memcpy(entropy.data(), key.words.data(), entropy.size());
    return make_ulid(Timestamp{std::max<std::int64_t>(options.now.ms, 0)}, entropy);
  }
  std::int64_t block_begin(std::int64_t t) const {
    const std::int64_t length = options.block_duration.ms;
    const std::int64_t into = (t % length + length) % length;
    return t - into;
  }
  Status spill();
  Status write_run(std::int64_t begin, const std::vector<std::size_t>& order);
  Result<BlockMeta> merge(const std::vector<Ulid>& runs);

  FileSystem& files;
  const std::string directory;
  const std::string work_directory;
  const Options options;
  std::vector<Series> series;
  std::size_t memory_bytes = 0;
  std::map<std::int64_t, std::vector<Ulid>> runs;  // Written so far, by the begin of the block.
};

/// Brings everything gathered to the disk, a run for each block.
Status BlockBuilder::Impl::spill() {
  std::vector<std::size_t> order(series.size());
  std::map<std::int64_t, bool> begins;
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    for (const auto& [begin, part] : series[i].parts) begins[begin] = true;
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return series[a].labels < series[b].labels; });
  for (const auto& [begin, yes] : begins) TRY(write_run(begin, order));
  series.clear();
  memory_bytes = 0;
  return {};
}

Status BlockBuilder::Impl::write_run(std::int64_t begin, const std::vector<std::size_t>& order) {
  BlockMeta meta;
  meta.ulid = next_ulid();
  meta.sources = {meta.ulid};
  meta.min_time = kMaxTimestamp;
  meta.max_time = kMinTimestamp;
  SymbolSet symbols;
  for (const std::size_t i : order) {
    const auto part = series[i].parts.find(begin);
    if (part == series[i].parts.end()) continue;
    symbols.add(series[i].labels);
    meta.min_time = std::min(meta.min_time, part->second.chunks.front().min_time);
    meta.max_time = std::max(meta.max_time, part->second.last.t + milliseconds(1));
  }
  const Ulid ulid = meta.ulid;
  const auto writer = TRY(BlockWriter::create(files, work_directory, std::move(meta),
                                              std::move(symbols), options.chunk_segment_bytes));
  std::vector<EncodedChunk> chunks;
  for (const std::size_t i : order) {
    const auto part = series[i].parts.find(begin);
    if (part == series[i].parts.end()) continue;
    chunks.clear();
    for (const GrowingChunk& chunk : part->second.chunks) {
      chunks.push_back({chunk.min_time,
                        Timestamp{chunk.encoder.state().t},
                        {ChunkEncoding::kXor, chunk.encoder.bytes()}});
    }
    TRY(writer->add_series(series[i].labels, chunks));
  }
  TRY(writer->finish());
  runs[begin].push_back(ulid);
  return {};
}

/// One block of level 1 out of the runs, in the work directory.
Result<BlockMeta> BlockBuilder::Impl::merge(const std::vector<Ulid>& of_one_block) {
  BlockList inputs;
  for (const Ulid& ulid : of_one_block) {
    inputs.push_back(TRY(Block::open(files, join_path(work_directory, ulid.to_string()))));
  }
  if (inputs.size() == 1) return inputs.front()->meta();
  std::optional<BlockMeta> meta = TRY(compact_blocks(files, work_directory, inputs, next_ulid(),
                                                     options.chunk_segment_bytes, nullptr));
  if (!meta) return corruption("runs without samples");
  // How it came to be is nobody's business: nothing knows the runs.
  meta->compaction_level = 1;
  meta->parents.clear();
  meta->sources = {meta->ulid};
  const std::string path = join_path(work_directory, meta->ulid.to_string());
  TRY(write_file_atomically(files, join_path(path, kMetaFileName), format_block_meta(*meta)));
  for (const Ulid& ulid : of_one_block) {
    TRY(files.remove_all(join_path(work_directory, ulid.to_string())));
  }
  return *meta;
}

BlockBuilder::BlockBuilder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

BlockBuilder::~BlockBuilder() {
  // What cannot be removed now is removed by the next one.
  static_cast<void>(impl_->files.remove_all(impl_->work_directory).ok());
}

Result<std::unique_ptr<BlockBuilder>> BlockBuilder::create(FileSystem& files, std::string directory,
                                                           const Options& options) {
  CHECK(options.block_duration.ms > 0);
  auto impl = std::make_unique<Impl>(files, std::move(directory), options);
  TRY(files.create_directories(impl->directory));
  TRY(files.remove_all(impl->work_directory));
  TRY(files.create_directories(impl->work_directory));
  return std::unique_ptr<BlockBuilder>(new BlockBuilder(std::move(impl)));
}

std::size_t BlockBuilder::add_series(Labels labels) {
  impl_->memory_bytes += kSeriesBytes + labels.encoded().size();
  impl_->series.push_back({std::move(labels), {}});
  return impl_->series.size() - 1;
}

Result<BlockBuilder::Appended> BlockBuilder::append(std::size_t number, Sample sample) {
  CHECK(number < impl_->series.size());
  Series& series = impl_->series[number];
  Part& part = series.parts[impl_->block_begin(sample.t.ms)];
  if (!part.chunks.empty() && sample.t <= part.last.t) {
    if (sample == part.last) return Appended::kGoOn;
    return invalid(fmt::format("{} sample of {} at {}",
                               sample.t == part.last.t ? "duplicate" : "out of order",
                               series.labels.to_string(), sample.t.ms));
  }
  if (part.chunks.empty() || part.chunks.back().encoder.state().sample_count == kSamplesPerChunk) {
    part.chunks.push_back({sample.t, XorEncoder()});
    impl_->memory_bytes += kChunkBytes;
  }
  XorEncoder& encoder = part.chunks.back().encoder;
  const std::size_t before = encoder.bytes().size();
  encoder.append(sample);
  part.last = sample;
  impl_->memory_bytes += encoder.bytes().size() - before;
  if (impl_->memory_bytes < impl_->options.memory_bytes_max) return Appended::kGoOn;
  TRY(impl_->spill());
  return Appended::kForgotten;
}

Result<std::vector<BlockSummary>> BlockBuilder::finish() {
  Impl& impl = *impl_;
  TRY(impl.spill());
  std::vector<BlockMeta> metas;
  for (const auto& [begin, runs] : impl.runs) metas.push_back(TRY(impl.merge(runs)));
  // All are whole before the first appears.
  std::vector<BlockSummary> summaries;
  for (const BlockMeta& meta : metas) {
    const std::string name = meta.ulid.to_string();
    const std::string target = join_path(impl.directory, name);
    TRY(impl.files.rename(join_path(impl.work_directory, name), target));
    BlockSummary& summary = summaries.emplace_back();
    summary.ulid = name;
    summary.min_time = meta.min_time;
    summary.max_time = meta.max_time;
    summary.sample_count = meta.sample_count;
    summary.series_count = meta.series_count;
    summary.chunk_count = meta.chunk_count;
    summary.bytes = TRY(Block::open(impl.files, target))->size_bytes();
  }
  TRY(impl.files.sync_directory(impl.directory));
  return summaries;
}

}  // namespace tarsier::tsdb
