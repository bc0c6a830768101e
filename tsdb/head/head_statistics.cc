#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tsdb/head/head.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kMetadataPerMetricMax = 8;

/// The `limit` largest of what is offered, the most first. Names are made for those only.
template <typename Key>
class Largest final {
 public:
  explicit Largest(std::size_t limit) : limit_(limit) {}

  void offer(std::uint64_t value, Key key) {
    if (heap_.size() == limit_ && (limit_ == 0 || value <= heap_.front().first)) return;
    if (heap_.size() == limit_) {
      std::pop_heap(heap_.begin(), heap_.end(), is_larger);
      heap_.pop_back();
    }
    heap_.emplace_back(value, key);
    std::push_heap(heap_.begin(), heap_.end(), is_larger);
  }
  template <typename NameOf>
  std::vector<HeadStatistics::Entry> take(const NameOf& name_of) {
    std::vector<HeadStatistics::Entry> out;
    for (const auto& [value, key] : heap_) out.push_back({name_of(key), value});
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
      return a.value != b.value ? a.value > b.value : a.name < b.name;
    });
    return out;
  }

 private:
  using Item = std::pair<std::uint64_t, Key>;
  static bool is_larger(const Item& a, const Item& b) { return a.first > b.first; }
  const std::size_t limit_;
  std::vector<Item> heap_;  // The smallest in front.
};

}  // namespace

// Every count is exact and kept as series come and go: the length of a postings list. So this looks
// at each label pair once and at no series.
HeadStatistics Head::statistics(std::size_t limit) {
  HeadStatistics out;
  const std::shared_ptr<const HeadGeneration> generation = this->generation();
  out.series_count = table_.series_count();
  out.chunk_count = metrics_.chunks_created.value() - metrics_.chunks_removed.value();
  if (!is_empty()) {
    out.min_time = Timestamp{min_time()};
    out.max_time = Timestamp{max_time()};
  }
  const std::size_t metrics_limit = std::max(limit, SeriesGrowth::kMetricsMax);
  Largest<PairId> metrics(metrics_limit);
  Largest<PairId> label_pairs(limit);
  Largest<NameId> value_counts(limit);
  Largest<NameId> memory(limit);
  {
    MutexLock lock(table_.mutex());
    const LabelPairs& pairs = table_.pairs();
    const HeadPostings& postings = *generation->postings;
    const auto metric_name = pairs.find_name(kMetricName);
    for (NameId name = 0; name < pairs.name_count(); ++name) {
      const std::span<const PairId> values = postings.pairs_of(name);
      if (values.empty()) continue;
      std::uint64_t bytes = 0;
      for (const PairId pair : values) {
        const std::uint64_t series_count = postings.count(pair);
        bytes += series_count * pairs.value(pair).size();
        label_pairs.offer(series_count, pair);
        if (name == metric_name) metrics.offer(series_count, pair);
      }
      out.label_pair_count += values.size();
      value_counts.offer(values.size(), name);
      memory.offer(bytes, name);
    }
    const auto value_of = [&](PairId pair) { return std::string(pairs.value(pair)); };
    const auto pair_text = [&](PairId pair) {
      return std::string(pairs.view(pair).name) + '=' + std::string(pairs.value(pair));
    };
    const auto name_text = [&](NameId name) { return std::string(pairs.name_text(name)); };
    out.series_count_by_metric_name = metrics.take(value_of);
    out.series_count_by_label_pair = label_pairs.take(pair_text);
    out.label_value_count_by_label_name = value_counts.take(name_text);
    out.memory_bytes_by_label_name = memory.take(name_text);
  }
  SeriesGrowth::Counts counts;
  for (const auto& entry : out.series_count_by_metric_name) {
    counts.emplace_back(entry.name, entry.value);
  }
  SeriesGrowth::Growth growth = growth_.growth(counts);
  out.growth_since = growth.since;
  out.series_count_before = growth.series_count;
  out.series_created = table_.created_count() - growth.created_count;
  for (auto& [name, value] : growth.metrics) {
    if (out.growth_by_metric_name.size() == limit) break;
    out.growth_by_metric_name.push_back({std::move(name), value});
  }
  if (out.series_count_by_metric_name.size() > limit) out.series_count_by_metric_name.resize(limit);
  return out;
}

void Head::note_growth(Timestamp now) {
  if (!growth_.is_due(now)) return;
  const HeadStatistics statistics = this->statistics(SeriesGrowth::kMetricsMax);
  SeriesGrowth::Counts counts;
  for (const auto& entry : statistics.series_count_by_metric_name) {
    counts.emplace_back(entry.name, entry.value);
  }
  growth_.note(now, statistics.series_count, table_.created_count(), std::move(counts));
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
  out.counter("prometheus_tsdb_head_series_created_total",
              "Total number of series created in the head", number(table_.created_count()));
  table_.admission().collect(out);
  out.gauge("prometheus_tsdb_head_active_appenders",
            "Number of currently active appender transactions",
            static_cast<double>(metrics_.active_appenders.load(std::memory_order_relaxed)));
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
  out.counter("prometheus_tsdb_head_samples_appended_total", "Total number of appended samples.",
              number(metrics_.histograms_appended.value()), {{"type", "histogram"}});
  out.counter("prometheus_tsdb_out_of_order_samples_total",
              "Total number of out of order samples ingestion failed attempts.",
              number(metrics_.out_of_order.value()));
  out.counter("prometheus_tsdb_out_of_bound_samples_total",
              "Total number of out of bound samples ingestion failed attempts.",
              number(metrics_.out_of_bounds.value()));
  out.counter(
      "prometheus_tsdb_too_old_samples_total",
      "Total number of out of order samples ingestion failed attempts with out of order support "
      "enabled, but sample outside of time window.",
      number(metrics_.too_old.value()), {{"type", "float"}});
  out.counter(
      "prometheus_tsdb_too_old_samples_total",
      "Total number of out of order samples ingestion failed attempts with out of order support "
      "enabled, but sample outside of time window.",
      number(metrics_.histograms_too_old.value()), {{"type", "histogram"}});
  out.counter("prometheus_tsdb_head_out_of_order_samples_appended_total",
              "Total number of appended out of order samples.",
              number(metrics_.late_appended.value()), {{"type", "float"}});
  out.counter("prometheus_tsdb_head_out_of_order_samples_appended_total",
              "Total number of appended out of order samples.",
              number(metrics_.late_histograms_appended.value()), {{"type", "histogram"}});
  out.histogram("prometheus_tsdb_sample_ooo_delta",
                "Delta in seconds by which a sample is considered out of order.",
                metrics_.late_by_seconds);
  out.counter("tarsier_tsdb_samples_lost_to_races_total",
              "Samples accepted from one writer and overtaken by another before their commit.",
              number(metrics_.samples_lost_to_races.value()));
  out.counter("tarsier_tsdb_head_chunks_closed_total",
              "Chunks closed because their series ended or the next sample would begin another.",
              number(metrics_.chunks_closed.value()));
  out.gauge("prometheus_tsdb_head_min_time", "Minimum time bound of the head block.",
            is_empty() ? 0 : static_cast<double>(min_time()));
  out.gauge("prometheus_tsdb_head_max_time", "Maximum timestamp of the head block.",
            is_empty() ? 0 : static_cast<double>(max_time()));
  out.gauge("prometheus_tsdb_head_min_time_seconds", "Minimum time bound of the head block.",
            is_empty() ? 0 : static_cast<double>(min_time()) / 1000);
  out.gauge("prometheus_tsdb_head_max_time_seconds", "Maximum timestamp of the head block.",
            is_empty() ? 0 : static_cast<double>(max_time()) / 1000);
  out.counter("prometheus_tsdb_head_truncations_total",
              "Total number of head truncations attempted.", number(metrics_.truncations.value()));
  exemplars_.collect(out);
}

}  // namespace tarsier::tsdb
