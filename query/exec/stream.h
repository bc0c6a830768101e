#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/row.h"
#include "tsdb/labels.h"

namespace tarsier::query {

/// An instant vector at every step of a grid, as the node of a query computes it: its series are
/// known first, their rows are computed when somebody asks. Whoever needs a series' row once reads
/// it through; whoever needs rows again keeps them (`Table`). Immutable once made, so any number of
/// threads may read, each with its own Scratch.
class VectorStream {
 public:
  explicit VectorStream(Grid grid) : grid_(grid) {}
  VectorStream(const VectorStream&) = delete;
  VectorStream& operator=(const VectorStream&) = delete;
  virtual ~VectorStream() = default;

  const Grid& grid() const { return grid_; }
  virtual std::size_t size() const = 0;
  virtual tsdb::Labels labels(std::size_t i) const = 0;
  /// Empty if absent. The view lives as long as this.
  virtual std::string_view label(std::size_t i, std::string_view name) const = 0;
  /// With delayed name removal: series i loses its name when the query ends.
  virtual bool drops_name(std::size_t) const { return false; }
  /// False only if no series has a metadata label.
  virtual bool may_have_names() const = 0;
  /// True only if no two series become equal when they lose their metadata labels.
  virtual bool is_distinct_without_names() const = 0;
  /// False only if no row has a histogram.
  virtual bool may_have_histograms() const = 0;
  /// Computes the rows of the series at these positions, one after another, grid().count values
  /// each. Histograms among them live in `scratch` or in this stream: the reader opens a
  /// HistogramScope around reading and using them, and keeps copies of what it wants longer.
  virtual Status read(std::span<const std::uint32_t> series, double* rows,
                      Scratch& scratch) const = 0;

 private:
  const Grid grid_;
};
using StreamPtr = std::unique_ptr<VectorStream>;

/// A stream over another one's series: everything is the child's unless overridden.
class ForwardingStream : public VectorStream {
 public:
  explicit ForwardingStream(StreamPtr child)
      : VectorStream(child->grid()), child_(std::move(child)) {}
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
    return child_->read(series, rows, scratch);
  }

 protected:
  const VectorStream& child() const { return *child_; }

 private:
  const StreamPtr child_;
};

/// Series with their rows in memory. Counted against the query's budget while it lives.
class Table final : public VectorStream {
 public:
  struct Series {
    tsdb::Labels labels;
    bool drops_name = false;
  };
  /// `rows` holds grid.count values per series. kLimit beyond the budget. With histograms among
  /// them, `histograms` keeps those alive; null means there are none.
  static Result<std::unique_ptr<Table>> create(Context& context, Grid grid,
                                               std::vector<Series> series, std::vector<double> rows,
                                               HistogramOwner histograms = nullptr);
  /// Computes all rows of `stream`, several at a time.
  static Result<std::unique_ptr<Table>> of(Context& context, const VectorStream& stream);
  ~Table() override;

  std::size_t size() const override { return series_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return series_[i].labels; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return series_[i].labels.get(name);
  }
  bool drops_name(std::size_t i) const override { return series_[i].drops_name; }
  bool may_have_names() const override;
  bool is_distinct_without_names() const override { return false; }
  bool may_have_histograms() const override { return histograms_ != nullptr; }
  Status read(std::span<const std::uint32_t> series, double* rows, Scratch& scratch) const override;

  const tsdb::Labels& labels_of(std::size_t i) const { return series_[i].labels; }
  std::span<const double> row(std::size_t i) const {
    return {rows_.data() + i * grid().count, grid().count};
  }
  /// Null if there are none.
  const HistogramOwner& histograms() const { return histograms_; }

 private:
  Table(Context& context, Grid grid, std::vector<Series> series, std::vector<double> rows,
        HistogramOwner histograms, std::uint64_t held, std::uint64_t bytes);

  Context& context_;
  const std::vector<Series> series_;
  const std::vector<double> rows_;
  const HistogramOwner histograms_;
  const std::uint64_t held_;   // Values, of the sample budget.
  const std::uint64_t bytes_;  // Of the memory budget.
};

/// Rows that hold values, read in fixed batches: `consume(first, count, rows)` for series [first,
/// first + count), on several threads; batches do not depend on how many.
Status for_each_batch(Context& context, const VectorStream& stream,
                      const std::function<Status(std::size_t batch, std::size_t first,
                                                 std::size_t count, const double* rows)>& consume);
/// How many batches that will be.
std::size_t batch_count(const Context& context, const VectorStream& stream);
/// How many rows of `stream` are work for long enough to be a thread's next task, some tenths of a
/// millisecond: few series with many samples are shared out, too. From what is asked alone.
std::size_t rows_worth_a_task(const Context& context, const VectorStream& stream);

/// The one value or row of `stream` (a grid of one step) at every step of `grid`.
StreamPtr broadcast(StreamPtr stream, Grid grid);

/// What keeping a label set costs.
std::uint64_t bytes_of(const tsdb::Labels& labels);

}  // namespace tarsier::query
