#include "query/exec/aggregate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/number_text.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "query/exec/annotator.h"
#include "query/exec/group_fold.h"
#include "query/exec/grouper.h"
#include "query/exec/histogram_streams.h"
#include "query/exec/mixed_aggregate.h"
#include "query/exec/sum_cells.h"
#include "query/functions/compensated.h"
#include "query/functions/numbers.h"
#include "query/functions/quantile.h"
#include "query/histogram/text.h"

namespace tarsier::query {
namespace {

// What one group holds at one step, per operation: `add` a value, `merge` what came after, `value`.
// An untouched cell is a group without elements at that step.

template <bool is_min>
struct ExtremeCell {
  double best = absent_value();
  void add(double v) {
    if (is_absent(best) || std::isnan(best) || (is_min ? v < best : v > best)) best = v;
  }
  void merge(const ExtremeCell& other) {
    if (is_present(other.best)) add(other.best);
  }
  double value() const { return best; }
};

struct CountCell {
  std::uint64_t count = 0;
  void add(double) { ++count; }
  void merge(const CountCell& other) { count += other.count; }
  double value() const { return count == 0 ? absent_value() : static_cast<double>(count); }
};

struct GroupCell : CountCell {
  double value() const { return count == 0 ? absent_value() : 1; }
};

struct StdvarCell {
  Deviations deviations;
  void add(double v) { deviations.add(v); }
  void merge(const StdvarCell& other) { deviations.merge(other.deviations); }
  double value() const { return deviations.count == 0 ? absent_value() : deviations.variance(); }
};

struct StddevCell : StdvarCell {
  double value() const {
    return deviations.count == 0 ? absent_value() : std::sqrt(deviations.variance());
  }
};

/// Writes the value of each cell into the group's row.
template <typename CellType>
struct RowRules {
  using Cell = CellType;
  RowRules(std::vector<double>& rows_, std::size_t steps_) : rows(rows_), steps(steps_) {}
  void add(Cell& cell, double v, std::uint32_t, std::size_t) const { cell.add(v); }
  void merge(Cell& into, const Cell& from, std::size_t) const { into.merge(from); }
  void finish(std::uint32_t group, std::vector<Cell>& cells) {
    for (std::size_t k = 0; k < steps; ++k) rows[group * steps + k] = cells[k].value();
  }
  std::vector<double>& rows;
  const std::size_t steps;
};

struct QuantileRules {
  using Cell = std::vector<double>;
  QuantileRules(std::vector<double>& rows_, const std::vector<double>& phi_)
      : rows(rows_), phi(phi_) {}
  void add(Cell& cell, double v, std::uint32_t, std::size_t) const { cell.push_back(v); }
  void merge(Cell& into, const Cell& from, std::size_t) const {
    into.insert(into.end(), from.begin(), from.end());
  }
  void finish(std::uint32_t group, std::vector<Cell>& cells) {
    for (std::size_t k = 0; k < cells.size(); ++k) {
      if (!cells[k].empty()) rows[group * cells.size() + k] = quantile_of(phi[k], cells[k]);
    }
  }
  std::vector<double>& rows;
  const std::vector<double>& phi;
};

template <typename Cell>
Status fold_rows(Context& context, const VectorStream& stream,
                 const std::vector<std::uint32_t>& groups, std::size_t group_count,
                 std::vector<double>& rows) {
  RowRules<Cell> rules(rows, stream.grid().count);
  return GroupFold(stream, groups, group_count, rules).run(context);
}

Status fold_operation(Context& context, const Aggregate& aggregate, const VectorStream& stream,
                      const std::vector<std::uint32_t>& groups, std::size_t group_count,
                      const std::vector<double>& parameter, std::vector<double>& rows) {
  switch (aggregate.op) {
    case AggregateOp::kSum: return fold_rows<SumCell>(context, stream, groups, group_count, rows);
    case AggregateOp::kAvg: return fold_rows<AvgCell>(context, stream, groups, group_count, rows);
    case AggregateOp::kMin:
      return fold_rows<ExtremeCell<true>>(context, stream, groups, group_count, rows);
    case AggregateOp::kMax:
      return fold_rows<ExtremeCell<false>>(context, stream, groups, group_count, rows);
    case AggregateOp::kCount:
      return fold_rows<CountCell>(context, stream, groups, group_count, rows);
    case AggregateOp::kGroup:
      return fold_rows<GroupCell>(context, stream, groups, group_count, rows);
    case AggregateOp::kStddev:
      return fold_rows<StddevCell>(context, stream, groups, group_count, rows);
    case AggregateOp::kStdvar:
      return fold_rows<StdvarCell>(context, stream, groups, group_count, rows);
    case AggregateOp::kQuantile: {
      QuantileRules rules(rows, parameter);
      return GroupFold(stream, groups, group_count, rules).run(context);
    }
    default: break;
  }
  CHECK(false, "not a folding aggregation: " + std::string(text_of(aggregate.op)));
  return {};
}

void warn_of_bad_quantile(Context& context, const Aggregate& aggregate,
                          const std::vector<double>& phi) {
  // Looked at when the operand is there.
  const SourceRange where{aggregate.parameter->source.begin, aggregate.source.end};
  const auto warn = [&](double v) {
    context.annotator.warn("quantile value should be between 0 and 1, got " + short_number(v),
                           where);
  };
  double min = 0;
  double max = 1;
  bool has_nan = false;
  for (const double v : phi) {
    has_nan = has_nan || std::isnan(v);
    if (v < min) min = v;
    if (v > max) max = v;
  }
  if (has_nan) warn(normal_nan());
  if (max > 1) warn(max);
  if (min < 0) warn(min);
}

}  // namespace

namespace {

bool is_of_both_kinds(AggregateOp op) {
  return op == AggregateOp::kSum || op == AggregateOp::kAvg || op == AggregateOp::kCount ||
         op == AggregateOp::kGroup;
}

}  // namespace

Result<StreamPtr> aggregate(Context& context, const Aggregate& aggregate, StreamPtr operand,
                            const std::vector<double>& parameter) {
  if (aggregate.op == AggregateOp::kQuantile) warn_of_bad_quantile(context, aggregate, parameter);
  if (!is_of_both_kinds(aggregate.op)) {
    operand =
        only_floats(context, std::move(operand),
                    "ignored histogram in " + std::string(text_of(aggregate.op)) + " aggregation",
                    aggregate.operand->source);
  }
  const bool adds_histograms =
      operand->may_have_histograms() &&
      (aggregate.op == AggregateOp::kSum || aggregate.op == AggregateOp::kAvg);
  Grouper grouper(context, grouping_of(aggregate));
  const std::vector<std::uint32_t> groups = TRY(grouper.add(*operand));
  TRY(context.check_dense(grouper.group_count(), operand->grid().count));
  std::optional<MemoryLoan> loan(std::in_place, context.memory);
  TRY(loan->grow(grouper.group_count() * operand->grid().count * sizeof(double)));
  if (aggregate.op == AggregateOp::kQuantile) {
    // It must see all values of a group before it can tell any.
    TRY(context.check_dense(operand->size(), operand->grid().count));
    TRY(loan->grow(operand->size() * operand->grid().count * sizeof(double)));
  }
  std::vector<double> rows(grouper.group_count() * operand->grid().count, absent_value());
  HistogramOwner histograms;
  if (adds_histograms) {
    histograms = TRY(fold_mixed(context, aggregate, *operand, groups, grouper.group_count(), rows));
  } else {
    TRY(fold_operation(context, aggregate, *operand, groups, grouper.group_count(), parameter,
                       rows));
  }
  loan.reset();  // The table takes it over.
  std::vector<Table::Series> series(grouper.group_count());
  for (std::size_t g = 0; g < series.size(); ++g) series[g].labels = grouper.labels(g);
  if (context.options.delayed_name_removal) {
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (operand->drops_name(i)) series[groups[i]].drops_name = true;
    }
  }
  return StreamPtr(TRY(Table::create(context, operand->grid(), std::move(series), std::move(rows),
                                     std::move(histograms))));
}

Result<StreamPtr> count_values(Context& context, const Aggregate& aggregate, StreamPtr operand,
                               const std::string& label) {
  if (label.empty() || !is_valid_utf8(label)) {
    return invalid("invalid label name " + quote(label));
  }
  const auto table = TRY(Table::of(context, *operand));
  const std::size_t steps = table->grid().count;
  GroupBy by = grouping_of(aggregate);
  if (!aggregate.without) by.labels.push_back(label);
  const auto keeps = [&](std::string_view name) {
    const bool is_listed = std::find(by.labels.begin(), by.labels.end(), name) != by.labels.end();
    return is_listed == (by.kind == GroupBy::Kind::kOnly);
  };
  std::map<tsdb::Labels, std::size_t> positions;
  std::optional<MemoryLoan> loan(std::in_place, context.memory);
  std::vector<Table::Series> series;
  std::vector<double> rows;
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < table->size(); ++i) {
    builder.reset(tsdb::Labels());
    for (const tsdb::LabelView& l : table->labels_of(i)) {
      if (keeps(l.name)) builder.set(l.name, l.value);
    }
    for (std::size_t k = 0; k < steps; ++k) {
      const double v = table->row(i)[k];
      if (is_absent(v)) continue;
      if (keeps(label)) {
        builder.set(label,
                    is_histogram(v) ? histogram_text(view_of(histogram_in(v))) : plain_number(v));
      }
      const auto [it, is_new] = positions.try_emplace(builder.build(), series.size());
      if (is_new) {
        TRY(context.check_dense(series.size() + 1, steps));
        TRY(loan->grow(2 * bytes_of(it->first) + steps * sizeof(double)));
        series.push_back({it->first, false});
        rows.resize(rows.size() + steps, absent_value());
      }
      double& count = rows[it->second * steps + k];
      count = is_absent(count) ? 1 : count + 1;
    }
  }
  loan.reset();
  return StreamPtr(TRY(Table::create(context, table->grid(), std::move(series), std::move(rows))));
}

}  // namespace tarsier::query
