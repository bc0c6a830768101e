#include "query/functions/elementwise.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "query/exec/row.h"
#include "query/functions/date.h"
#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

template <auto function>
void map(double* row, std::size_t count, const double*, const double*) {
  for (std::size_t k = 0; k < count; ++k) {
    const double v = row[k];
    row[k] = is_absent(v) ? v : function(v);
  }
}

template <FunctionId part>
void map_date(double* row, std::size_t count, const double*, const double*) {
  for (std::size_t k = 0; k < count; ++k) {
    if (is_present(row[k])) row[k] = date_part(part, row[k]);
  }
}

double sign(double v) { return v < 0 ? -1 : v > 0 ? 1 : v; }
double degrees(double v) { return v * 180 / std::numbers::pi; }
double radians(double v) { return v * std::numbers::pi / 180; }

/// Multiplies by the inverse, as Prometheus does: halves go up.
void round(double* row, std::size_t count, const double* to_nearest, const double*) {
  for (std::size_t k = 0; k < count; ++k) {
    if (is_absent(row[k])) continue;
    const double inverse = 1 / (to_nearest == nullptr ? 1.0 : to_nearest[k]);
    row[k] = std::floor(row[k] * inverse + 0.5) / inverse;
  }
}

void clamp(double* row, std::size_t count, const double* min, const double* max) {
  for (std::size_t k = 0; k < count; ++k) {
    if (is_absent(row[k])) continue;
    row[k] = max[k] < min[k] ? absent_value() : go_max(min[k], go_min(max[k], row[k]));
  }
}

void clamp_min(double* row, std::size_t count, const double* min, const double*) {
  for (std::size_t k = 0; k < count; ++k) {
    if (is_present(row[k])) {
      row[k] = go_max(min[k], go_min(std::numeric_limits<double>::infinity(), row[k]));
    }
  }
}

void clamp_max(double* row, std::size_t count, const double* max, const double*) {
  for (std::size_t k = 0; k < count; ++k) {
    if (is_present(row[k])) {
      row[k] = go_max(-std::numeric_limits<double>::infinity(), go_min(max[k], row[k]));
    }
  }
}

}  // namespace

ElementKernel element_kernel(FunctionId function) {
  using Function = double (*)(double);
  switch (function) {
    case FunctionId::kAbs: return map<Function(std::fabs)>;
    case FunctionId::kCeil: return map<Function(std::ceil)>;
    case FunctionId::kFloor: return map<Function(std::floor)>;
    case FunctionId::kExp: return map<Function(std::exp)>;
    case FunctionId::kSqrt: return map<Function(std::sqrt)>;
    case FunctionId::kLn: return map<Function(std::log)>;
    case FunctionId::kLog2: return map<Function(std::log2)>;
    case FunctionId::kLog10: return map<Function(std::log10)>;
    case FunctionId::kSgn: return map<sign>;
    case FunctionId::kSin: return map<Function(std::sin)>;
    case FunctionId::kCos: return map<Function(std::cos)>;
    case FunctionId::kTan: return map<Function(std::tan)>;
    case FunctionId::kAsin: return map<Function(std::asin)>;
    case FunctionId::kAcos: return map<Function(std::acos)>;
    case FunctionId::kAtan: return map<Function(std::atan)>;
    case FunctionId::kSinh: return map<Function(std::sinh)>;
    case FunctionId::kCosh: return map<Function(std::cosh)>;
    case FunctionId::kTanh: return map<Function(std::tanh)>;
    case FunctionId::kAsinh: return map<Function(std::asinh)>;
    case FunctionId::kAcosh: return map<Function(std::acosh)>;
    case FunctionId::kAtanh: return map<Function(std::atanh)>;
    case FunctionId::kDeg: return map<degrees>;
    case FunctionId::kRad: return map<radians>;
    case FunctionId::kRound: return round;
    case FunctionId::kClamp: return clamp;
    case FunctionId::kClampMin: return clamp_min;
    case FunctionId::kClampMax: return clamp_max;
    case FunctionId::kYear: return map_date<FunctionId::kYear>;
    case FunctionId::kMonth: return map_date<FunctionId::kMonth>;
    case FunctionId::kDayOfMonth: return map_date<FunctionId::kDayOfMonth>;
    case FunctionId::kDayOfWeek: return map_date<FunctionId::kDayOfWeek>;
    case FunctionId::kDayOfYear: return map_date<FunctionId::kDayOfYear>;
    case FunctionId::kDaysInMonth: return map_date<FunctionId::kDaysInMonth>;
    case FunctionId::kHour: return map_date<FunctionId::kHour>;
    case FunctionId::kMinute: return map_date<FunctionId::kMinute>;
    default: return nullptr;
  }
}

}  // namespace tarsier::query
