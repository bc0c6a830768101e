#include "query/exec/cell_operator.h"

#include "query/histogram/arithmetic.h"
#include "query/histogram/trim.h"

namespace tarsier::query {
namespace {

bool is_equality(BinaryOp op) { return op == BinaryOp::kEqual || op == BinaryOp::kNotEqual; }

}  // namespace

CellOperator::CellOperator(Context& context, const Binary& binary, Comparison comparison)
    : context_(context),
      op_(binary.op),
      where_(binary.source),
      comparison_(comparison),
      kernel_(is_trim(op_) ? nullptr : binary_kernel(op_, comparison)) {}

CellOperator::~CellOperator() {
  const MutexLock lock(mutex_);
  for (const Last& last : last_) tell(last.remark);
}

CellOperator::Outcome CellOperator::apply(double left, double right, Place place,
                                          HistogramPool& pool) {
  const bool left_is_histogram = is_histogram(left);
  const bool right_is_histogram = is_histogram(right);
  if (!left_is_histogram && !right_is_histogram) {
    if (kernel_ == nullptr) return refuse(Remark::kFloatFloat, place);
    double cell = 0;
    kernel_(&left, &right, 1, &cell);
    return {cell, false};
  }
  if (left_is_histogram && right_is_histogram) return combine(left, right, place, pool);
  if (!left_is_histogram) {
    if (op_ != BinaryOp::kMultiply) return refuse(Remark::kFloatHistogram, place);
    return with_histogram(histogram_in(right), left, pool);
  }
  if (op_ != BinaryOp::kMultiply && op_ != BinaryOp::kDivide && !is_trim(op_)) {
    return refuse(Remark::kHistogramFloat, place);
  }
  return with_histogram(histogram_in(left), right, pool);
}

CellOperator::Outcome CellOperator::with_histogram(const tsdb::FloatHistogram& h, double factor,
                                                   HistogramPool& pool) const {
  tsdb::FloatHistogram& result = pool.take();
  assign(result, view_of(h));
  if (op_ == BinaryOp::kTrimUpper) {
    trim(result, factor, TrimSide::kKeepBelow);
  } else if (op_ == BinaryOp::kTrimLower) {
    trim(result, factor, TrimSide::kKeepAbove);
  } else {
    op_ == BinaryOp::kMultiply ? multiply(result, factor) : divide(result, factor);
    compact(result);
  }
  return {histogram_cell(result), false};
}

CellOperator::Outcome CellOperator::combine(double left, double right, Place place,
                                            HistogramPool& pool) {
  const HistogramView l = view_of(histogram_in(left));
  const HistogramView r = view_of(histogram_in(right));
  if (is_equality(op_)) {
    const bool holds = is_equal(l, r) == (op_ == BinaryOp::kEqual);
    if (comparison_ == Comparison::kBool) return {holds ? 1.0 : 0.0, false};
    return {holds ? left : absent_value(), false};
  }
  if (op_ != BinaryOp::kAdd && op_ != BinaryOp::kSubtract) {
    return refuse(Remark::kHistogramHistogram, place);
  }
  tsdb::FloatHistogram& result = pool.take();
  assign(result, l);
  const Combination combination = op_ == BinaryOp::kAdd ? add(result, r) : subtract(result, r);
  if (!combination.is_compatible) return refuse(Remark::kLayouts, place);
  if (combination.hints_collide) return refuse(Remark::kCollision, place);
  if (combination.is_reconciled) remember(Remark::kReconciled, place);
  if (op_ == BinaryOp::kSubtract) result.hint = tsdb::CounterResetHint::kGauge;
  compact(result);
  return {histogram_cell(result), false};
}

CellOperator::Outcome CellOperator::refuse(Remark remark, Place place) {
  remember(remark, place);
  return {absent_value(), true};
}

void CellOperator::remember(Remark remark, Place place) {
  const MutexLock lock(mutex_);
  if (last_.size() <= place.step) last_.resize(place.step + 1);
  Last& last = last_[place.step];
  if (last.remark == Remark::kNone || place.order >= last.order) last = {place.order, remark};
}

void CellOperator::tell(Remark remark) const {
  const std::string op(text_of(op_));
  const auto types = [&](const char* left, const char* right) {
    context_.annotator.inform("incompatible sample types encountered for binary operator \"" + op +
                                  "\": " + left + " " + op + " " + right,
                              where_);
  };
  const std::string verb = op_ == BinaryOp::kAdd ? "addition" : "subtraction";
  switch (remark) {
    case Remark::kNone: break;
    case Remark::kFloatFloat: types("float", "float"); break;
    case Remark::kFloatHistogram: types("float", "histogram"); break;
    case Remark::kHistogramFloat: types("histogram", "float"); break;
    case Remark::kHistogramHistogram: types("histogram", "histogram"); break;
    case Remark::kLayouts:
      context_.annotator.warn("incompatible bucket layout encountered for binary operator " + op,
                              where_);
      break;
    case Remark::kCollision:
      context_.annotator.warn("conflicting counter resets during histogram " + verb, where_);
      break;
    case Remark::kReconciled:
      context_.annotator.inform("mismatched custom buckets were reconciled during " + verb, where_);
      break;
  }
}

}  // namespace tarsier::query
