#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/number_text.h"
#include "query/exec/classic_histogram_stream.h"
#include "query/exec/evaluator.h"
#include "query/exec/histogram_streams.h"
#include "query/exec/relabel.h"
#include "query/exec/simple_streams.h"
#include "query/histogram/statistics.h"

namespace tarsier::query {
namespace {

/// What histogram_count and its like say of one histogram.
HistogramNumber histogram_number(FunctionId function) {
  switch (function) {
    case FunctionId::kHistogramCount: return [](const HistogramView& h) { return h.count; };
    case FunctionId::kHistogramSum: return [](const HistogramView& h) { return h.sum; };
    case FunctionId::kHistogramAvg: return [](const HistogramView& h) { return h.sum / h.count; };
    case FunctionId::kHistogramStddev:
      return [](const HistogramView& h) { return std::sqrt(histogram_variance(h)); };
    default: return histogram_variance;
  }
}

/// φ as the value of a label: "0.5", "1.0", "+Inf".
std::string quantile_label(double phi) {
  std::string text = short_number(phi);
  const bool is_integer = text.find_first_of(".eIN") == std::string::npos;
  return is_integer ? text + ".0" : text;
}

/// The place of a quantile, which is looked at when all arguments of the call are there.
SourceRange quantile_source(const Call& call, const Expr& phi) {
  return {without_parens(phi).source.begin, call.source.end};
}

/// Appends the series of `table` with `label` telling the quantile of each step.
Status add_quantile(const Context& context, const Table& table, const std::string& label,
                    const std::vector<double>& phi, std::vector<Table::Series>& series,
                    std::vector<double>& rows) {
  const std::size_t steps = phi.size();
  std::map<std::string, std::vector<std::size_t>> steps_of;
  for (std::size_t k = 0; k < steps; ++k) steps_of[quantile_label(phi[k])].push_back(k);
  TRY(context.check_dense(series.size() + steps_of.size() * table.size(), steps));
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (const auto& [value, own_steps] : steps_of) {
      builder.reset(table.labels_of(i));
      builder.set(label, value);
      series.push_back({builder.build(), table.drops_name(i)});
      rows.resize(rows.size() + steps, absent_value());
      double* const row = rows.data() + rows.size() - steps;
      for (const std::size_t k : own_steps) row[k] = table.row(i)[k];
    }
  }
  return {};
}

}  // namespace

void Evaluator::warn_of_bad_quantiles(const std::vector<double>& phi, SourceRange where) {
  for (const double v : phi) {
    if (v >= 0 && v <= 1) continue;
    context_.annotator.warn("quantile value should be between 0 and 1, got " + short_number(v),
                            where);
  }
}

Result<StreamPtr> Evaluator::histogram_number_call(const Call& call, const Grid& grid) {
  StreamPtr operand = TRY(vector(*call.arguments[0], grid));
  if (!operand->may_have_histograms()) return no_series(grid);
  StreamPtr numbers = histogram_numbers(std::move(operand), histogram_number(call.function.id));
  if (context_.options.delayed_name_removal) {
    return drop_names(context_, std::move(numbers), OnEqual::kMerge);
  }
  // Unlike other functions these keep type and unit.
  return drop_metric_names(context_, std::move(numbers));
}

Result<StreamPtr> Evaluator::histogram_call(const Call& call, const Grid& grid) {
  HistogramQuestion question;
  const Expr& buckets = *call.arguments.back();
  question.buckets_source = buckets.source;
  question.first = TRY(scalar(*call.arguments[0], grid));
  if (call.function.id == FunctionId::kHistogramFraction) {
    question.kind = HistogramQuestion::Kind::kFraction;
    question.second = TRY(scalar(*call.arguments[1], grid));
  }
  StreamPtr operand = TRY(vector(buckets, grid));
  if (call.function.id == FunctionId::kHistogramQuantile) {
    warn_of_bad_quantiles(question.first, quantile_source(call, *call.arguments[0]));
  }
  StreamPtr histograms = TRY(ask_histograms(context_, std::move(operand), std::move(question)));
  return drop_names(context_, std::move(histograms), OnEqual::kMerge);
}

Result<StreamPtr> Evaluator::histogram_quantiles_call(const Call& call, const Grid& grid) {
  const Expr& buckets = *call.arguments[0];
  const std::string& label = string_of(*call.arguments[1]);
  std::vector<Table::Series> series;
  std::vector<double> rows;
  for (std::size_t q = 2; q < call.arguments.size(); ++q) {
    HistogramQuestion question;
    question.buckets_source = buckets.source;
    question.first = TRY(scalar(*call.arguments[q], grid));
    const std::vector<double> phi = question.first;
    StreamPtr operand = TRY(vector(buckets, grid));
    warn_of_bad_quantiles(question.first, quantile_source(call, *call.arguments[q]));
    StreamPtr histograms = TRY(ask_histograms(context_, std::move(operand), std::move(question)));
    const StreamPtr named = TRY(drop_names(context_, std::move(histograms), OnEqual::kMerge));
    const auto table = TRY(Table::of(context_, *named));
    TRY(add_quantile(context_, *table, label, phi, series, rows));
  }
  StreamPtr all = TRY(Table::create(context_, grid, std::move(series), std::move(rows)));
  return resolve_equal(context_, std::move(all), OnEqual::kMerge);
}

}  // namespace tarsier::query
