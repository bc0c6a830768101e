#include "query/exec/binary_kernels.h"

#include <cmath>

#include "query/exec/row.h"

namespace tarsier::query {
namespace {

template <typename Op>
void arithmetic(const double* left, const double* right, std::size_t count, double* out) {
  for (std::size_t k = 0; k < count; ++k) {
    const double l = left[k];
    const double r = right[k];
    const double v = Op{}(l, r);
    out[k] = is_absent(l) || is_absent(r) ? absent_value() : v;
  }
}

template <typename Op, Comparison kind>
void compare(const double* left, const double* right, std::size_t count, double* out) {
  for (std::size_t k = 0; k < count; ++k) {
    const double l = left[k];
    const double r = right[k];
    const bool holds = Op{}(l, r);
    if (is_absent(l) || is_absent(r)) {
      out[k] = absent_value();
    } else if constexpr (kind == Comparison::kBool) {
      out[k] = holds ? 1 : 0;
    } else {
      out[k] = !holds ? absent_value() : kind == Comparison::kKeepLeft ? l : r;
    }
  }
}

template <typename Op>
BinaryKernel comparison_of(Comparison kind) {
  switch (kind) {
    case Comparison::kKeepLeft: return compare<Op, Comparison::kKeepLeft>;
    case Comparison::kKeepRight: return compare<Op, Comparison::kKeepRight>;
    case Comparison::kBool: return compare<Op, Comparison::kBool>;
  }
  return nullptr;
}

struct Add {
  double operator()(double l, double r) const { return l + r; }
};
struct Subtract {
  double operator()(double l, double r) const { return l - r; }
};
struct Multiply {
  double operator()(double l, double r) const { return l * r; }
};
struct Divide {
  double operator()(double l, double r) const { return l / r; }
};
struct Modulo {
  double operator()(double l, double r) const { return std::fmod(l, r); }
};
struct Power {
  double operator()(double l, double r) const { return std::pow(l, r); }
};
struct Atan2 {
  double operator()(double l, double r) const { return std::atan2(l, r); }
};
struct Equal {
  bool operator()(double l, double r) const { return l == r; }
};
struct NotEqual {
  bool operator()(double l, double r) const { return l != r; }
};
struct Less {
  bool operator()(double l, double r) const { return l < r; }
};
struct LessEqual {
  bool operator()(double l, double r) const { return l <= r; }
};
struct Greater {
  bool operator()(double l, double r) const { return l > r; }
};
struct GreaterEqual {
  bool operator()(double l, double r) const { return l >= r; }
};

}  // namespace

BinaryKernel binary_kernel(BinaryOp op, Comparison comparison) {
  switch (op) {
    case BinaryOp::kAdd: return arithmetic<Add>;
    case BinaryOp::kSubtract: return arithmetic<Subtract>;
    case BinaryOp::kMultiply: return arithmetic<Multiply>;
    case BinaryOp::kDivide: return arithmetic<Divide>;
    case BinaryOp::kModulo: return arithmetic<Modulo>;
    case BinaryOp::kPower: return arithmetic<Power>;
    case BinaryOp::kAtan2: return arithmetic<Atan2>;
    case BinaryOp::kEqual: return comparison_of<Equal>(comparison);
    case BinaryOp::kNotEqual: return comparison_of<NotEqual>(comparison);
    case BinaryOp::kLess: return comparison_of<Less>(comparison);
    case BinaryOp::kLessEqual: return comparison_of<LessEqual>(comparison);
    case BinaryOp::kGreater: return comparison_of<Greater>(comparison);
    case BinaryOp::kGreaterEqual: return comparison_of<GreaterEqual>(comparison);
    default: break;
  }
  CHECK(false, "no kernel for operator " + std::string(text_of(op)));
  return nullptr;
}

}  // namespace tarsier::query
