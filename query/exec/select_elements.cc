#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/number_text.h"
#include "query/exec/aggregate.h"
#include "query/exec/group_fold.h"
#include "query/exec/grouper.h"
#include "query/exec/histogram_streams.h"
#include "query/exec/label_share.h"
#include "query/exec/simple_streams.h"
#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

struct Entry {
  double value;
  std::uint32_t series;
};

/// Keeps the best k elements of each group and step.
struct TopRules {
  using Cell = std::vector<Entry>;  // A heap with the worst element in front.

  bool is_better(const Entry& a, const Entry& b) const {
    if (std::isnan(a.value) || std::isnan(b.value)) {
      if (std::isnan(a.value) != std::isnan(b.value)) return std::isnan(b.value);
      return a.series < b.series;
    }
    if (a.value != b.value) return is_top ? a.value > b.value : a.value < b.value;
    return a.series < b.series;
  }
  void add(Cell& cell, double v, std::uint32_t series, std::size_t step) const {
    const auto better = [this](const Entry& a, const Entry& b) { return is_better(a, b); };
    const Entry entry{v, series};
    if (cell.size() < k_max[step]) {
      cell.push_back(entry);
      std::push_heap(cell.begin(), cell.end(), better);
    } else if (!cell.empty() && is_better(entry, cell.front())) {
      std::pop_heap(cell.begin(), cell.end(), better);
      cell.back() = entry;
      std::push_heap(cell.begin(), cell.end(), better);
    }
  }
  void merge(Cell& into, const Cell& from, std::size_t step) const {
    for (const Entry& entry : from) add(into, entry.value, entry.series, step);
  }
  void finish(std::uint32_t group, std::vector<Cell>& cells) {
    for (Cell& cell : cells) {
      std::sort(cell.begin(), cell.end(),
                [this](const Entry& a, const Entry& b) { return is_better(a, b); });
    }
    chosen[group] = std::move(cells);
  }

  bool is_top;
  std::vector<std::size_t> k_max;         // Per step.
  std::vector<std::vector<Cell>> chosen;  // Per group, per step, best first.
};

/// The parameter as a number of elements per step; empty if no step wants any.
Result<std::vector<std::size_t>> counts_of(const std::vector<double>& parameter,
                                           std::size_t series_count) {
  double max = -std::numeric_limits<double>::infinity();
  for (const double v : parameter) max = v > max || std::isnan(v) ? v : max;
  const bool has_nan =
      std::any_of(parameter.begin(), parameter.end(), [](double v) { return std::isnan(v); });
  if (!has_nan && max < 1) return std::vector<std::size_t>();
  if (has_nan) return invalid("Parameter value is NaN");
  std::vector<std::size_t> counts;
  for (const double v : parameter) {
    if (v <= -9223372036854775808.0) {
      return invalid(fmt::format("Scalar value {} underflows int64", short_number(v)));
    }
    if (v >= 9223372036854774784.0) {
      return invalid(fmt::format("Scalar value {} overflows int64", short_number(v)));
    }
    counts.push_back(v < 1 ? 0
                           : static_cast<std::size_t>(
                                 std::min(std::trunc(v), static_cast<double>(series_count))));
  }
  return counts;
}

/// Collects chosen elements into rows, series in the order in which they were first chosen.
class ChosenRows final {
 public:
  ChosenRows(Context& context, const VectorStream& operand)
      : context_(context),
        operand_(operand),
        position_(operand.size(), kNone),
        steps_(operand.grid().count),
        loan_(std::in_place, context.memory) {}
  Status add(std::uint32_t series, std::size_t step, double v) {
    if (position_[series] == kNone) {
      position_[series] = chosen_.size();
      chosen_.push_back({operand_.labels(series), operand_.drops_name(series)});
      TRY(context_.check_dense(chosen_.size(), steps_));
      TRY(loan_->grow(bytes_of(chosen_.back().labels) + steps_ * sizeof(double)));
      rows_.resize(rows_.size() + steps_, absent_value());
    }
    rows_[position_[series] * steps_ + step] = v;
    return {};
  }
  /// `histograms` is what keeps those of the operand alive.
  Result<StreamPtr> take(HistogramOwner histograms) {
    loan_.reset();  // The table takes it over.
    return StreamPtr(TRY(Table::create(context_, operand_.grid(), std::move(chosen_),
                                       std::move(rows_), std::move(histograms))));
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  Context& context_;
  const VectorStream& operand_;
  std::vector<std::size_t> position_;
  const std::size_t steps_;
  std::vector<Table::Series> chosen_;
  std::vector<double> rows_;
  std::optional<MemoryLoan> loan_;
};

/// What the heaps of a top-k may come to hold at most.
std::uint64_t bytes_of_heaps(const std::vector<std::size_t>& counts, std::size_t series_count,
                             std::size_t group_count) {
  std::uint64_t entries = 0;
  for (const std::size_t k : counts) {
    entries +=
        k < series_count / std::max<std::size_t>(1, group_count) ? k * group_count : series_count;
  }
  return entries * sizeof(Entry) + group_count * counts.size() * sizeof(TopRules::Cell);
}

Result<StreamPtr> select_top(Context& context, const Aggregate& aggregate,
                             const VectorStream& operand, std::vector<std::size_t> counts) {
  Grouper grouper(context, grouping_of(aggregate));
  const std::vector<std::uint32_t> groups = TRY(grouper.add(operand));
  MemoryLoan loan(context.memory);
  TRY(loan.grow(bytes_of_heaps(counts, operand.size(), grouper.group_count())));
  TopRules rules{aggregate.op == AggregateOp::kTopk, std::move(counts), {}};
  rules.chosen.resize(grouper.group_count());
  TRY(GroupFold(operand, groups, grouper.group_count(), rules).run(context));
  ChosenRows rows(context, operand);
  for (const auto& cells : rules.chosen) {
    for (std::size_t k = 0; k < cells.size(); ++k) {
      for (const Entry& entry : cells[k]) TRY(rows.add(entry.series, k, entry.value));
    }
  }
  return rows.take(nullptr);
}

Result<StreamPtr> limit_count(Context& context, const Aggregate& aggregate,
                              const VectorStream& operand, const std::vector<std::size_t>& counts) {
  const auto table = TRY(Table::of(context, operand));
  Grouper grouper(context, grouping_of(aggregate));
  const std::vector<std::uint32_t> groups = TRY(grouper.add(*table));
  const std::size_t steps = table->grid().count;
  TRY(context.check_dense(grouper.group_count(), steps));
  MemoryLoan loan(context.memory);
  TRY(loan.grow(grouper.group_count() * steps * sizeof(std::size_t)));
  std::vector<std::size_t> taken(grouper.group_count() * steps, 0);
  ChosenRows rows(context, *table);
  for (std::uint32_t i = 0; i < table->size(); ++i) {
    for (std::size_t k = 0; k < steps; ++k) {
      std::size_t& count = taken[groups[i] * steps + k];
      if (is_absent(table->row(i)[k]) || count >= counts[k]) continue;
      ++count;
      TRY(rows.add(i, k, table->row(i)[k]));
    }
  }
  return rows.take(table->histograms());
}

/// The series whose share of the hash's range lies within the ratio of some step.
class RatioStream final : public VectorStream {
 public:
  RatioStream(StreamPtr child, std::vector<double> ratios)
      : VectorStream(child->grid()), child_(std::move(child)), ratios_(std::move(ratios)) {
    for (std::uint32_t i = 0; i < child_->size(); ++i) {
      const double share = share_of(child_->labels(i));
      const bool is_ever_kept = std::any_of(ratios_.begin(), ratios_.end(),
                                            [&](double ratio) { return is_kept(share, ratio); });
      if (is_ever_kept) kept_.push_back({i, share});
    }
  }
  std::size_t size() const override { return kept_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return child_->labels(kept_[i].series); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return child_->label(kept_[i].series, name);
  }
  bool drops_name(std::size_t i) const override { return child_->drops_name(kept_[i].series); }
  bool may_have_names() const override { return child_->may_have_names(); }
  bool is_distinct_without_names() const override { return child_->is_distinct_without_names(); }
  bool may_have_histograms() const override { return child_->may_have_histograms(); }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    auto wanted = scratch.indices();
    for (const std::uint32_t i : series) wanted->push_back(kept_[i].series);
    TRY(child_->read(*wanted, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      for (std::size_t k = 0; k < ratios_.size(); ++k) {
        if (!is_kept(kept_[series[i]].share, ratios_[k])) {
          rows[i * ratios_.size() + k] = absent_value();
        }
      }
    }
    return {};
  }

 private:
  struct Kept {
    std::uint32_t series;
    double share;
  };
  static bool is_kept(double share, double ratio) {
    return ratio >= 0 ? share < ratio : share >= 1 + ratio;
  }
  const StreamPtr child_;
  const std::vector<double> ratios_;
  std::vector<Kept> kept_;
};

Result<StreamPtr> limit_ratio(Context& context, const Aggregate& aggregate, StreamPtr operand,
                              std::vector<double> ratios) {
  if (std::all_of(ratios.begin(), ratios.end(), [](double r) { return r == 0; })) {
    return no_series(operand->grid());
  }
  if (std::any_of(ratios.begin(), ratios.end(), [](double r) { return std::isnan(r); })) {
    return invalid("Ratio value is NaN");
  }
  for (double& ratio : ratios) {
    const double capped = std::min(1.0, std::max(-1.0, ratio));
    if (capped == ratio) continue;
    context.annotator.warn(
        fmt::format("ratio value should be between -1 and 1, got {}, capping to {}",
                    short_number(ratio), short_number(capped)),
        aggregate.parameter->source);
    ratio = capped;
  }
  return StreamPtr(std::make_unique<RatioStream>(std::move(operand), std::move(ratios)));
}

}  // namespace

Result<StreamPtr> select_elements(Context& context, const Aggregate& aggregate, StreamPtr operand,
                                  const std::vector<double>& parameter) {
  if (aggregate.op == AggregateOp::kLimitRatio) {
    return limit_ratio(context, aggregate, std::move(operand), parameter);
  }
  std::vector<std::size_t> counts = TRY(counts_of(parameter, operand->size()));
  if (counts.empty()) {
    return StreamPtr(TRY(Table::create(context, operand->grid(), {}, {})));
  }
  if (aggregate.op == AggregateOp::kLimitk) {
    return limit_count(context, aggregate, *operand, counts);
  }
  operand =
      only_floats(context, std::move(operand),
                  "ignored histogram in " + std::string(text_of(aggregate.op)) + " aggregation",
                  aggregate.source);
  return select_top(context, aggregate, *operand, std::move(counts));
}

}  // namespace tarsier::query
