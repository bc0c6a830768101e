#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/time.h"
#include "query/parse/function_table.h"
#include "tsdb/matcher.h"

namespace tarsier::query {

// The tree a PromQL query is parsed into. Nodes are plain structs below one base with a kind: code
// that walks the tree switches over `kind` and calls `as<Binary>(expr)`. A parent owns its children
// (never null unless said so). The parser has checked types, argument counts and matching clauses,
// so a reader may rely on them; it also bounds the depth of a tree, so walking it by recursion is
// safe. A tree is immutable once parsed except for whoever owns it (the planner clones or rewrites
// its own). Any number of threads may read one.

/// Where a piece of the query stands: bytes [begin, end) of the query text. What the parser made up
/// has the range of what it stands for.
struct SourceRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool operator==(const SourceRange&) const = default;
};

/// The line and column of a byte, both from 1; columns count bytes. As in "1:5: parse error: ...".
/// Both 0: an empty query has no places.
struct SourcePosition {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};
SourcePosition position_of(std::string_view query, std::uint32_t offset);

enum class ExprKind : std::uint8_t {
  kNumber,
  kString,
  kSelector,
  kRange,
  kSubquery,
  kUnary,
  kBinary,
  kAggregate,
  kCall,
  kParen,
  kStepInvariant,
};

struct Expr {
  Expr(const Expr&) = delete;
  Expr& operator=(const Expr&) = delete;
  virtual ~Expr() = default;

  const ExprKind kind;
  ValueType type = ValueType::kNone;
  std::uint16_t depth = 1;  ///< Levels of nodes from here down; the parser limits it.
  SourceRange source;

 protected:
  explicit Expr(ExprKind k, ValueType t) : kind(k), type(t) {}
};
using ExprPtr = std::unique_ptr<Expr>;

/// The node as the struct its kind says. REQUIRES: that kind.
template <typename T>
T& as(Expr& e) {
  DCHECK(e.kind == T::kKind);
  return static_cast<T&>(e);
}
template <typename T>
const T& as(const Expr& e) {
  DCHECK(e.kind == T::kKind);
  return static_cast<const T&>(e);
}

// Durations.

/// An operation inside brackets or after `offset`: `5m * 2`, `max_of(step(), 30s)`.
enum class DurationOp : std::uint8_t {
  kNumber,  ///< `seconds`.
  kStep,    ///< step(): the query's step in seconds; 0 for an instant query.
  kRange,   ///< range(): the query's end minus its start in seconds; 0 for an instant query.
  kMinOf,
  kMaxOf,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kPlus,   ///< Unary: `left` only.
  kMinus,  ///< Unary: `left` only.
};

struct DurationExpr {
  DurationOp op = DurationOp::kNumber;
  double seconds = 0;        ///< Of a kNumber.
  bool is_duration = false;  ///< A kNumber written with units (`5m`), for printing.
  bool in_parens = false;
  std::unique_ptr<DurationExpr> left;   ///< Null where the operation has no operand.
  std::unique_ptr<DurationExpr> right;  ///< Null unless binary.
  SourceRange source;
};

/// A length of time in a selector. A constant when `expression` is null; otherwise `constant` holds
/// nothing until `resolve_durations` (query/parse/duration.h) has computed it for one query's times
/// and stored it here (the expression stays, for printing).
struct DurationValue {
  Duration constant;  ///< Truncated toward zero to milliseconds.
  std::unique_ptr<DurationExpr> expression;
};

// Leaves.

struct Number final : Expr {
  static constexpr ExprKind kKind = ExprKind::kNumber;
  explicit Number(double v) : Expr(kKind, ValueType::kScalar), value(v) {}
  double value;
  bool is_duration = false;  ///< Written as `5m`; `value` is in seconds. For printing.
};

struct String final : Expr {
  static constexpr ExprKind kKind = ExprKind::kString;
  explicit String(std::string v) : Expr(kKind, ValueType::kString), value(std::move(v)) {}
  std::string value;  ///< Unescaped; may be invalid UTF-8.
};

/// What `@` says: nothing, a time, or one of the query's ends.
struct AtModifier {
  enum class Anchor : std::uint8_t { kNone, kTime, kStart, kEnd };
  Anchor anchor = Anchor::kNone;
  Timestamp time;  ///< Of kTime.
  explicit operator bool() const { return anchor != Anchor::kNone; }
};

/// Data time of a step = (`@` time, or the step's time) - offset.
struct TimeShift {
  DurationValue offset;  ///< May be negative. Zero when not written.
  AtModifier at;
};

/// `name{label="value"} offset 5m @ 0`. Alone an instant selector; inside a Range its series.
struct Selector final : Expr {
  static constexpr ExprKind kKind = ExprKind::kSelector;
  Selector() : Expr(kKind, ValueType::kVector) {}
  /// The name in front of the braces; empty if there is none. `matchers` has it too.
  std::string name;
  /// All of them, in the order written; `__name__` from a name in front of the braces comes last.
  std::vector<tsdb::Matcher> matchers;
  TimeShift shift;
  bool anchored = false;
  bool smoothed = false;
  /// The second argument of info(): matchers only, may all match the empty string.
  bool is_label_selector = false;
};

/// `selector[5m]`. Offset, `@`, anchored and smoothed written after the bracket are the selector's.
struct Range final : Expr {
  static constexpr ExprKind kKind = ExprKind::kRange;
  Range() : Expr(kKind, ValueType::kMatrix) {}
  std::unique_ptr<Selector> selector;
  DurationValue range;  ///< Positive, but possibly below a millisecond: then it is 0 here.
};

/// `expr[range:step]`.
struct Subquery final : Expr {
  static constexpr ExprKind kKind = ExprKind::kSubquery;
  Subquery() : Expr(kKind, ValueType::kMatrix) {}
  ExprPtr inner;  ///< An instant vector.
  DurationValue range;
  DurationValue step;     ///< See has_step.
  bool has_step = false;  ///< False: `[range:]`, the default subquery step applies.
  TimeShift shift;
};

// Operators.

enum class UnaryOp : std::uint8_t { kPlus, kMinus };

struct Unary final : Expr {
  static constexpr ExprKind kKind = ExprKind::kUnary;
  Unary(UnaryOp o, ExprPtr e) : Expr(kKind, e->type), op(o), operand(std::move(e)) {}
  UnaryOp op;
  ExprPtr operand;  ///< Scalar or instant vector.
};

enum class BinaryOp : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kAtan2,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kTrimUpper,  ///< `</`
  kTrimLower,  ///< `>/`
  kAnd,
  kOr,
  kUnless,
};
/// As written: "+", "atan2", "</", "unless".
std::string_view text_of(BinaryOp op);
constexpr bool is_comparison(BinaryOp op) {
  return BinaryOp::kEqual <= op && op <= BinaryOp::kGreaterEqual;
}
constexpr bool is_set_operator(BinaryOp op) { return BinaryOp::kAnd <= op; }
constexpr bool is_trim(BinaryOp op) {
  return op == BinaryOp::kTrimUpper || op == BinaryOp::kTrimLower;
}
/// Arithmetic and atan2: what computes a new value.
constexpr bool is_arithmetic(BinaryOp op) { return op <= BinaryOp::kAtan2; }

enum class Cardinality : std::uint8_t {
  kOneToOne,
  kManyToOne,   ///< group_left: the left side is the "many" side.
  kOneToMany,   ///< group_right.
  kManyToMany,  ///< Set operators.
};

/// How two vectors find each other's elements. Neither clause written is ignoring().
struct VectorMatching {
  Cardinality cardinality = Cardinality::kOneToOne;
  bool on = false;                   ///< on(labels) rather than ignoring(labels).
  std::vector<std::string> labels;   ///< As written, in order.
  std::vector<std::string> include;  ///< The labels of group_left or group_right.
  std::optional<double> fill_left;   ///< As written; group_right swaps the sides (reference 6.5).
  std::optional<double> fill_right;
};

struct Binary final : Expr {
  static constexpr ExprKind kKind = ExprKind::kBinary;
  /// The type is scalar if both sides are, else instant vector.
  Binary(BinaryOp o, ExprPtr l, ExprPtr r)
      : Expr(kKind, l->type == ValueType::kScalar && r->type == ValueType::kScalar
                        ? ValueType::kScalar
                        : ValueType::kVector),
        op(o),
        left(std::move(l)),
        right(std::move(r)) {}
  BinaryOp op;
  bool return_bool = false;  ///< The `bool` modifier.
  ExprPtr left;
  ExprPtr right;
  VectorMatching matching;  ///< Meaningful only between two vectors.
};

// Aggregations and calls.

enum class AggregateOp : std::uint8_t {
  kSum,
  kAvg,
  kCount,
  kMin,
  kMax,
  kGroup,
  kStddev,
  kStdvar,
  kTopk,
  kBottomk,
  kCountValues,
  kQuantile,
  kLimitk,
  kLimitRatio,
};
/// As written: "sum", "count_values".
std::string_view text_of(AggregateOp op);
/// Whether it takes a parameter before the vector.
constexpr bool has_parameter(AggregateOp op) { return op >= AggregateOp::kTopk; }

struct Aggregate final : Expr {
  static constexpr ExprKind kKind = ExprKind::kAggregate;
  explicit Aggregate(AggregateOp o) : Expr(kKind, ValueType::kVector), op(o) {}
  AggregateOp op;
  bool without = false;
  std::vector<std::string> grouping;  ///< As written, in order. Empty and !without: one group.
  ExprPtr parameter;  ///< Null unless has_parameter(op): a scalar, for count_values a string.
  ExprPtr operand;    ///< An instant vector.
};

struct Call final : Expr {
  static constexpr ExprKind kKind = ExprKind::kCall;
  explicit Call(const FunctionSignature& f) : Expr(kKind, f.return_type), function(f) {}
  const FunctionSignature& function;  ///< In the static table.
  std::vector<ExprPtr> arguments;
};

struct Paren final : Expr {
  static constexpr ExprKind kKind = ExprKind::kParen;
  explicit Paren(ExprPtr e) : Expr(kKind, e->type), inner(std::move(e)) {}
  ExprPtr inner;
};

/// Never made by the parser: the planner wraps what has one value for all steps.
struct StepInvariant final : Expr {
  static constexpr ExprKind kKind = ExprKind::kStepInvariant;
  explicit StepInvariant(ExprPtr e) : Expr(kKind, e->type), inner(std::move(e)) {}
  ExprPtr inner;
};

// Helpers every walker needs.

/// The expression inside any number of parentheses.
const Expr& without_parens(const Expr& e);
/// The direct children, in the order written (the parameter of an aggregation first; the selector
/// of a Range counts).
std::vector<const Expr*> children_of(const Expr& e);
std::vector<Expr*> children_of(Expr& e);
/// A deep copy.
ExprPtr clone(const Expr& e);
DurationValue clone(const DurationValue& d);

}  // namespace tarsier::query
