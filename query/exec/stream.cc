#include "query/exec/stream.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace tarsier::query {
namespace {

constexpr std::size_t kBatchValues = 4096;  // Rows of 32 KiB: they stay in the first-level cache.
constexpr std::size_t kBatchCountMax = 256;

std::size_t batch_size(const VectorStream& stream) {
  const std::size_t by_cache =
      std::max<std::size_t>(1, kBatchValues / std::max<std::size_t>(1, stream.grid().count));
  const std::size_t by_count = (stream.size() + kBatchCountMax - 1) / kBatchCountMax;
  return std::max(by_cache, by_count);
}

/// Labels without metadata, computed when asked for.
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

/// Every series marked to lose its name at the end.
class MarkedStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  bool drops_name(std::size_t) const override { return true; }
};

/// The same rows under other labels.
class RelabelledStream final : public ForwardingStream {
 public:
  RelabelledStream(StreamPtr child, std::vector<tsdb::Labels> labels, std::vector<bool> drops_name,
                   std::unique_ptr<MemoryLoan> loan)
      : ForwardingStream(std::move(child)),
        labels_(std::move(labels)),
        drops_name_(std::move(drops_name)),
        loan_(std::move(loan)) {}
  tsdb::Labels labels(std::size_t i) const override { return labels_[i]; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return labels_[i].get(name);
  }
  bool drops_name(std::size_t i) const override { return !drops_name_.empty() && drops_name_[i]; }
  bool may_have_names() const override { return true; }
  bool is_distinct_without_names() const override { return false; }

 private:
  const std::vector<tsdb::Labels> labels_;
  const std::vector<bool> drops_name_;
  const std::unique_ptr<MemoryLoan> loan_;  // Of the labels.
};

class BroadcastStream final : public VectorStream {
 public:
  BroadcastStream(StreamPtr child, Grid grid) : VectorStream(grid), child_(std::move(child)) {}
  std::size_t size() const override { return child_->size(); }
  tsdb::Labels labels(std::size_t i) const override { return child_->labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return child_->label(i, name);
  }
  bool drops_name(std::size_t i) const override { return child_->drops_name(i); }
  bool may_have_names() const override { return child_->may_have_names(); }
  bool is_distinct_without_names() const override { return child_->is_distinct_without_names(); }
  bool may_have_histograms() const override { return child_->may_have_histograms(); }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    auto values = scratch.doubles(series.size());
    TRY(child_->read(series, values->data(), scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      std::fill_n(rows + i * grid().count, grid().count, (*values)[i]);
    }
    return {};
  }

 private:
  const StreamPtr child_;
};

std::uint64_t count_present(const std::vector<double>& rows, bool may_have_histograms) {
  std::uint64_t count = 0;
  if (may_have_histograms) {
    for (const double v : rows) count += sample_weight(v);
    return count;
  }
  for (const double v : rows) count += is_present(v) ? 1 : 0;
  return count;
}

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

std::uint64_t bytes_of(const tsdb::Labels& labels) {
  return sizeof(tsdb::Labels) + labels.encoded().size();
}

Status duplicate_labels_error() {
  return invalid("vector cannot contain metrics with the same labelset");
}

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

std::size_t batch_count(const VectorStream& stream) {
  const std::size_t size = batch_size(stream);
  return (stream.size() + size - 1) / size;
}

Status for_each_batch(Context& context, const VectorStream& stream,
                      const std::function<Status(std::size_t batch, std::size_t first,
                                                 std::size_t count, const double* rows)>& consume) {
  const std::size_t size = batch_size(stream);
  const std::size_t steps = stream.grid().count;
  const std::size_t read_size =
      std::max<std::size_t>(1, kBatchValues / std::max<std::size_t>(1, steps));
  return context.run_tasks(batch_count(stream), [&](std::size_t batch, Scratch& scratch) -> Status {
    const std::size_t end = std::min(stream.size(), (batch + 1) * size);
    auto rows = scratch.doubles(std::min(read_size, size) * steps);
    auto series = scratch.indices();
    for (std::size_t first = batch * size; first < end; first += read_size) {
      series->resize(std::min(read_size, end - first));
      std::iota(series->begin(), series->end(), static_cast<std::uint32_t>(first));
      const HistogramScope scope(scratch.histograms());
      TRY(stream.read(*series, rows->data(), scratch));
      TRY(consume(batch, first, series->size(), rows->data()));
      TRY(context.check_alive());
    }
    return Status();
  });
}

Table::Table(Context& context, Grid grid, std::vector<Series> series, std::vector<double> rows,
             HistogramOwner histograms, std::uint64_t held, std::uint64_t bytes)
    : VectorStream(grid),
      context_(context),
      series_(std::move(series)),
      rows_(std::move(rows)),
      histograms_(std::move(histograms)),
      held_(held),
      bytes_(bytes) {
  CHECK(rows_.size() == series_.size() * grid.count);
}

Table::~Table() {
  context_.budget.release(held_);
  context_.memory.release(bytes_);
}

Result<std::unique_ptr<Table>> Table::create(Context& context, Grid grid,
                                             std::vector<Series> series, std::vector<double> rows,
                                             HistogramOwner histograms) {
  const std::uint64_t held = count_present(rows, histograms != nullptr);
  TRY(context.budget.hold(held));
  std::uint64_t bytes = rows.capacity() * sizeof(double);
  if (histograms != nullptr) bytes += held * kSampleWeightBytes;
  for (const Series& s : series) bytes += bytes_of(s.labels);
  if (Status status = context.memory.hold(bytes); !status.ok()) {
    context.budget.release(held);
    return status;
  }
  return std::unique_ptr<Table>(new Table(context, grid, std::move(series), std::move(rows),
                                          std::move(histograms), held, bytes));
}

Result<std::unique_ptr<Table>> Table::of(Context& context, const VectorStream& stream) {
  const std::size_t steps = stream.grid().count;
  TRY(context.check_dense(stream.size(), steps));
  // What create() holds for good is held from here on for whoever looks meanwhile.
  std::optional<MemoryLoan> loan(std::in_place, context.memory);
  TRY(loan->grow(stream.size() * steps * sizeof(double)));
  std::vector<double> rows(stream.size() * steps);
  // Each batch is read by one thread, which keeps the histograms of its rows.
  std::shared_ptr<std::vector<HistogramPool>> pools;
  if (stream.may_have_histograms()) {
    pools = std::make_shared<std::vector<HistogramPool>>(batch_count(stream));
  }
  TRY(for_each_batch(
      context, stream,
      [&](std::size_t batch, std::size_t first, std::size_t count, const double* from) {
        double* const to = rows.data() + first * steps;
        if (pools == nullptr) {
          std::copy_n(from, count * steps, to);
        } else {
          std::transform(from, from + count * steps, to,
                         [&](double v) { return (*pools)[batch].keep(v); });
        }
        return Status();
      }));
  std::vector<Series> series(stream.size());
  for (std::size_t i = 0; i < stream.size(); ++i) {
    series[i] = {stream.labels(i), stream.drops_name(i)};
  }
  loan.reset();
  return create(context, stream.grid(), std::move(series), std::move(rows), std::move(pools));
}

bool Table::may_have_names() const {
  return std::any_of(series_.begin(), series_.end(), [](const Series& s) {
    return s.labels.has(tsdb::kMetricName) || s.labels.has("__type__") || s.labels.has("__unit__");
  });
}

Status Table::read(std::span<const std::uint32_t> series, double* rows, Scratch&) const {
  const std::size_t steps = grid().count;
  for (std::size_t i = 0; i < series.size(); ++i) {
    std::copy_n(rows_.data() + series[i] * steps, steps, rows + i * steps);
  }
  return {};
}

Result<StreamPtr> relabel(Context& context, StreamPtr stream, std::vector<tsdb::Labels> labels,
                          std::vector<bool> drops_name, OnEqual on_equal) {
  auto loan = std::make_unique<MemoryLoan>(context.memory);
  std::uint64_t bytes = 0;
  for (const tsdb::Labels& l : labels) bytes += bytes_of(l);
  TRY(loan->grow(bytes));
  std::unordered_map<std::string_view, std::uint32_t> positions;
  positions.reserve(labels.size());
  std::vector<std::uint32_t> target(labels.size());
  std::vector<Table::Series> merged;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto [it, is_new] =
        positions.emplace(labels[i].encoded(), static_cast<std::uint32_t>(positions.size()));
    target[i] = it->second;
  }
  if (positions.size() == labels.size()) {
    return StreamPtr(std::make_unique<RelabelledStream>(std::move(stream), std::move(labels),
                                                        std::move(drops_name), std::move(loan)));
  }
  merged.resize(positions.size());
  for (std::size_t i = labels.size(); i-- > 0;) {
    merged[target[i]] = {labels[i], !drops_name.empty() && drops_name[i]};
  }
  return merge_rows(context, *stream, target, std::move(merged), on_equal);
}

Result<StreamPtr> drop_names(Context& context, StreamPtr stream, OnEqual on_equal) {
  if (context.options.delayed_name_removal) {
    return StreamPtr(std::make_unique<MarkedStream>(std::move(stream)));
  }
  if (!stream->may_have_names()) return stream;
  if (stream->is_distinct_without_names()) {
    return StreamPtr(std::make_unique<NamelessStream>(std::move(stream)));
  }
  std::vector<tsdb::Labels> labels(stream->size());
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = drop_metadata(stream->labels(i));
  return relabel(context, std::move(stream), std::move(labels), {}, on_equal);
}

Result<StreamPtr> finish_names(Context& context, StreamPtr stream) {
  bool drops_any = false;
  for (std::size_t i = 0; i < stream->size() && !drops_any; ++i) drops_any = stream->drops_name(i);
  if (!drops_any) return stream;
  std::vector<tsdb::Labels> labels(stream->size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = stream->labels(i);
    if (stream->drops_name(i)) labels[i] = drop_metadata(labels[i]);
  }
  return relabel(context, std::move(stream), std::move(labels), {}, OnEqual::kMerge);
}

StreamPtr broadcast(StreamPtr stream, Grid grid) {
  return std::make_unique<BroadcastStream>(std::move(stream), grid);
}

}  // namespace tarsier::query
