#include "query/exec/relabel.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tarsier::query {
namespace {

/// Labels without metadata.
class NamelessStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  tsdb::Labels labels(std::size_t i) const override { return drop_metadata(child().labels(i)); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return is_metadata_label(name) ? std::string_view() : child().label(i, name);
  }
  bool may_have_names() const override { return false; }
  bool is_distinct_without_names() const override { return true; }
};

/// Labels without `__name__`.
class MetricNamelessStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  tsdb::Labels labels(std::size_t i) const override { return child().labels(i).drop_metric_name(); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return name == tsdb::kMetricName ? std::string_view() : child().label(i, name);
  }
};

/// Every series marked to lose its name at the end.
class MarkedStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  bool drops_name(std::size_t) const override { return true; }
};

/// Marked series without their names.
class FinishedStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  tsdb::Labels labels(std::size_t i) const override {
    const tsdb::Labels labels = child().labels(i);
    return child().drops_name(i) ? drop_metadata(labels) : labels;
  }
  std::string_view label(std::size_t i, std::string_view name) const override {
    if (is_metadata_label(name) && child().drops_name(i)) return {};
    return child().label(i, name);
  }
  bool drops_name(std::size_t) const override { return false; }
};

/// Merges the rows of series with equal labels: `target[i]` is where series i goes.
Result<StreamPtr> merge_rows(Context& context, const VectorStream& stream,
                             const std::vector<std::uint32_t>& target,
                             std::vector<Table::Series> series, OnEqual on_equal) {
  const auto table = TRY(Table::of(context, stream));
  const std::size_t steps = stream.grid().count;
  std::vector<double> rows(series.size() * steps, absent_value());
  std::vector<bool> has_values(series.size(), false);
  for (std::size_t i = 0; i < table->size(); ++i) {
    const std::span<const double> from = table->row(i);
    double* to = rows.data() + target[i] * steps;
    bool is_empty = true;
    for (std::size_t k = 0; k < steps; ++k) {
      if (is_absent(from[k])) continue;
      if (is_present(to[k])) return duplicate_labels_error();
      to[k] = from[k];
      is_empty = false;
    }
    if (is_empty) continue;
    if (on_equal == OnEqual::kRefuse && has_values[target[i]]) return duplicate_labels_error();
    has_values[target[i]] = true;
  }
  return StreamPtr(TRY(Table::create(context, stream.grid(), std::move(series), std::move(rows),
                                     table->histograms())));
}

}  // namespace

bool is_metadata_label(std::string_view name) {
  return name == tsdb::kMetricName || name == "__type__" || name == "__unit__";
}

tsdb::Labels drop_metadata(const tsdb::Labels& labels) {
  std::vector<tsdb::LabelView> kept;
  for (const tsdb::LabelView& label : labels) {
    if (!is_metadata_label(label.name)) kept.push_back(label);
  }
  return tsdb::Labels::from_sorted(kept);
}

Status duplicate_labels_error() {
  return invalid("vector cannot contain metrics with the same labelset");
}

Result<bool> are_distinct(Context& context, std::size_t count,
                          const std::function<tsdb::Labels(std::size_t)>& labels_of) {
  constexpr std::size_t kSlice = 4096;
  if (count < 2) return true;
  MemoryLoan loan(context.memory);
  TRY(loan.grow(count * sizeof(std::uint64_t)));
  std::vector<std::uint64_t> hashes(count);
  TRY(context.run_tasks((count + kSlice - 1) / kSlice, [&](std::size_t slice, Scratch&) {
    const std::size_t end = std::min(count, (slice + 1) * kSlice);
    for (std::size_t i = slice * kSlice; i < end; ++i) hashes[i] = labels_of(i).hash();
    return Status();
  }));
  std::sort(hashes.begin(), hashes.end());
  return std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end();
}

Result<StreamPtr> resolve_equal(Context& context, StreamPtr stream, OnEqual on_equal) {
  const auto labels_of = [&](std::size_t i) { return stream->labels(i); };
  if (TRY(are_distinct(context, stream->size(), labels_of))) return stream;
  MemoryLoan loan(context.memory);
  std::unordered_map<tsdb::Labels, std::uint32_t> positions;
  std::vector<std::uint32_t> target(stream->size());
  std::vector<Table::Series> merged;
  for (std::size_t i = 0; i < target.size(); ++i) {
    const auto [it, is_new] =
        positions.try_emplace(stream->labels(i), static_cast<std::uint32_t>(positions.size()));
    target[i] = it->second;
    if (!is_new) continue;
    TRY(loan.grow(2 * bytes_of(it->first)));
    merged.push_back({it->first, stream->drops_name(i)});
  }
  if (merged.size() == target.size()) return stream;
  positions.clear();
  return merge_rows(context, *stream, target, std::move(merged), on_equal);
}

Result<StreamPtr> drop_names(Context& context, StreamPtr stream, OnEqual on_equal) {
  if (context.options.delayed_name_removal) {
    return StreamPtr(std::make_unique<MarkedStream>(std::move(stream)));
  }
  if (!stream->may_have_names()) return stream;
  const bool stays_distinct = stream->is_distinct_without_names();
  StreamPtr nameless = std::make_unique<NamelessStream>(std::move(stream));
  if (stays_distinct) return nameless;
  return resolve_equal(context, std::move(nameless), on_equal);
}

Result<StreamPtr> drop_metric_names(Context& context, StreamPtr stream) {
  if (!stream->may_have_names()) return stream;
  const bool stays_distinct = stream->is_distinct_without_names();
  StreamPtr nameless = std::make_unique<MetricNamelessStream>(std::move(stream));
  if (stays_distinct) return nameless;
  return resolve_equal(context, std::move(nameless), OnEqual::kMerge);
}

Result<StreamPtr> finish_names(Context& context, StreamPtr stream) {
  bool drops_any = false;
  for (std::size_t i = 0; i < stream->size() && !drops_any; ++i) drops_any = stream->drops_name(i);
  if (!drops_any) return stream;
  return resolve_equal(context, std::make_unique<FinishedStream>(std::move(stream)),
                       OnEqual::kMerge);
}

}  // namespace tarsier::query
