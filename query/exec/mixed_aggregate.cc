#include "query/exec/mixed_aggregate.h"

#include <set>
#include <string>

#include "base/quote.h"
#include "query/exec/group_fold.h"
#include "query/exec/sum_cells.h"
#include "query/histogram/compensated.h"

namespace tarsier::query {
namespace {

/// What one group holds at one step. With both kinds it has no value, whatever comes.
template <typename Floats, typename Histograms>
struct MixedCell {
  Floats floats;
  std::unique_ptr<Histograms> histograms;  // Null until there is one.
  bool is_mixed = false;

  bool is_lost() const { return histograms != nullptr && !histograms->log().is_compatible; }
  void add(double v) {
    if (is_lost()) return;
    is_mixed = is_mixed || histograms != nullptr;
    floats.add(v);
  }
  void add(const HistogramView& h) {
    if (!floats.empty() && histograms == nullptr) {
      is_mixed = true;
      return;
    }
    if (histograms == nullptr) histograms = std::make_unique<Histograms>();
    histograms->add(h);
  }
  void merge(MixedCell& other) {
    is_mixed = is_mixed || other.is_mixed || (!floats.empty() && other.histograms != nullptr) ||
               (!other.floats.empty() && histograms != nullptr);
    floats.merge(other.floats);
    if (histograms == nullptr) {
      histograms = std::move(other.histograms);
    } else if (other.histograms != nullptr) {
      histograms->merge(*other.histograms);
    }
  }
};

template <typename Floats, typename Histograms>
class MixedRules final {
 public:
  using Cell = MixedCell<Floats, Histograms>;

  MixedRules(const VectorStream& stream, std::vector<double>& rows)
      : stream_(stream), rows_(rows), pool_(std::make_shared<HistogramPool>()) {}

  void add(Cell& cell, double v, std::uint32_t series, std::size_t) {
    if (!is_histogram(v)) {
      cell.add(v);
      return;
    }
    if (cell.is_lost()) return;
    cell.add(view_of(histogram_in(v)));
    if (!cell.is_lost()) return;
    const MutexLock lock(mutex_);
    metrics_with_mixed_buckets_.insert(std::string(stream_.label(series, tsdb::kMetricName)));
  }
  void merge(Cell& into, Cell& from, std::size_t) {
    const bool was_lost = into.is_lost() || from.is_lost();
    into.merge(from);
    if (was_lost || !into.is_lost()) return;
    const MutexLock lock(mutex_);
    metrics_with_mixed_buckets_.insert(std::string(stream_.label(0, tsdb::kMetricName)));
  }
  void finish(std::uint32_t group, std::vector<Cell>& cells) {
    const MutexLock lock(mutex_);
    for (std::size_t k = 0; k < cells.size(); ++k) {
      rows_[group * cells.size() + k] = finished(cells[k]);
    }
  }

  HistogramOwner pool() const { return pool_; }

  void tell(Annotator& annotator, SourceRange where) {
    const MutexLock lock(mutex_);
    if (has_mixed_kinds_) {
      annotator.warn("encountered a mix of histograms and floats for aggregation", where);
    }
    for (const std::string& metric : metrics_with_mixed_buckets_) {
      annotator.warn(
          "vector contains a mix of histograms with exponential and custom buckets schemas for "
          "metric name " +
              quote(metric),
          where);
    }
    if (has_collision_) {
      annotator.warn("conflicting counter resets during histogram aggregation", where);
    }
    if (is_reconciled_) {
      annotator.inform("mismatched custom buckets were reconciled during aggregation", where);
    }
  }

 private:
  double finished(const Cell& cell) REQUIRES_LOCK(mutex_) {
    if (cell.histograms != nullptr && cell.histograms->log().is_reconciled) is_reconciled_ = true;
    if (cell.is_mixed) {
      has_mixed_kinds_ = true;
      return absent_value();
    }
    if (cell.is_lost()) return absent_value();
    if (cell.histograms == nullptr) {
      return cell.floats.value();
    }
    if (cell.histograms->log().hints_collide()) has_collision_ = true;
    tsdb::FloatHistogram& result = pool_->take();
    cell.histograms->value(result);
    compact(result);
    return histogram_cell(result);
  }

  const VectorStream& stream_;
  std::vector<double>& rows_;
  Mutex mutex_;
  const std::shared_ptr<HistogramPool> pool_;  // Taken from under the lock only.
  std::set<std::string> metrics_with_mixed_buckets_ GUARDED_BY(mutex_);
  bool has_mixed_kinds_ GUARDED_BY(mutex_) = false;
  bool has_collision_ GUARDED_BY(mutex_) = false;
  bool is_reconciled_ GUARDED_BY(mutex_) = false;
};

template <typename Rules>
Result<HistogramOwner> fold(Context& context, const Aggregate& aggregate,
                            const VectorStream& stream, const std::vector<std::uint32_t>& groups,
                            std::size_t group_count, std::vector<double>& rows) {
  Rules rules(stream, rows);
  TRY(GroupFold(stream, groups, group_count, rules).run(context));
  rules.tell(context.annotator, aggregate.operand->source);
  return rules.pool();
}

}  // namespace

Result<HistogramOwner> fold_mixed(Context& context, const Aggregate& aggregate,
                                  const VectorStream& stream,
                                  const std::vector<std::uint32_t>& groups, std::size_t group_count,
                                  std::vector<double>& rows) {
  if (aggregate.op == AggregateOp::kSum) {
    return fold<MixedRules<SumCell, HistogramSum>>(context, aggregate, stream, groups, group_count,
                                                   rows);
  }
  return fold<MixedRules<AvgCell, HistogramMean>>(context, aggregate, stream, groups, group_count,
                                                  rows);
}

}  // namespace tarsier::query
