#include "query/exec/stream.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace tarsier::query {
namespace {

constexpr std::size_t kBatchValues = 4096;  // Rows of 32 KiB: they stay in the first-level cache.
constexpr std::size_t kBatchCountMax = 256;
/// Samples and steps of a task: at some nanoseconds each what waking a thread costs, many times.
constexpr std::size_t kTaskSamples = 60'000;
constexpr std::size_t kTaskRowsMax = 512;

std::size_t batch_size(const Context& context, const VectorStream& stream) {
  const std::size_t by_cache =
      std::max<std::size_t>(1, kBatchValues / std::max<std::size_t>(1, stream.grid().count));
  // An instant's rows are single values: only what they are computed from can be much.
  const std::size_t by_work =
      context.samples_per_row > 1 ? rows_worth_a_task(context, stream) : by_cache;
  const std::size_t by_count = (stream.size() + kBatchCountMax - 1) / kBatchCountMax;
  return std::max(std::min(by_cache, by_work), by_count);
}

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

}  // namespace

std::uint64_t bytes_of(const tsdb::Labels& labels) {
  return sizeof(tsdb::Labels) + labels.encoded().size();
}

std::size_t batch_count(const Context& context, const VectorStream& stream) {
  const std::size_t size = batch_size(context, stream);
  return (stream.size() + size - 1) / size;
}

std::size_t rows_worth_a_task(const Context& context, const VectorStream& stream) {
  const std::size_t samples = stream.grid().count + context.samples_per_row;
  return std::clamp<std::size_t>(kTaskSamples / std::max<std::size_t>(1, samples), 1, kTaskRowsMax);
}

Status for_each_batch(Context& context, const VectorStream& stream,
                      const std::function<Status(std::size_t batch, std::size_t first,
                                                 std::size_t count, const double* rows)>& consume) {
  const std::size_t size = batch_size(context, stream);
  const std::size_t steps = stream.grid().count;
  const std::size_t read_size =
      std::max<std::size_t>(1, kBatchValues / std::max<std::size_t>(1, steps));
  return context.run_tasks(
      batch_count(context, stream), [&](std::size_t batch, Scratch& scratch) -> Status {
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
    pools = std::make_shared<std::vector<HistogramPool>>(batch_count(context, stream));
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

StreamPtr broadcast(StreamPtr stream, Grid grid) {
  return std::make_unique<BroadcastStream>(std::move(stream), grid);
}

}  // namespace tarsier::query
