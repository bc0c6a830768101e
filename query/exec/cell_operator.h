#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "query/exec/binary_kernels.h"
#include "query/exec/context.h"
#include "query/exec/histogram_pool.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// An operator between two cells, each of which may be a number or a histogram: what rows with
/// histograms are combined by, cell by cell. Tells at its end what did not go together; of several
/// such elements of one step only the last, as the language has it. Any number of threads; the
/// context must outlive it.
class CellOperator final {
 public:
  CellOperator(Context& context, const Binary& binary, Comparison comparison);
  ~CellOperator();
  CellOperator(const CellOperator&) = delete;
  CellOperator& operator=(const CellOperator&) = delete;

  /// Where an element stands: which step, and how many are before it there.
  struct Place {
    std::size_t step;
    std::uint64_t order;
  };
  struct Outcome {
    double cell;
    bool is_refused;  ///< The two do not go together: there is no element, rather than no result.
  };
  /// REQUIRES: both are present.
  Outcome apply(double left, double right, Place place, HistogramPool& pool);

 private:
  enum class Remark : unsigned char {
    kNone,
    kFloatFloat,
    kFloatHistogram,
    kHistogramFloat,
    kHistogramHistogram,
    kLayouts,
    kCollision,
    kReconciled,
  };
  Outcome refuse(Remark remark, Place place);
  Outcome with_histogram(const tsdb::FloatHistogram& h, double factor, HistogramPool& pool) const;
  Outcome combine(double left, double right, Place place, HistogramPool& pool);
  void remember(Remark remark, Place place);
  void tell(Remark remark) const;

  Context& context_;
  const BinaryOp op_;
  const SourceRange where_;
  const Comparison comparison_;
  const BinaryKernel kernel_;  // Null for trim operators.

  struct Last {
    std::uint64_t order = 0;
    Remark remark = Remark::kNone;
  };
  Mutex mutex_;
  std::vector<Last> last_ GUARDED_BY(mutex_);  // Per step.
};

/// Whether rows need to be combined by cells rather than by kernels.
inline bool needs_cells(BinaryOp op, bool may_have_histograms) {
  return may_have_histograms || is_trim(op);
}

}  // namespace tarsier::query
