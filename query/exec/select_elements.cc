#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/number_text.h"
#include "query/exec/aggregate.h"
#include "query/exec/group_fold.h"
#include "query/exec/grouper.h"
#include "query/exec/histogram_streams.h"
#include "query/exec/label_share.h"
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
  explicit ChosenRows(const VectorStream& operand)
      : operand_(operand), position_(operand.size(), kNone), steps_(operand.grid().count) {}
  void add(std::uint32_t series, std::size_t step, double v) {
    if (position_[series] == kNone) {
      position_[series] = chosen_.size();
      chosen_.push_back({operand_.labels(series), operand_.drops_name(series)});
      rows_.resize(rows_.size() + steps_, absent_value());
    }
    rows_[position_[series] * steps_ + step] = v;
  }
  /// `histograms` is what keeps those of the operand alive.
  Result<StreamPtr> take(Context& context, HistogramOwner histograms) {
    return StreamPtr(TRY(Table::create(context, operand_.grid(), std::move(chosen_),
                                       std::move(rows_), std::move(histograms))));
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const VectorStream& operand_;
  std::vector<std::size_t> position_;
  const std::size_t steps_;
  std::vector<Table::Series> chosen_;
  std::vector<double> rows_;
};

Result<StreamPtr> select_top(Context& context, const Aggregate& aggregate,
                             const VectorStream& operand, std::vector<std::size_t> counts) {
  Grouper grouper(grouping_of(aggregate));
  const std::vector<std::uint32_t> groups = grouper.add(operand);
  TopRules rules{aggregate.op == AggregateOp::kTopk, std::move(counts), {}};
  rules.chosen.resize(grouper.group_count());
  TRY(GroupFold(operand, groups, grouper.group_count(), rules).run(context));
  ChosenRows rows(operand);
  for (const auto& cells : rules.chosen) {
    for (std::size_t k = 0; k < cells.size(); ++k) {
      for (const Entry& entry : cells[k]) rows.add(entry.series, k, entry.value);
    }
  }
  return rows.take(context, nullptr);
}

Result<StreamPtr> limit_count(Context& context, const Aggregate& aggregate,
                              const VectorStream& operand, const std::vector<std::size_t>& counts) {
  const auto table = TRY(Table::of(context, operand));
  Grouper grouper(grouping_of(aggregate));
  const std::vector<std::uint32_t> groups = grouper.add(*table);
  const std::size_t steps = table->grid().count;
  std::vector<std::size_t> taken(grouper.group_count() * steps, 0);
  ChosenRows rows(*table);
  for (std::uint32_t i = 0; i < table->size(); ++i) {
    for (std::size_t k = 0; k < steps; ++k) {
      std::size_t& count = taken[groups[i] * steps + k];
      if (is_absent(table->row(i)[k]) || count >= counts[k]) continue;
      ++count;
      rows.add(i, k, table->row(i)[k]);
    }
  }
  return rows.take(context, table->histograms());
}

Result<StreamPtr> limit_ratio(Context& context, const Aggregate& aggregate,
                              const VectorStream& operand, std::vector<double> ratios) {
  const auto table = TRY(Table::of(context, operand));
  ChosenRows rows(*table);
  if (std::all_of(ratios.begin(), ratios.end(), [](double r) { return r == 0; })) {
    return rows.take(context, table->histograms());
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
  for (std::uint32_t i = 0; i < table->size(); ++i) {
    const double share = share_of(table->labels_of(i));
    for (std::size_t k = 0; k < ratios.size(); ++k) {
      const bool is_kept = ratios[k] >= 0 ? share < ratios[k] : share >= 1 + ratios[k];
      if (is_kept && is_present(table->row(i)[k])) rows.add(i, k, table->row(i)[k]);
    }
  }
  return rows.take(context, table->histograms());
}

}  // namespace

Result<StreamPtr> select_elements(Context& context, const Aggregate& aggregate, StreamPtr operand,
                                  const std::vector<double>& parameter) {
  if (aggregate.op == AggregateOp::kLimitRatio) {
    return limit_ratio(context, aggregate, *operand, parameter);
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
