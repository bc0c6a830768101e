#include "query/parse/function_table.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace tarsier::query {

namespace {

constexpr ValueType kS = ValueType::kScalar;
constexpr ValueType kT = ValueType::kString;
constexpr ValueType kV = ValueType::kVector;
constexpr ValueType kM = ValueType::kMatrix;
constexpr std::uint8_t kMany = FunctionSignature::kUnlimitedArguments;

// Argument lists, named by their types in order.
constexpr std::array kArgsV = {kV};
constexpr std::array kArgsM = {kM};
constexpr std::array kArgsS = {kS};
constexpr std::array kArgsSS = {kS, kS};
constexpr std::array kArgsVS = {kV, kS};
constexpr std::array kArgsVSS = {kV, kS, kS};
constexpr std::array kArgsVT = {kV, kT};
constexpr std::array kArgsVTS = {kV, kT, kS};
constexpr std::array kArgsVTTT = {kV, kT, kT, kT};
constexpr std::array kArgsVTTTT = {kV, kT, kT, kT, kT};
constexpr std::array kArgsVV = {kV, kV};
constexpr std::array kArgsSV = {kS, kV};
constexpr std::array kArgsSSV = {kS, kS, kV};
constexpr std::array kArgsSM = {kS, kM};
constexpr std::array kArgsMS = {kM, kS};
constexpr std::array kArgsMSS = {kM, kS, kS};

enum class Stability : std::uint8_t { kStable, kExperimental };

template <std::size_t N>
constexpr FunctionSignature fixed(std::string_view name, FunctionId id, ValueType result,
                                  const std::array<ValueType, N>& arguments,
                                  Stability stability = Stability::kStable) {
  return {name, id, result, arguments, N, N, stability == Stability::kExperimental};
}

template <std::size_t N>
constexpr FunctionSignature variadic(std::string_view name, FunctionId id, ValueType result,
                                     const std::array<ValueType, N>& arguments,
                                     std::uint8_t count_min, std::uint8_t count_max,
                                     Stability stability = Stability::kStable) {
  return {name, id, result, arguments, count_min, count_max, stability == Stability::kExperimental};
}

constexpr FunctionSignature constant(std::string_view name, FunctionId id,
                                     Stability stability = Stability::kStable) {
  return {name, id, kS, {}, 0, 0, stability == Stability::kExperimental};
}

constexpr Stability kExp = Stability::kExperimental;
using F = FunctionId;

constexpr std::array kFunctions = {
    fixed("abs", F::kAbs, kV, kArgsV),
    fixed("absent", F::kAbsent, kV, kArgsV),
    fixed("absent_over_time", F::kAbsentOverTime, kV, kArgsM),
    fixed("acos", F::kAcos, kV, kArgsV),
    fixed("acosh", F::kAcosh, kV, kArgsV),
    fixed("asin", F::kAsin, kV, kArgsV),
    fixed("asinh", F::kAsinh, kV, kArgsV),
    fixed("atan", F::kAtan, kV, kArgsV),
    fixed("atanh", F::kAtanh, kV, kArgsV),
    fixed("avg_over_time", F::kAvgOverTime, kV, kArgsM),
    fixed("ceil", F::kCeil, kV, kArgsV),
    fixed("changes", F::kChanges, kV, kArgsM),
    fixed("clamp", F::kClamp, kV, kArgsVSS),
    fixed("clamp_max", F::kClampMax, kV, kArgsVS),
    fixed("clamp_min", F::kClampMin, kV, kArgsVS),
    fixed("cos", F::kCos, kV, kArgsV),
    fixed("cosh", F::kCosh, kV, kArgsV),
    fixed("count_over_time", F::kCountOverTime, kV, kArgsM),
    variadic("day_of_month", F::kDayOfMonth, kV, kArgsV, 0, 1),
    variadic("day_of_week", F::kDayOfWeek, kV, kArgsV, 0, 1),
    variadic("day_of_year", F::kDayOfYear, kV, kArgsV, 0, 1),
    variadic("days_in_month", F::kDaysInMonth, kV, kArgsV, 0, 1),
    fixed("deg", F::kDeg, kV, kArgsV),
    fixed("delta", F::kDelta, kV, kArgsM),
    fixed("deriv", F::kDeriv, kV, kArgsM),
    fixed("double_exponential_smoothing", F::kDoubleExponentialSmoothing, kV, kArgsMSS, kExp),
    constant("end", F::kEnd, kExp),
    fixed("exp", F::kExp, kV, kArgsV),
    fixed("first_over_time", F::kFirstOverTime, kV, kArgsM),
    fixed("floor", F::kFloor, kV, kArgsV),
    fixed("histogram_avg", F::kHistogramAvg, kV, kArgsV),
    fixed("histogram_count", F::kHistogramCount, kV, kArgsV),
    fixed("histogram_fraction", F::kHistogramFraction, kV, kArgsSSV),
    fixed("histogram_quantile", F::kHistogramQuantile, kV, kArgsSV),
    variadic("histogram_quantiles", F::kHistogramQuantiles, kV, kArgsVTS, 3, 12, kExp),
    fixed("histogram_stddev", F::kHistogramStddev, kV, kArgsV),
    fixed("histogram_stdvar", F::kHistogramStdvar, kV, kArgsV),
    fixed("histogram_sum", F::kHistogramSum, kV, kArgsV),
    variadic("hour", F::kHour, kV, kArgsV, 0, 1),
    fixed("idelta", F::kIdelta, kV, kArgsM),
    fixed("increase", F::kIncrease, kV, kArgsM),
    variadic("info", F::kInfo, kV, kArgsVV, 1, 2, kExp),
    fixed("irate", F::kIrate, kV, kArgsM),
    variadic("label_join", F::kLabelJoin, kV, kArgsVTTT, 3, kMany),
    fixed("label_replace", F::kLabelReplace, kV, kArgsVTTTT),
    fixed("last_over_time", F::kLastOverTime, kV, kArgsM),
    fixed("ln", F::kLn, kV, kArgsV),
    fixed("log10", F::kLog10, kV, kArgsV),
    fixed("log2", F::kLog2, kV, kArgsV),
    fixed("mad_over_time", F::kMadOverTime, kV, kArgsM, kExp),
    fixed("max_of", F::kMaxOf, kS, kArgsSS, kExp),
    fixed("max_over_time", F::kMaxOverTime, kV, kArgsM),
    fixed("min_of", F::kMinOf, kS, kArgsSS, kExp),
    fixed("min_over_time", F::kMinOverTime, kV, kArgsM),
    variadic("minute", F::kMinute, kV, kArgsV, 0, 1),
    variadic("month", F::kMonth, kV, kArgsV, 0, 1),
    constant("pi", F::kPi),
    fixed("predict_linear", F::kPredictLinear, kV, kArgsMS),
    fixed("present_over_time", F::kPresentOverTime, kV, kArgsM),
    fixed("quantile_over_time", F::kQuantileOverTime, kV, kArgsSM),
    fixed("rad", F::kRad, kV, kArgsV),
    constant("range", F::kRange, kExp),
    fixed("rate", F::kRate, kV, kArgsM),
    fixed("resets", F::kResets, kV, kArgsM),
    variadic("round", F::kRound, kV, kArgsVS, 1, 2),
    fixed("scalar", F::kScalar, kS, kArgsV),
    fixed("sgn", F::kSgn, kV, kArgsV),
    fixed("sin", F::kSin, kV, kArgsV),
    fixed("sinh", F::kSinh, kV, kArgsV),
    fixed("sort", F::kSort, kV, kArgsV),
    variadic("sort_by_label", F::kSortByLabel, kV, kArgsVT, 1, kMany, kExp),
    variadic("sort_by_label_desc", F::kSortByLabelDesc, kV, kArgsVT, 1, kMany, kExp),
    fixed("sort_desc", F::kSortDesc, kV, kArgsV),
    fixed("sqrt", F::kSqrt, kV, kArgsV),
    constant("start", F::kStart, kExp),
    fixed("start_timestamp", F::kStartTimestamp, kV, kArgsV, kExp),
    fixed("stddev_over_time", F::kStddevOverTime, kV, kArgsM),
    fixed("stdvar_over_time", F::kStdvarOverTime, kV, kArgsM),
    constant("step", F::kStep, kExp),
    fixed("sum_over_time", F::kSumOverTime, kV, kArgsM),
    fixed("tan", F::kTan, kV, kArgsV),
    fixed("tanh", F::kTanh, kV, kArgsV),
    constant("time", F::kTime),
    fixed("timestamp", F::kTimestamp, kV, kArgsV),
    fixed("ts_of_first_over_time", F::kTsOfFirstOverTime, kV, kArgsM, kExp),
    fixed("ts_of_last_over_time", F::kTsOfLastOverTime, kV, kArgsM, kExp),
    fixed("ts_of_max_over_time", F::kTsOfMaxOverTime, kV, kArgsM, kExp),
    fixed("ts_of_min_over_time", F::kTsOfMinOverTime, kV, kArgsM, kExp),
    fixed("vector", F::kVector, kV, kArgsS),
    variadic("year", F::kYear, kV, kArgsV, 0, 1),
};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < kFunctions.size(); ++i) {
    if (static_cast<std::size_t>(kFunctions[i].id) != i) return false;
    if (i > 0 && kFunctions[i].name <= kFunctions[i - 1].name) return false;
  }
  return kFunctions.back().id == FunctionId::kYear;
}
static_assert(is_in_order(), "sorted by name, one entry for each FunctionId");

}  // namespace

std::string_view documented_name(ValueType type) {
  switch (type) {
    case ValueType::kScalar: return "scalar";
    case ValueType::kString: return "string";
    case ValueType::kVector: return "instant vector";
    case ValueType::kMatrix: return "range vector";
    case ValueType::kNone: break;
  }
  return "none";
}

std::string_view internal_name(ValueType type) {
  if (type == ValueType::kVector) return "vector";
  if (type == ValueType::kMatrix) return "matrix";
  return documented_name(type);
}

std::span<const FunctionSignature> all_functions() { return kFunctions; }

const FunctionSignature* find_function(std::string_view name) {
  const auto found = std::ranges::lower_bound(kFunctions, name, {}, &FunctionSignature::name);
  return found != kFunctions.end() && found->name == name ? &*found : nullptr;
}

const FunctionSignature& function_of(FunctionId id) {
  return kFunctions[static_cast<std::size_t>(id)];
}

}  // namespace tarsier::query
