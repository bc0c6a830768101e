#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"

namespace tarsier::tracing::traceql {

// The syntax tree of a TraceQL query: plain values that can be copied and compared. Made by the
// parser, written by the printer, walked by everything that evaluates.

enum class Scope : std::uint8_t { kAny, kSpan, kResource, kEvent, kLink, kInstrumentation };

enum class Intrinsic : std::uint8_t {
  kNone,
  kDuration,
  kName,
  kStatus,
  kStatusMessage,
  kKind,
  kParent,
  kSpanId,
  kParentId,
  kChildCount,
  kNestedSetLeft,
  kNestedSetRight,
  kNestedSetParent,
  kTraceDuration,
  kRootName,
  kRootService,
  kTraceId,
  kEventName,
  kEventTimeSinceStart,
  kLinkTraceId,
  kLinkSpanId,
  kInstrumentationName,
  kInstrumentationVersion,
};

/// What a field names: an intrinsic, or an attribute of a scope.
struct Attribute {
  Intrinsic intrinsic = Intrinsic::kNone;
  Scope scope = Scope::kAny;
  bool of_parent = false;  ///< The value on the parent span.
  std::string name;        ///< Empty for intrinsics.
  auto operator<=>(const Attribute&) const = default;
};

enum class StaticType : std::uint8_t {
  kNil,
  kBool,
  kInt,
  kFloat,
  kString,
  kDuration,
  kStatus,
  kKind
};

/// A literal.
struct Static {
  StaticType type = StaticType::kNil;
  std::int64_t number = 0;  ///< Bool, int, duration (ns), and the OTLP numbers of status and kind.
  double real = 0;
  std::string text;
  bool operator==(const Static&) const = default;
};

enum class Op : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kRegex,
  kNotRegex,
  kAnd,
  kOr,
  kNot,
  kNegate,
};

constexpr bool is_comparison(Op op) { return op >= Op::kEqual && op <= Op::kNotRegex; }
constexpr bool is_arithmetic(Op op) { return op <= Op::kPower; }

/// An expression that gives one value per span.
struct Field {
  enum class Kind : std::uint8_t { kStatic, kAttribute, kUnary, kBinary };
  Kind kind = Kind::kStatic;
  Static value;
  Attribute attribute;
  Op op = Op::kAdd;
  std::vector<Field> operands;
  std::optional<Regex> regex;  ///< Of =~ and !~, compiled.

  bool operator==(const Field& other) const {
    return kind == other.kind && value == other.value && attribute == other.attribute &&
           op == other.op && operands == other.operands;
  }
};

/// How two sets of spans are joined. The structural ones exist plain, as union (`&>`) and negated.
enum class Relation : std::uint8_t { kAnd, kOr, kChild, kDescendant, kParent, kAncestor, kSibling };
enum class RelationForm : std::uint8_t { kPlain, kUnion, kNegated };

struct Stage;

/// An expression that gives spans of one trace.
struct Spansets {
  enum class Kind : std::uint8_t { kFilter, kBinary, kPipeline };
  Kind kind = Kind::kFilter;
  std::optional<Field> filter;  ///< Nothing: `{}`.
  Relation relation = Relation::kAnd;
  RelationForm form = RelationForm::kPlain;
  std::vector<Spansets> operands;
  std::vector<Stage> pipeline;  ///< Of a pipeline in parentheses.
  bool operator==(const Spansets&) const;
};

enum class Aggregate : std::uint8_t { kCount, kAvg, kMax, kMin, kSum };

/// An expression that gives one number per set of spans.
struct Scalar {
  enum class Kind : std::uint8_t { kStatic, kAggregate, kNegate, kBinary, kPipeline };
  Kind kind = Kind::kStatic;
  Static value;
  Aggregate aggregate = Aggregate::kCount;
  std::optional<Field> argument;  ///< Of every aggregate but count.
  Op op = Op::kAdd;
  std::vector<Scalar> operands;  ///< Of a pipeline: the number at its end.
  std::vector<Stage> pipeline;
  bool operator==(const Scalar&) const;
};

struct Stage {
  enum class Kind : std::uint8_t { kSpansets, kScalarFilter, kBy, kCoalesce, kSelect };
  Kind kind = Kind::kSpansets;
  Spansets spansets;
  std::vector<Scalar> sides;  ///< The two sides of a scalar filter.
  Op op = Op::kEqual;         ///< Its comparison.
  std::optional<Field> by;
  std::vector<Attribute> select;
  bool operator==(const Stage&) const = default;
};

inline bool Spansets::operator==(const Spansets& other) const {
  return kind == other.kind && filter == other.filter && relation == other.relation &&
         form == other.form && operands == other.operands && pipeline == other.pipeline;
}
inline bool Scalar::operator==(const Scalar& other) const {
  return kind == other.kind && value == other.value && aggregate == other.aggregate &&
         argument == other.argument && op == other.op && operands == other.operands &&
         pipeline == other.pipeline;
}

enum class MetricsFunction : std::uint8_t {
  kRate,
  kCountOverTime,
  kMinOverTime,
  kMaxOverTime,
  kAvgOverTime,
  kSumOverTime,
  kHistogramOverTime,
  kQuantileOverTime,
  kCompare,
};

/// What is done to the series a metrics function gives.
struct SeriesStage {
  enum class Kind : std::uint8_t { kTopK, kBottomK, kFilter };
  Kind kind = Kind::kTopK;
  std::int64_t count = 0;
  Op op = Op::kGreater;
  Static threshold;
  bool operator==(const SeriesStage&) const = default;
};

/// An expression that gives time series.
struct Metrics {
  enum class Kind : std::uint8_t { kFunction, kBinary, kStatic };
  Kind kind = Kind::kFunction;
  std::vector<Stage> pipeline;
  MetricsFunction function = MetricsFunction::kRate;
  Attribute argument;
  std::vector<double> quantiles;
  std::vector<Attribute> by;
  std::optional<Spansets> selection;    ///< Of compare().
  std::vector<std::int64_t> arguments;  ///< Of compare(): topN, start, end in ns.
  Op op = Op::kAdd;
  std::vector<Metrics> operands;
  Static value;
  std::vector<SeriesStage> stages;
  bool operator==(const Metrics&) const = default;
};

struct Hint {
  std::string name;
  Static value;
  bool operator==(const Hint&) const = default;
};

/// A whole query: a pipeline for search, or metrics.
struct Query {
  std::vector<Stage> pipeline;
  std::optional<Metrics> metrics;
  std::vector<Hint> hints;
  bool operator==(const Query&) const = default;
};

/// The hint of that name, or null.
inline const Static* find_hint(const Query& query, std::string_view name) {
  for (const Hint& hint : query.hints) {
    if (hint.name == name) return &hint.value;
  }
  return nullptr;
}

}  // namespace tarsier::tracing::traceql
