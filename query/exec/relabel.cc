#include "query/exec/relabel.h"

#include <algorithm>
#include <atomic>
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

namespace {

/// The hashes of all label sets, sorted.
Result<std::vector<std::uint64_t>> sorted_hashes(
    Context& context, std::size_t count,
    const std::function<tsdb::Labels(std::size_t)>& labels_of) {
  constexpr std::size_t kSlice = 4096;
  std::vector<std::uint64_t> hashes(count);
  TRY(context.run_tasks((count + kSlice - 1) / kSlice, [&](std::size_t slice, Scratch&) {
    const std::size_t end = std::min(count, (slice + 1) * kSlice);
    for (std::size_t i = slice * kSlice; i < end; ++i) hashes[i] = labels_of(i).hash();
    return Status();
  }));
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

/// Those that occur more than once, each once. `hashes` is sorted.
std::vector<std::uint64_t> repeated(const std::vector<std::uint64_t>& hashes) {
  std::vector<std::uint64_t> found;
  for (std::size_t i = 1; i < hashes.size(); ++i) {
    const bool is_again = hashes[i] == hashes[i - 1];
    if (is_again && (found.empty() || found.back() != hashes[i])) found.push_back(hashes[i]);
  }
  return found;
}

/// Which series are equal: `target[i]` is the number of series i among the different ones.
struct EqualSeries {
  std::vector<std::uint32_t> target;
  std::vector<std::uint32_t> first;  ///< Of each different one, the first series that is it.
};

Result<EqualSeries> find_equal(Context& context, const VectorStream& stream,
                               const std::vector<std::uint64_t>& repeated_hashes) {
  EqualSeries equal;
  MemoryLoan loan(context.memory);
  std::unordered_map<tsdb::Labels, std::uint32_t> positions;
  equal.target.resize(stream.size());
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (i % 4096 == 0) TRY(context.check_alive());
    tsdb::Labels labels = stream.labels(i);
    const auto next = static_cast<std::uint32_t>(equal.first.size());
    equal.target[i] = next;
    if (std::binary_search(repeated_hashes.begin(), repeated_hashes.end(), labels.hash())) {
      const std::uint64_t bytes = bytes_of(labels);
      const auto [it, is_new] = positions.try_emplace(std::move(labels), next);
      equal.target[i] = it->second;
      if (!is_new) continue;
      TRY(loan.grow(bytes));
    }
    equal.first.push_back(static_cast<std::uint32_t>(i));
  }
  return equal;
}

/// Some of the series of another stream.
class SubsetStream final : public ForwardingStream {
 public:
  SubsetStream(StreamPtr child, std::vector<std::uint32_t> kept)
      : ForwardingStream(std::move(child)), kept_(std::move(kept)) {}
  std::size_t size() const override { return kept_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return child().labels(kept_[i]); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return child().label(kept_[i], name);
  }
  bool drops_name(std::size_t i) const override { return child().drops_name(kept_[i]); }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    auto wanted = scratch.indices();
    for (const std::uint32_t i : series) wanted->push_back(kept_[i]);
    return child().read(*wanted, rows, scratch);
  }

 private:
  const std::vector<std::uint32_t> kept_;
};

/// Of equal series the only one that has values. Rows are read to find out, and none is held.
Result<StreamPtr> refuse_equal(Context& context, StreamPtr stream, const EqualSeries& equal) {
  std::vector<std::atomic<std::uint32_t>> with_values(equal.first.size());  // And 1.
  const std::size_t steps = stream->grid().count;
  const std::uint64_t read_before = context.samples_read.load(std::memory_order_relaxed);
  TRY(for_each_batch(
      context, *stream,
      [&](std::size_t, std::size_t first, std::size_t count, const double* rows) -> Status {
        for (std::size_t i = 0; i < count; ++i) {
          const double* const row = rows + i * steps;
          if (std::none_of(row, row + steps, is_present)) continue;
          const auto series = static_cast<std::uint32_t>(first + i);
          if (with_values[equal.target[series]].exchange(series + 1) != 0) {
            return duplicate_labels_error();
          }
        }
        return {};
      }));
  context.samples_read.store(read_before, std::memory_order_relaxed);
  std::vector<std::uint32_t> kept(equal.first);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (const std::uint32_t found = with_values[i].load(); found != 0) kept[i] = found - 1;
  }
  return StreamPtr(std::make_unique<SubsetStream>(std::move(stream), std::move(kept)));
}

/// Rows beyond this are rather computed twice than held.
constexpr std::uint64_t kHeldBytesMax = std::uint64_t{16} << 20;

}  // namespace

Result<bool> are_distinct(Context& context, std::size_t count,
                          const std::function<tsdb::Labels(std::size_t)>& labels_of) {
  if (count < 2) return true;
  MemoryLoan loan(context.memory);
  TRY(loan.grow(count * sizeof(std::uint64_t)));
  const std::vector<std::uint64_t> hashes = TRY(sorted_hashes(context, count, labels_of));
  return std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end();
}

Result<StreamPtr> resolve_equal(Context& context, StreamPtr stream, OnEqual on_equal) {
  const std::size_t count = stream->size();
  if (count < 2) return stream;
  MemoryLoan loan(context.memory);
  TRY(loan.grow(count * (sizeof(std::uint64_t) + 2 * sizeof(std::uint32_t))));
  const std::vector<std::uint64_t> repeated_hashes = repeated(
      TRY(sorted_hashes(context, count, [&](std::size_t i) { return stream->labels(i); })));
  if (repeated_hashes.empty()) return stream;
  const EqualSeries equal = TRY(find_equal(context, *stream, repeated_hashes));
  if (equal.first.size() == count) return stream;
  const std::uint64_t bytes = std::uint64_t{count} * stream->grid().count * sizeof(double);
  if (on_equal == OnEqual::kRefuse && bytes > kHeldBytesMax && !context.step_counter) {
    return refuse_equal(context, std::move(stream), equal);
  }
  std::vector<Table::Series> merged;
  for (const std::uint32_t i : equal.first) {
    merged.push_back({stream->labels(i), stream->drops_name(i)});
  }
  return merge_rows(context, *stream, equal.target, std::move(merged), on_equal);
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
