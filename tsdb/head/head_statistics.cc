#include <algorithm>
#include <map>

#include "tsdb/head/head.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kMetadataPerMetricMax = 8;

void keep_largest(std::vector<HeadStatistics::Entry>& entries, std::size_t limit) {
  const auto before = [](const HeadStatistics::Entry& a, const HeadStatistics::Entry& b) {
    return a.value != b.value ? a.value > b.value : a.name < b.name;
  };
  std::sort(entries.begin(), entries.end(), before);
  if (entries.size() > limit) entries.resize(limit);
}

}  // namespace

HeadStatistics Head::statistics(std::size_t limit) {
  HeadStatistics out;
  const std::shared_ptr<const HeadGeneration> generation = this->generation();
  out.series_count = table_.series_count();
  out.chunk_count = metrics_.chunks_created.value() - metrics_.chunks_removed.value();
  if (!is_empty()) {
    out.min_time = Timestamp{min_time()};
    out.max_time = Timestamp{max_time()};
  }
  MutexLock lock(table_.mutex());
  const LabelPairs& pairs = table_.pairs();
  const HeadPostings& postings = *generation->postings;
  for (NameId name = 0; name < pairs.name_count(); ++name) {
    const std::string text(pairs.name_text(name));
    std::uint64_t bytes = 0;
    std::uint64_t value_count = 0;
    for (const PairId pair : postings.pairs_of(name)) {
      const std::uint64_t series_count = postings.count(pair);
      const std::string_view value = pairs.value(pair);
      ++value_count;
      bytes += series_count * value.size();
      out.series_count_by_label_pair.push_back({text + '=' + std::string(value), series_count});
      if (text == kMetricName) {
        out.series_count_by_metric_name.push_back({std::string(value), series_count});
      }
    }
    out.label_pair_count += value_count;
    if (value_count == 0) continue;
    out.label_value_count_by_label_name.push_back({text, value_count});
    out.memory_bytes_by_label_name.push_back({text, bytes});
  }
  for (auto* const entries :
       {&out.series_count_by_metric_name, &out.label_value_count_by_label_name,
        &out.memory_bytes_by_label_name, &out.series_count_by_label_pair}) {
    keep_largest(*entries, limit);
  }
  return out;
}

bool Head::is_new_metadata(std::string_view metric, const Metadata& metadata) const {
  MutexLock lock(metadata_mutex_);
  const auto found = metadata_.find(metric);
  if (found == metadata_.end()) return true;
  return std::none_of(found->second.begin(), found->second.end(),
                      [&](const MetadataEntry& entry) { return entry.metadata == metadata; });
}

void Head::apply_metadata(const RefMetadata& metadata) {
  const Slot slot = table_.find(metadata.ref);
  if (slot == SeriesRefs::kNone) return;
  const std::string metric(table_.label(slot, kMetricName));
  if (!is_new_metadata(metric, metadata.metadata)) return;
  MutexLock lock(metadata_mutex_);
  std::vector<MetadataEntry>& entries = metadata_[metric];
  // What a metric was said to be long ago gives way.
  if (entries.size() == kMetadataPerMetricMax) entries.erase(entries.begin());
  entries.push_back({metadata.ref, metadata.metadata});
}

std::vector<std::pair<std::string, Metadata>> Head::metadata() const {
  std::vector<std::pair<std::string, Metadata>> out;
  MutexLock lock(metadata_mutex_);
  for (const auto& [metric, entries] : metadata_) {
    for (const MetadataEntry& entry : entries) out.emplace_back(metric, entry.metadata);
  }
  return out;
}

void Head::collect(MetricWriter& out) const {
  const auto number = [](std::uint64_t n) { return static_cast<double>(n); };
  out.gauge("prometheus_tsdb_head_series", "Total number of series in the head block.",
            number(table_.series_count()));
  out.counter("prometheus_tsdb_head_series_removed_total",
              "Total number of series removed in the head",
              number(metrics_.series_removed.value()));
  out.gauge("prometheus_tsdb_head_chunks", "Total number of chunks in the head block.",
            number(metrics_.chunks_created.value() - metrics_.chunks_removed.value()));
  out.counter("prometheus_tsdb_head_chunks_created_total",
              "Total number of chunks created in the head",
              number(metrics_.chunks_created.value()));
  out.counter("prometheus_tsdb_head_chunks_removed_total",
              "Total number of chunks removed in the head",
              number(metrics_.chunks_removed.value()));
  out.counter("prometheus_tsdb_head_samples_appended_total", "Total number of appended samples.",
              number(metrics_.samples_appended.value()), {{"type", "float"}});
  out.counter("prometheus_tsdb_out_of_order_samples_total",
              "Total number of out of order samples ingestion failed attempts.",
              number(metrics_.out_of_order.value()));
  out.counter("prometheus_tsdb_out_of_bound_samples_total",
              "Total number of out of bound samples ingestion failed attempts.",
              number(metrics_.out_of_bounds.value()));
  out.counter("tarsier_tsdb_samples_lost_to_races_total",
              "Samples accepted from one writer and overtaken by another before their commit.",
              number(metrics_.samples_lost_to_races.value()));
  out.gauge("prometheus_tsdb_head_min_time", "Minimum time bound of the head block.",
            is_empty() ? 0 : static_cast<double>(min_time()));
  out.gauge("prometheus_tsdb_head_max_time", "Maximum timestamp of the head block.",
            is_empty() ? 0 : static_cast<double>(max_time()));
  out.counter("prometheus_tsdb_head_truncations_total",
              "Total number of head truncations attempted.", number(metrics_.truncations.value()));
}

}  // namespace tarsier::tsdb
