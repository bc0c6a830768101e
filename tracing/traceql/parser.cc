#include "tracing/traceql/parser.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "tracing/traceql/lexer.h"
#include "tracing/traceql/precedence.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

constexpr std::size_t kMetricsByMax = 5;

struct RelationName {
  std::string_view text;
  Relation relation;
  RelationForm form;
};
constexpr std::array kRelationNames = {
    RelationName{"&&", Relation::kAnd, RelationForm::kPlain},
    RelationName{"||", Relation::kOr, RelationForm::kPlain},
    RelationName{">", Relation::kChild, RelationForm::kPlain},
    RelationName{">>", Relation::kDescendant, RelationForm::kPlain},
    RelationName{"<", Relation::kParent, RelationForm::kPlain},
    RelationName{"<<", Relation::kAncestor, RelationForm::kPlain},
    RelationName{"~", Relation::kSibling, RelationForm::kPlain},
    RelationName{"&>", Relation::kChild, RelationForm::kUnion},
    RelationName{"&>>", Relation::kDescendant, RelationForm::kUnion},
    RelationName{"&<", Relation::kParent, RelationForm::kUnion},
    RelationName{"&<<", Relation::kAncestor, RelationForm::kUnion},
    RelationName{"&~", Relation::kSibling, RelationForm::kUnion},
    RelationName{"!>", Relation::kChild, RelationForm::kNegated},
    RelationName{"!>>", Relation::kDescendant, RelationForm::kNegated},
    RelationName{"!<", Relation::kParent, RelationForm::kNegated},
    RelationName{"!<<", Relation::kAncestor, RelationForm::kNegated},
    RelationName{"!~", Relation::kSibling, RelationForm::kNegated},
};

std::optional<Op> binary_op(const Token& token) {
  if (token.kind != TokenKind::kSymbol) return std::nullopt;
  for (int i = 0; i <= static_cast<int>(Op::kOr); ++i) {
    if (op_text(static_cast<Op>(i)) == token.text) return static_cast<Op>(i);
  }
  return std::nullopt;
}

const RelationName* relation_of(const Token& token) {
  if (token.kind != TokenKind::kSymbol) return nullptr;
  const auto it = std::find_if(kRelationNames.begin(), kRelationNames.end(),
                               [&](const RelationName& r) { return r.text == token.text; });
  return it == kRelationNames.end() ? nullptr : &*it;
}

/// What stands between two operators outside braces.
using Operand = std::variant<Spansets, Scalar, Metrics, Stage>;

class Parser final {
 public:
  Parser(std::vector<Token> tokens, const ParseLimits& limits)
      : tokens_(std::move(tokens)), limits_(limits) {}

  Result<Query> run() {
    Query query;
    Operand whole = TRY(pipeline());
    if (Metrics* metrics = std::get_if<Metrics>(&whole)) {
      if (metrics->kind == Metrics::Kind::kStatic) return fail_at(0, "no span set");
      query.metrics = std::move(*metrics);
    } else if (Spansets* spansets = std::get_if<Spansets>(&whole)) {
      query.pipeline = std::move(spansets->pipeline);
    } else {
      return fail("an aggregate needs a comparison, such as count() > 1");
    }
    while (is_word("with")) TRY(hints(query));
    if (token().kind != TokenKind::kEnd) return unexpected();
    return query;
  }

 private:
  const Token& token() const { return tokens_[at_]; }
  bool is_symbol(std::string_view text) const {
    return token().kind == TokenKind::kSymbol && token().text == text;
  }
  bool is_word(std::string_view text) const {
    return token().kind == TokenKind::kWord && token().text == text;
  }
  bool take(std::string_view symbol) {
    if (!is_symbol(symbol)) return false;
    ++at_;
    return true;
  }
  Status fail_at(std::size_t offset, std::string_view what) const {
    return invalid(fmt::format("parse error at position {}: {}", offset, what));
  }
  Status fail(std::string_view what) const { return fail_at(token().offset, what); }
  Status unexpected() const {
    if (token().kind == TokenKind::kEnd) return fail("unexpected end of the query");
    return fail(fmt::format("unexpected {}", token().text));
  }
  Status expect(std::string_view symbol) {
    if (take(symbol)) return {};
    if (token().kind == TokenKind::kEnd) {
      return fail(fmt::format("unexpected end of the query, expected {}", symbol));
    }
    return fail(fmt::format("unexpected {}, expected {}", token().text, symbol));
  }
  Status count_operator() {
    if (++operator_count_ > limits_.operator_count_max) return fail("too many operators");
    return {};
  }

  /// Counts the parentheses that are open.
  class Depth final {
   public:
    explicit Depth(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Depth() { --depth_; }

   private:
    std::size_t& depth_;
  };
  Status check_depth() const {
    if (depth_ > limits_.depth_max) return fail("nested too deeply");
    return {};
  }

  Status hints(Query& query) {
    ++at_;
    TRY(expect("("));
    do {
      if (token().kind != TokenKind::kWord) return unexpected();
      Hint hint{.name = std::string(token().text)};
      ++at_;
      TRY(expect("="));
      if (token().kind != TokenKind::kLiteral) return unexpected();
      hint.value = token().value;
      ++at_;
      query.hints.push_back(std::move(hint));
    } while (take(","));
    return expect(")");
  }

  /// Stages joined by `|`, up to a parenthesis or the end: Spansets of the kind kPipeline, or a
  /// Scalar or Metrics when the last stage gives numbers.
  Result<Operand> pipeline() {
    const Depth depth(depth_);
    TRY(check_depth());
    std::vector<Stage> stages;
    for (bool is_first = true; is_first || take("|"); is_first = false) {
      const std::size_t offset = token().offset;
      if (token().kind == TokenKind::kWord) {
        if (const auto function = function_named(token().text)) {
          if (is_first) return fail("a metrics function needs span sets before it");
          return Operand(TRY(metrics(*function, std::move(stages))));
        }
        if (is_word("topk") || is_word("bottomk")) return unexpected();
      }
      if (is_word("by") || is_word("coalesce") || is_word("select")) {
        stages.push_back(TRY(word_stage()));
        continue;
      }
      Operand operand = TRY(expression(kLogicalPrecedence));
      if (Spansets* spansets = std::get_if<Spansets>(&operand)) {
        stages.push_back({.kind = Stage::Kind::kSpansets, .spansets = std::move(*spansets)});
      } else if (Stage* stage = std::get_if<Stage>(&operand)) {
        stages.push_back(std::move(*stage));
      } else if (Metrics* m = std::get_if<Metrics>(&operand)) {
        if (!is_first) return fail_at(offset, "metrics must stand first");
        TRY(series_stages(*m));
        return operand;
      } else {
        Scalar& scalar = std::get<Scalar>(operand);
        if (is_first) return fail_at(offset, "a number needs a comparison with an aggregate");
        return Operand(Scalar{.kind = Scalar::Kind::kPipeline,
                              .operands = {std::move(scalar)},
                              .pipeline = std::move(stages)});
      }
    }
    return Operand(Spansets{.kind = Spansets::Kind::kPipeline, .pipeline = std::move(stages)});
  }

  Result<Stage> word_stage() {
    Stage stage;
    const std::string_view word = token().text;
    ++at_;
    TRY(expect("("));
    if (word == "by") {
      stage.kind = Stage::Kind::kBy;
      stage.by = TRY(field(kLogicalPrecedence));
      if (is_symbol(",")) return fail("by() takes one expression here");
    } else if (word == "select") {
      stage.kind = Stage::Kind::kSelect;
      stage.select = TRY(attributes());
    } else {
      stage.kind = Stage::Kind::kCoalesce;
    }
    TRY(expect(")"));
    return stage;
  }

  Result<std::vector<Attribute>> attributes() {
    std::vector<Attribute> out;
    do {
      if (token().kind != TokenKind::kAttribute) return unexpected();
      out.push_back(token().attribute);
      ++at_;
    } while (take(","));
    return out;
  }

  Result<Metrics> metrics(MetricsFunction function, std::vector<Stage> stages) {
    Metrics out{.pipeline = std::move(stages), .function = function};
    ++at_;
    TRY(expect("("));
    if (function >= MetricsFunction::kMinOverTime &&
        function <= MetricsFunction::kQuantileOverTime) {
      if (token().kind != TokenKind::kAttribute) return unexpected();
      out.argument = token().attribute;
      ++at_;
    }
    if (function == MetricsFunction::kQuantileOverTime) TRY(quantiles(out));
    if (function == MetricsFunction::kCompare) TRY(compare_arguments(out));
    TRY(expect(")"));
    if (is_word("by")) {
      if (function == MetricsFunction::kCompare) return unexpected();
      ++at_;
      TRY(expect("("));
      out.by = TRY(attributes());
      const bool reserves_one = function == MetricsFunction::kHistogramOverTime ||
                                function == MetricsFunction::kQuantileOverTime ||
                                function == MetricsFunction::kAvgOverTime;
      if (out.by.size() > kMetricsByMax - (reserves_one ? 1 : 0)) {
        return fail("too many attributes in by()");
      }
      TRY(expect(")"));
    }
    TRY(series_stages(out));
    return out;
  }

  Status quantiles(Metrics& out) {
    while (take(",")) {
      const Static& value = token().value;
      const bool is_float = token().kind == TokenKind::kLiteral && value.type == StaticType::kFloat;
      const bool is_int = token().kind == TokenKind::kLiteral && value.type == StaticType::kInt;
      if (!is_float && !is_int) return unexpected();
      const double q = is_float ? value.real : static_cast<double>(value.number);
      if (!(q >= 0 && q <= 1)) return fail("a quantile lies between 0 and 1");
      out.quantiles.push_back(q);
      ++at_;
    }
    if (out.quantiles.empty()) return unexpected();
    return {};
  }

  Status compare_arguments(Metrics& out) {
    if (!is_symbol("{")) return unexpected();
    out.selection = TRY(filter());
    while (take(",")) {
      const bool is_int =
          token().kind == TokenKind::kLiteral && token().value.type == StaticType::kInt;
      if (!is_int || out.arguments.size() == 3) return unexpected();
      out.arguments.push_back(token().value.number);
      ++at_;
    }
    if (out.arguments.size() == 2) return fail("compare() needs both start and end");
    return {};
  }

  Status series_stages(Metrics& out) {
    for (;;) {
      const std::optional<Op> op = binary_op(token());
      if (op && is_comparison(*op) && *op < Op::kRegex) {
        ++at_;
        SeriesStage stage{.kind = SeriesStage::Kind::kFilter, .op = *op};
        stage.threshold = TRY(signed_number());
        out.stages.push_back(std::move(stage));
        TRY(count_operator());
        continue;
      }
      if (!is_symbol("|")) return {};
      ++at_;
      const bool is_top = is_word("topk");
      if (!is_top && !is_word("bottomk")) return unexpected();
      ++at_;
      TRY(expect("("));
      if (token().kind != TokenKind::kLiteral || token().value.type != StaticType::kInt) {
        return unexpected();
      }
      if (token().value.number <= 0) return fail("topk and bottomk need a positive number");
      out.stages.push_back({.kind = is_top ? SeriesStage::Kind::kTopK : SeriesStage::Kind::kBottomK,
                            .count = token().value.number});
      ++at_;
      TRY(expect(")"));
      TRY(count_operator());
    }
  }

  Result<Static> signed_number() {
    const bool is_negative = take("-");
    Static value = token().value;
    const bool is_number = token().kind == TokenKind::kLiteral &&
                           (value.type == StaticType::kInt || value.type == StaticType::kFloat);
    if (!is_number) return unexpected();
    ++at_;
    if (!is_negative) return value;
    // A negative number is written as one minus; kept as a float so that it prints and reads alike.
    if (value.type == StaticType::kInt) value.real = static_cast<double>(value.number);
    value.number = 0;
    value.type = StaticType::kFloat;
    value.real = -value.real;
    return value;
  }

  static int precedence_of_token(const Token& t) {
    if (const RelationName* relation = relation_of(t)) return precedence_of(relation->relation);
    const std::optional<Op> op = binary_op(t);
    if (!op || *op == Op::kModulo || *op == Op::kPower) return 0;
    return precedence_of(*op);
  }

  Result<Operand> expression(int least) {
    Operand left = TRY(primary());
    for (;;) {
      const Token op = token();
      const int precedence = precedence_of_token(op);
      if (precedence == 0 || precedence < least) return left;
      // A metrics filter is a stage of its own: it may be followed by `| topk()`.
      const bool is_series = std::holds_alternative<Metrics>(left);
      if (is_series && precedence <= kComparisonPrecedence) return left;
      ++at_;
      TRY(count_operator());
      Operand right = TRY(expression(precedence + 1));
      left = TRY(join(std::move(left), op, std::move(right)));
    }
  }

  Result<Operand> primary() {
    const Depth depth(depth_);
    TRY(check_depth());
    if (is_symbol("{")) return Operand(TRY(filter()));
    if (take("(")) {
      // Numbers in parentheses are an expression, anything else is a pipeline.
      const std::size_t begin = at_;
      Operand inside;
      if (begins_number()) {
        inside = TRY(expression(kLogicalPrecedence));
        if (std::holds_alternative<Stage>(inside)) {
          inside = Spansets{.kind = Spansets::Kind::kPipeline,
                            .pipeline = {std::move(std::get<Stage>(inside))}};
        }
      } else {
        inside = TRY(pipeline());
        unwrap(inside);
      }
      if (at_ == begin) return unexpected();
      TRY(expect(")"));
      return inside;
    }
    if (take("-")) {
      TRY(count_operator());
      Operand operand = TRY(primary());
      if (!std::holds_alternative<Scalar>(operand)) return unexpected();
      return Operand(Scalar{.kind = Scalar::Kind::kNegate,
                            .operands = {std::move(std::get<Scalar>(operand))}});
    }
    if (token().kind == TokenKind::kLiteral) {
      const StaticType type = token().value.type;
      if (type != StaticType::kInt && type != StaticType::kFloat && type != StaticType::kDuration) {
        return unexpected();
      }
      return Operand(Scalar{.value = tokens_[at_++].value});
    }
    if (token().kind == TokenKind::kWord) {
      if (const auto aggregate = aggregate_named(token().text)) {
        return Operand(TRY(aggregation(*aggregate)));
      }
    }
    return unexpected();
  }

  /// Whether a number stands behind whatever parentheses are open here.
  bool begins_number() const {
    std::size_t i = at_;
    while (tokens_[i].kind == TokenKind::kSymbol &&
           (tokens_[i].text == "(" || tokens_[i].text == "-")) {
      ++i;
    }
    const Token& t = tokens_[i];
    return t.kind == TokenKind::kLiteral ||
           (t.kind == TokenKind::kWord && aggregate_named(t.text).has_value());
  }

  /// Parentheses around one expression of span sets only group.
  static void unwrap(Operand& operand) {
    Spansets* spansets = std::get_if<Spansets>(&operand);
    if (spansets == nullptr || spansets->kind != Spansets::Kind::kPipeline ||
        spansets->pipeline.size() != 1 || spansets->pipeline[0].kind != Stage::Kind::kSpansets) {
      return;
    }
    Spansets inside = std::move(spansets->pipeline[0].spansets);
    operand = std::move(inside);
  }

  Result<Scalar> aggregation(Aggregate aggregate) {
    Scalar out{.kind = Scalar::Kind::kAggregate, .aggregate = aggregate};
    ++at_;
    TRY(expect("("));
    if (aggregate != Aggregate::kCount) out.argument = TRY(field(kLogicalPrecedence));
    TRY(expect(")"));
    return out;
  }

  Result<Spansets> filter() {
    Spansets out;
    TRY(expect("{"));
    if (!is_symbol("}")) out.filter = TRY(field(kLogicalPrecedence));
    TRY(expect("}"));
    if (out.filter && out.filter->kind == Field::Kind::kStatic &&
        out.filter->value.type != StaticType::kBool) {
      return fail("a filter must be true or false");
    }
    return out;
  }

  static Result<Metrics> as_metrics(Operand operand) {
    if (Metrics* metrics = std::get_if<Metrics>(&operand)) return std::move(*metrics);
    const Scalar& scalar = std::get<Scalar>(operand);
    const bool is_number = scalar.kind == Scalar::Kind::kStatic;
    if (!is_number || scalar.value.type == StaticType::kDuration) {
      return invalid("metrics are combined with metrics or plain numbers only");
    }
    return Metrics{.kind = Metrics::Kind::kStatic, .value = scalar.value};
  }

  Result<Operand> join(Operand left, const Token& token_of_op, Operand right) {
    const std::optional<Op> op = binary_op(token_of_op);
    const RelationName* relation = relation_of(token_of_op);
    const auto refuse = [&] {
      return fail_at(token_of_op.offset,
                     fmt::format("{} does not join these operands", token_of_op.text));
    };
    const bool has_metrics =
        std::holds_alternative<Metrics>(left) || std::holds_alternative<Metrics>(right);
    if (has_metrics) {
      const auto is_series = [](const Operand& o) {
        return std::holds_alternative<Metrics>(o) || std::holds_alternative<Scalar>(o);
      };
      if (!is_series(left) || !is_series(right) || !op || !is_arithmetic(*op)) return refuse();
      Metrics out{.kind = Metrics::Kind::kBinary, .op = *op};
      out.operands.push_back(TRY(as_metrics(std::move(left))));
      out.operands.push_back(TRY(as_metrics(std::move(right))));
      return Operand(std::move(out));
    }
    if (std::holds_alternative<Spansets>(left) && std::holds_alternative<Spansets>(right)) {
      if (relation == nullptr) return refuse();
      Spansets out{
          .kind = Spansets::Kind::kBinary, .relation = relation->relation, .form = relation->form};
      out.operands.push_back(std::move(std::get<Spansets>(left)));
      out.operands.push_back(std::move(std::get<Spansets>(right)));
      return Operand(std::move(out));
    }
    if (std::holds_alternative<Scalar>(left) && std::holds_alternative<Scalar>(right) && op) {
      if (is_arithmetic(*op)) {
        Scalar out{.kind = Scalar::Kind::kBinary, .op = *op};
        out.operands.push_back(std::move(std::get<Scalar>(left)));
        out.operands.push_back(std::move(std::get<Scalar>(right)));
        return Operand(std::move(out));
      }
      if (is_comparison(*op) && *op < Op::kRegex) {
        Stage out{.kind = Stage::Kind::kScalarFilter, .op = *op};
        out.sides.push_back(std::move(std::get<Scalar>(left)));
        out.sides.push_back(std::move(std::get<Scalar>(right)));
        return Operand(std::move(out));
      }
    }
    return refuse();
  }

  // Fields: what stands inside braces and as arguments.

  Result<Field> field(int least) {
    Field left = TRY(field_primary());
    for (;;) {
      const std::size_t offset = token().offset;
      const std::optional<Op> op = binary_op(token());
      if (!op || precedence_of(*op) < least) return left;
      ++at_;
      TRY(count_operator());
      const int next = precedence_of(*op) + (*op == Op::kPower ? 0 : 1);
      Field right = TRY(field(next));
      Field out{.kind = Field::Kind::kBinary, .op = *op};
      if (*op == Op::kRegex || *op == Op::kNotRegex) {
        if (right.kind != Field::Kind::kStatic || right.value.type != StaticType::kString) {
          return fail_at(offset, "a regular expression must be a string");
        }
        Result<Regex> regex = Regex::compile(right.value.text);
        if (!regex.ok()) return fail_at(offset, regex.status().message());
        out.regex = std::move(*regex);
      }
      TRY(check_types(left, *op, right, offset));
      out.operands.push_back(std::move(left));
      out.operands.push_back(std::move(right));
      left = std::move(out);
    }
  }

  /// Refuses what can never be evaluated, whatever the data.
  Status check_types(const Field& left, Op op, const Field& right, std::size_t offset) const {
    const auto is = [](const Field& f, StaticType type) {
      return f.kind == Field::Kind::kStatic && f.value.type == type;
    };
    const bool compares_equal = op == Op::kEqual || op == Op::kNotEqual;
    for (const Field* side : {&left, &right}) {
      const bool has_nil = is(*side, StaticType::kNil);
      const bool has_word = is(*side, StaticType::kStatus) || is(*side, StaticType::kKind);
      const bool has_text = is(*side, StaticType::kString);
      const bool has_bool = is(*side, StaticType::kBool);
      const bool is_wrong = ((has_nil || has_word) && !compares_equal) ||
                            (has_text && (is_arithmetic(op) || op == Op::kAnd || op == Op::kOr)) ||
                            (has_bool && !compares_equal && op != Op::kAnd && op != Op::kOr);
      if (is_wrong) {
        return fail_at(offset, fmt::format("{} cannot be used with {}", op_text(op),
                                           has_nil ? "nil" : "this literal"));
      }
    }
    return {};
  }

  Result<Field> field_primary() {
    const Depth depth(depth_);
    TRY(check_depth());
    if (take("(")) {
      Field inside = TRY(field(kLogicalPrecedence));
      TRY(expect(")"));
      return inside;
    }
    if (take("!")) return unary(Op::kNot, kNotPrecedence);
    if (take("-")) return unary(Op::kNegate, kNegatePrecedence);
    if (token().kind == TokenKind::kLiteral) {
      return Field{.kind = Field::Kind::kStatic, .value = tokens_[at_++].value};
    }
    if (token().kind == TokenKind::kAttribute) {
      return Field{.kind = Field::Kind::kAttribute, .attribute = tokens_[at_++].attribute};
    }
    return unexpected();
  }

  Result<Field> unary(Op op, int least) {
    TRY(count_operator());
    Field out{.kind = Field::Kind::kUnary, .op = op};
    out.operands.push_back(TRY(field(least)));
    return out;
  }

  const std::vector<Token> tokens_;
  const ParseLimits limits_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t operator_count_ = 0;
};

}  // namespace

Result<Query> parse_query(std::string_view text, const ParseLimits& limits) {
  if (text.size() > limits.length_max) return limit_exceeded("the query is too long");
  return Parser(TRY(tokenize(text)), limits).run();
}

}  // namespace tarsier::tracing::traceql
