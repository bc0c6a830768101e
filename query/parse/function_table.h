#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tarsier::query {

enum class ValueType : std::uint8_t { kNone, kScalar, kString, kVector, kMatrix };
/// As the documentation says it: "scalar", "string", "instant vector", "range vector".
std::string_view documented_name(ValueType type);
/// As the code base of Prometheus says it: "scalar", "string", "vector", "matrix".
std::string_view internal_name(ValueType type);

/// Every function of PromQL, so that the executor can switch instead of compare names.
enum class FunctionId : std::uint8_t {
  kAbs,
  kAbsent,
  kAbsentOverTime,
  kAcos,
  kAcosh,
  kAsin,
  kAsinh,
  kAtan,
  kAtanh,
  kAvgOverTime,
  kCeil,
  kChanges,
  kClamp,
  kClampMax,
  kClampMin,
  kCos,
  kCosh,
  kCountOverTime,
  kDayOfMonth,
  kDayOfWeek,
  kDayOfYear,
  kDaysInMonth,
  kDeg,
  kDelta,
  kDeriv,
  kDoubleExponentialSmoothing,
  kEnd,
  kExp,
  kFirstOverTime,
  kFloor,
  kHistogramAvg,
  kHistogramCount,
  kHistogramFraction,
  kHistogramQuantile,
  kHistogramQuantiles,
  kHistogramStddev,
  kHistogramStdvar,
  kHistogramSum,
  kHour,
  kIdelta,
  kIncrease,
  kInfo,
  kIrate,
  kLabelJoin,
  kLabelReplace,
  kLastOverTime,
  kLn,
  kLog10,
  kLog2,
  kMadOverTime,
  kMaxOf,
  kMaxOverTime,
  kMinOf,
  kMinOverTime,
  kMinute,
  kMonth,
  kPi,
  kPredictLinear,
  kPresentOverTime,
  kQuantileOverTime,
  kRad,
  kRange,
  kRate,
  kResets,
  kRound,
  kScalar,
  kSgn,
  kSin,
  kSinh,
  kSort,
  kSortByLabel,
  kSortByLabelDesc,
  kSortDesc,
  kSqrt,
  kStart,
  kStartTimestamp,
  kStddevOverTime,
  kStdvarOverTime,
  kStep,
  kSumOverTime,
  kTan,
  kTanh,
  kTime,
  kTimestamp,
  kTsOfFirstOverTime,
  kTsOfLastOverTime,
  kTsOfMaxOverTime,
  kTsOfMinOverTime,
  kVector,
  kYear,
};

/// What a function takes and gives. The type checker and the executor share the one table.
struct FunctionSignature {
  std::string_view name;
  FunctionId id;
  ValueType return_type;
  /// Types of the arguments; where more may be given than there are types, the last one repeats.
  std::span<const ValueType> argument_types;
  std::uint8_t argument_count_min;
  std::uint8_t argument_count_max;  ///< kUnlimitedArguments: no upper bound.
  bool experimental;

  static constexpr std::uint8_t kUnlimitedArguments = 255;
  /// REQUIRES: below argument_count_max.
  ValueType argument_type(std::size_t i) const {
    return argument_types[i < argument_types.size() ? i : argument_types.size() - 1];
  }
};

/// All functions, sorted by name; the position of one is its FunctionId.
std::span<const FunctionSignature> all_functions();
/// Null if there is none of that name (names are case-sensitive).
const FunctionSignature* find_function(std::string_view name);
const FunctionSignature& function_of(FunctionId id);

}  // namespace tarsier::query
