#include "tsdb/block_analysis.h"

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "tsdb/block/block.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/index/select.h"

namespace tarsier::tsdb {
namespace {

using List = BlockAnalysis::List;

/// What is known of a label pair or of a label name.
struct Tally {
  std::uint64_t series = 0;
  std::uint64_t uncovered_ms = 0;
};

Result<std::string> choose_block(FileSystem& files, const std::string& directory,
                                 const std::string& wanted) {
  std::string chosen;
  Timestamp latest = kMinTimestamp;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (!entry.is_directory || !parse_ulid(entry.name)) continue;
    if (!wanted.empty()) {
      if (entry.name == wanted) return wanted;
      continue;
    }
    const Result<BlockMeta> meta = read_block_meta(files, join_path(directory, entry.name));
    if (!meta.ok() || (!chosen.empty() && meta->max_time < latest)) continue;
    chosen = entry.name;
    latest = meta->max_time;
  }
  if (!wanted.empty()) return not_found("block " + wanted + " not found");
  if (chosen.empty()) return not_found("no blocks found");
  return chosen;
}

void sort_list(List& list) {
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
}

List churn_list(const std::map<std::string, Tally>& tallies, Duration duration) {
  List list;
  for (const auto& [name, tally] : tallies) {
    list.emplace_back(tally.uncovered_ms / static_cast<std::uint64_t>(duration.ms), name);
  }
  sort_list(list);
  return list;
}

/// Walks the series once; the tallies are by text.
class Analyst final {
 public:
  Analyst(const Block& block, bool with_chunks) : block_(block), with_chunks_(with_chunks) {}

  Status add(std::uint32_t ref, BlockAnalysis& out) {
    const Bytes series = TRY(block_.index().series(ref));
    TRY(block_.index().decode_labels(series, labels_));
    chunks_.clear();
    TRY(block_.index().append_chunks(series, TimeRange{}, chunks_));
    if (chunks_.empty()) return {};
    const Duration block_time = block_.meta().max_time - block_.meta().min_time;
    const Duration covered = chunks_.back().max_time - chunks_.front().min_time;
    const std::uint64_t uncovered_ms =
        covered < block_time ? static_cast<std::uint64_t>((block_time - covered).ms) : 0;
    for (const LabelView& label : labels_) {
      ++out.posting_count;
      key_.assign(label.name).append("=").append(label.value);
      for (Tally* tally : {&pairs[key_], &names[std::string(label.name)]}) {
        ++tally->series;
        tally->uncovered_ms += uncovered_ms;
      }
      if (label.name == kMetricName) ++metrics[std::string(label.value)];
      if (values_[std::string(label.name)].insert(std::string(label.value)).second) {
        value_bytes[std::string(label.name)] += label.value.size();
      }
    }
    return with_chunks_ ? add_chunks(out) : Status();
  }

  std::uint64_t value_count(const std::string& name) const { return values_.at(name).size(); }

  std::map<std::string, Tally> pairs;
  std::map<std::string, Tally> names;
  std::map<std::string, std::uint64_t> metrics;
  std::map<std::string, std::uint64_t> value_bytes;

 private:
  Status add_chunks(BlockAnalysis& out) {
    for (std::span<const ChunkMeta> rest = chunks_; !rest.empty();) {
      const std::size_t count = TRY(block_.chunks().read(rest, buffer_));
      for (std::size_t i = 0; i < count; ++i) {
        const Chunk& chunk = buffer_.chunks[i];
        if (chunk.data.size() < 2) return corruption("a chunk without a sample count");
        BlockAnalysis::Chunks& to =
            is_float_encoding(chunk.encoding) ? out.float_chunks : out.histogram_chunks;
        to.samples.push_back(load_be<std::uint16_t>(chunk.data.data()));
        to.bytes.push_back(static_cast<std::uint32_t>(chunk.data.size()));
      }
      rest = rest.subspan(count);
    }
    return {};
  }

  const Block& block_;
  const bool with_chunks_;
  std::vector<LabelView> labels_;
  std::vector<ChunkMeta> chunks_;
  ChunkBuffer buffer_;
  std::string key_;
  std::map<std::string, std::unordered_set<std::string>> values_;
};

}  // namespace

Result<BlockAnalysis> analyze_block(FileSystem& files, const std::string& directory,
                                    const BlockAnalysisRequest& request) {
  const std::string name = TRY(choose_block(files, directory, request.ulid));
  const auto block = TRY(Block::open(files, join_path(directory, name)));
  const BlockMeta& meta = block->meta();
  BlockAnalysis out;
  out.ulid = name;
  out.duration = meta.max_time - meta.min_time;
  if (out.duration.ms <= 0) return corruption("block " + name + " covers no time");
  out.series_count = meta.series_count;
  out.sample_count = meta.sample_count;
  out.index_bytes = block->index().size_bytes();
  out.chunk_bytes = block->chunks().size_bytes();
  out.tombstone_count = block->tombstones().range_count();

  const std::vector<std::uint32_t> refs =
      TRY(select_postings(block->index(), request.matchers, nullptr));
  out.matched_count = refs.size();
  Analyst analyst(*block, request.with_chunks);
  for (const std::uint32_t ref : refs) TRY(analyst.add(ref, out));

  out.label_name_count = analyst.names.size();
  out.label_pair_count = analyst.pairs.size();
  out.churn_by_label_pair = churn_list(analyst.pairs, out.duration);
  out.churn_by_label_name = churn_list(analyst.names, out.duration);
  for (const auto& [key, tally] : analyst.pairs) {
    out.series_by_label_pair.emplace_back(tally.series, key);
  }
  for (const auto& [key, bytes] : analyst.value_bytes) {
    out.value_bytes_by_label_name.emplace_back(bytes, key);
    out.values_by_label_name.emplace_back(analyst.value_count(key), key);
  }
  for (const auto& [key, count] : analyst.metrics) {
    out.series_by_metric_name.emplace_back(count, key);
  }
  for (List* list : {&out.series_by_label_pair, &out.value_bytes_by_label_name,
                     &out.values_by_label_name, &out.series_by_metric_name}) {
    sort_list(*list);
  }
  return out;
}

}  // namespace tarsier::tsdb
