#include "tsdb/block/block_verifier.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "base/bytes.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/chunk/histogram_iterator.h"

namespace tarsier::tsdb {
namespace {

using Report = std::function<void(const std::string&)>;

bool is_disk_fault(const Status& status) { return status.code() == Code::kIo; }

class BlockVerifier final {
 public:
  BlockVerifier(const Block& block, const Report& report,
                const std::function<Status(const VerifiedSeries&)>& keep)
      : block_(block), report_(report), keep_(keep) {}

  Result<BlockTotals> run() {
    std::vector<std::uint32_t> refs;
    const Status listed = block_.index().append_all(refs);
    if (is_disk_fault(listed)) return listed;
    if (!listed.ok()) report_(listed.message());
    for (const std::uint32_t ref : refs) TRY(look_at(ref));
    TRY(check_postings());
    compare("series", totals_.series, block_.meta().series_count);
    compare("chunks", totals_.chunks, block_.meta().chunk_count);
    compare("samples", totals_.samples, block_.meta().sample_count);
    return totals_;
  }

 private:
  Status look_at(std::uint32_t ref) {
    const Result<Bytes> series = block_.index().series(ref);
    if (!series.ok()) return note(series.status());
    if (Status status = block_.index().decode_labels(*series, labels_); !status.ok()) {
      return note(std::move(status));
    }
    Labels labels = Labels::from_sorted(labels_);
    if (totals_.series > 0 && labels <= last_labels_) {
      report_(fmt::format("series {}: {} is out of order", ref, labels.to_string()));
      return {};
    }
    last_labels_ = std::move(labels);
    pair_count_ += labels_.size();
    ++totals_.series;
    metas_.clear();
    if (Status status = block_.index().append_chunks(*series, TimeRange{}, metas_); !status.ok()) {
      return note(std::move(status));
    }
    kept_metas_.clear();
    kept_chunks_.clear();
    bytes_.clear();
    std::vector<std::size_t> starts;
    for (const ChunkMeta& meta : metas_) {
      const Result<std::size_t> read = block_.chunks().read({&meta, 1}, buffer_);
      if (!read.ok()) {
        TRY(note(read.status()));
        continue;
      }
      const Chunk& chunk = buffer_.chunks.front();
      if (Status status = check_chunk(meta, chunk); !status.ok()) {
        report_(fmt::format("chunk {:x} of {}: {}", meta.ref, last_labels_.to_string(),
                            status.message()));
        continue;
      }
      ++totals_.chunks;
      if (!keep_) continue;
      kept_metas_.push_back(meta);
      kept_chunks_.push_back({chunk.encoding, {}});
      starts.push_back(bytes_.size());
      bytes_ += as_text(chunk.data);
    }
    if (!keep_ || kept_metas_.empty()) return {};
    starts.push_back(bytes_.size());
    for (std::size_t i = 0; i < kept_chunks_.size(); ++i) {
      kept_chunks_[i].data = as_bytes(bytes_).subspan(starts[i], starts[i + 1] - starts[i]);
    }
    return keep_({ref, labels_, kept_metas_, kept_chunks_});
  }

  Status check_chunk(const ChunkMeta& meta, const Chunk& chunk) {
    const TimeRange range = block_.range();
    if (meta.min_time < range.min || meta.max_time > range.max) {
      report_(fmt::format("chunk {:x} of {}: {} to {} is outside of the block's {} to {}", meta.ref,
                          last_labels_.to_string(), meta.min_time.ms, meta.max_time.ms,
                          range.min.ms, range.max.ms));
    }
    if (chunk.data.size() < 2) return corruption("too short for a sample count");
    totals_.samples += load_be<std::uint16_t>(chunk.data.data());
    columns_.clear();
    histograms_.clear();
    if (is_float_encoding(chunk.encoding)) {
      TRY(decode_float_chunk(chunk.encoding, chunk.data, TimeRange{}, columns_));
    } else if (is_histogram_encoding(chunk.encoding)) {
      TRY(decode_histogram_chunk(chunk.encoding, chunk.data, TimeRange{}, histograms_));
    } else {
      return corruption(
          fmt::format("encoding {} is unknown", static_cast<unsigned>(chunk.encoding)));
    }
    const std::vector<std::int64_t>& times =
        is_float_encoding(chunk.encoding) ? columns_.times_ms : histograms_.times_ms;
    if (times.empty()) return corruption("it has no samples");
    if (times.front() != meta.min_time.ms || times.back() != meta.max_time.ms) {
      return corruption(fmt::format("it goes from {} to {}, the index says {} to {}", times.front(),
                                    times.back(), meta.min_time.ms, meta.max_time.ms));
    }
    const auto disorder =
        std::adjacent_find(times.begin(), times.end(), std::greater_equal<std::int64_t>());
    if (disorder != times.end()) return corruption("its times do not grow");
    return {};
  }

  /// Every list of the postings offset table, and whether they are all the labels there are.
  Status check_postings() {
    std::uint64_t listed = 0;
    bool is_whole = true;
    PostingsRuns<std::uint32_t> runs;
    for (const std::string_view name : block_.index().label_names()) {
      for (const std::string_view value : block_.index().label_values(name)) {
        runs.refs.clear();
        Status status = block_.index().append_postings(name, value, runs.refs);
        listed += runs.refs.size();
        if (status.ok()) continue;
        is_whole = false;
        TRY(note(std::move(status)));
      }
    }
    if (is_whole && listed != pair_count_) {
      report_(
          fmt::format("the postings list {} label pairs, the series have {}", listed, pair_count_));
    }
    return {};
  }

  void compare(std::string_view what, std::uint64_t found, std::uint64_t said) {
    if (found == said) return;
    report_(fmt::format("{} whole {}, meta.json says {}", found, what, said));
  }

  Status note(Status status) {
    if (is_disk_fault(status)) return status;
    report_(status.message());
    return {};
  }

  const Block& block_;
  const Report& report_;
  const std::function<Status(const VerifiedSeries&)>& keep_;
  BlockTotals totals_;
  std::uint64_t pair_count_ = 0;
  Labels last_labels_;
  std::vector<LabelView> labels_;
  std::vector<ChunkMeta> metas_;
  std::vector<ChunkMeta> kept_metas_;
  std::vector<Chunk> kept_chunks_;
  std::string bytes_;
  ChunkBuffer buffer_;
  SampleColumns columns_;
  HistogramColumns histograms_;
};

}  // namespace

Result<BlockTotals> verify_block(const Block& block, const Report& report,
                                 const std::function<Status(const VerifiedSeries&)>& keep) {
  return BlockVerifier(block, report, keep).run();
}

}  // namespace tarsier::tsdb
