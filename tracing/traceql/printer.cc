#include "tracing/traceql/printer.h"

#include <array>
#include <string_view>

#include "base/number_text.h"
#include "base/quote.h"
#include "tracing/traceql/precedence.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

std::string print_spansets(const Spansets& spansets);
std::string print_pipeline(const std::vector<Stage>& stages);

std::string in_parentheses(std::string text, bool wanted) {
  if (!wanted) return text;
  return "(" + std::move(text) + ")";
}

constexpr std::array<std::string_view, 7> kRelations = {"&&", "||", ">", ">>", "<", "<<", "~"};

std::string relation_text(Relation relation, RelationForm form) {
  std::string out;
  if (form == RelationForm::kUnion) out = "&";
  if (form == RelationForm::kNegated) out = "!";
  return out += kRelations[static_cast<std::size_t>(relation)];
}

std::string print_duration(std::int64_t ns) {
  if (ns % 1'000'000'000 == 0) return std::to_string(ns / 1'000'000'000) + "s";
  if (ns % 1'000'000 == 0) return std::to_string(ns / 1'000'000) + "ms";
  if (ns % 1000 == 0) return std::to_string(ns / 1000) + "us";
  return std::to_string(ns) + "ns";
}

int precedence_of_field(const Field& field) {
  const bool has_op = field.kind == Field::Kind::kUnary || field.kind == Field::Kind::kBinary;
  return has_op ? precedence_of(field.op) : 100;
}

/// One side of a left-associative operator; powers associate to the right.
std::string print_side(const Field& side, Op op, bool is_left) {
  const int own = precedence_of_field(side);
  const int outer = precedence_of(op);
  const bool joins_equal = is_left != (op == Op::kPower);
  return in_parentheses(print(side), own < outer || (own == outer && !joins_equal));
}

std::string print_attributes(const std::vector<Attribute>& attributes) {
  std::string out;
  for (const Attribute& attribute : attributes) {
    if (!out.empty()) out += ", ";
    out += attribute_text(attribute);
  }
  return out;
}

int precedence_of_spansets(const Spansets& spansets) {
  return spansets.kind == Spansets::Kind::kBinary ? precedence_of(spansets.relation) : 100;
}

std::string print_spansets(const Spansets& spansets) {
  switch (spansets.kind) {
    case Spansets::Kind::kFilter:
      return spansets.filter ? "{ " + print(*spansets.filter) + " }" : "{ }";
    case Spansets::Kind::kPipeline: return "(" + print_pipeline(spansets.pipeline) + ")";
    case Spansets::Kind::kBinary: break;
  }
  const int outer = precedence_of(spansets.relation);
  const Spansets& left = spansets.operands[0];
  const Spansets& right = spansets.operands[1];
  return in_parentheses(print_spansets(left), precedence_of_spansets(left) < outer) + " " +
         relation_text(spansets.relation, spansets.form) + " " +
         in_parentheses(print_spansets(right), precedence_of_spansets(right) <= outer);
}

int precedence_of_scalar(const Scalar& scalar) {
  if (scalar.kind == Scalar::Kind::kNegate) return kNegatePrecedence;
  return scalar.kind == Scalar::Kind::kBinary ? precedence_of(scalar.op) : 100;
}

std::string print_stage(const Stage& stage) {
  switch (stage.kind) {
    case Stage::Kind::kSpansets: return print_spansets(stage.spansets);
    case Stage::Kind::kScalarFilter:
      return print(stage.sides[0]) + " " + std::string(op_text(stage.op)) + " " +
             print(stage.sides[1]);
    case Stage::Kind::kBy: return "by(" + print(*stage.by) + ")";
    case Stage::Kind::kCoalesce: return "coalesce()";
    case Stage::Kind::kSelect: return "select(" + print_attributes(stage.select) + ")";
  }
  return "";
}

std::string print_pipeline(const std::vector<Stage>& stages) {
  std::string out;
  for (const Stage& stage : stages) {
    if (!out.empty()) out += " | ";
    out += print_stage(stage);
  }
  return out;
}

std::string print_function(const Metrics& metrics) {
  std::string out = print_pipeline(metrics.pipeline) + " | ";
  out += function_name(metrics.function);
  out += "(";
  const bool has_argument = metrics.function >= MetricsFunction::kMinOverTime &&
                            metrics.function <= MetricsFunction::kQuantileOverTime;
  if (has_argument) out += attribute_text(metrics.argument);
  for (const double q : metrics.quantiles) {
    out += ", ";
    append_plain_number(out, q);
  }
  if (metrics.selection) out += print_spansets(*metrics.selection);
  for (const std::int64_t n : metrics.arguments) out += ", " + std::to_string(n);
  out += ")";
  if (!metrics.by.empty()) out += " by(" + print_attributes(metrics.by) + ")";
  return out;
}

std::string print_metrics(const Metrics& metrics);

/// As an operand: everything that ends in stages or has an operator inside is put in parentheses.
std::string print_operand(const Metrics& metrics) {
  return in_parentheses(print_metrics(metrics), metrics.kind != Metrics::Kind::kStatic);
}

std::string print_metrics(const Metrics& metrics) {
  std::string out;
  switch (metrics.kind) {
    case Metrics::Kind::kStatic: return print(metrics.value);
    case Metrics::Kind::kFunction: out = print_function(metrics); break;
    case Metrics::Kind::kBinary:
      out = print_operand(metrics.operands[0]) + " " + std::string(op_text(metrics.op)) + " " +
            print_operand(metrics.operands[1]);
      break;
  }
  for (const SeriesStage& stage : metrics.stages) {
    if (stage.kind == SeriesStage::Kind::kFilter) {
      out += " " + std::string(op_text(stage.op)) + " " + print(stage.threshold);
    } else {
      out += stage.kind == SeriesStage::Kind::kTopK ? " | topk(" : " | bottomk(";
      out += std::to_string(stage.count) + ")";
    }
  }
  return out;
}

}  // namespace

std::string print(const Static& value) {
  switch (value.type) {
    case StaticType::kNil: return "nil";
    case StaticType::kBool: return value.number != 0 ? "true" : "false";
    case StaticType::kInt: {
      if (value == *keyword_literal("minInt")) return "minInt";
      return std::to_string(value.number);
    }
    case StaticType::kFloat: {
      std::string out = plain_number(value.real);
      if (out.find('.') == std::string::npos) out += ".0";
      return out;
    }
    case StaticType::kString: return quote(value.text);
    case StaticType::kDuration: return print_duration(value.number);
    case StaticType::kStatus: return std::string(status_text(value.number));
    case StaticType::kKind: return std::string(kind_text(value.number));
  }
  return "";
}

std::string print(const Field& field) {
  switch (field.kind) {
    case Field::Kind::kStatic: return print(field.value);
    case Field::Kind::kAttribute: return attribute_text(field.attribute);
    case Field::Kind::kUnary: {
      const Field& operand = field.operands[0];
      const bool wrap = precedence_of_field(operand) < precedence_of(field.op);
      return std::string(op_text(field.op)) + in_parentheses(print(operand), wrap);
    }
    case Field::Kind::kBinary:
      return print_side(field.operands[0], field.op, true) + " " + std::string(op_text(field.op)) +
             " " + print_side(field.operands[1], field.op, false);
  }
  return "";
}

std::string print(const Scalar& scalar) {
  switch (scalar.kind) {
    case Scalar::Kind::kStatic: return print(scalar.value);
    case Scalar::Kind::kAggregate:
      return std::string(aggregate_name(scalar.aggregate)) + "(" +
             (scalar.argument ? print(*scalar.argument) : "") + ")";
    case Scalar::Kind::kNegate: {
      const Scalar& operand = scalar.operands[0];
      return "-" +
             in_parentheses(print(operand), precedence_of_scalar(operand) < kNegatePrecedence);
    }
    case Scalar::Kind::kPipeline:
      return "(" + print_pipeline(scalar.pipeline) + " | " + print(scalar.operands[0]) + ")";
    case Scalar::Kind::kBinary: break;
  }
  const int outer = precedence_of(scalar.op);
  const Scalar& left = scalar.operands[0];
  const Scalar& right = scalar.operands[1];
  return in_parentheses(print(left), precedence_of_scalar(left) < outer) + " " +
         std::string(op_text(scalar.op)) + " " +
         in_parentheses(print(right), precedence_of_scalar(right) <= outer);
}

std::string print(const Query& query) {
  std::string out = query.metrics ? print_metrics(*query.metrics) : print_pipeline(query.pipeline);
  if (query.hints.empty()) return out;
  out += " with(";
  for (std::size_t i = 0; i < query.hints.size(); ++i) {
    if (i > 0) out += ", ";
    out += query.hints[i].name + "=" + print(query.hints[i].value);
  }
  return out + ")";
}

}  // namespace tarsier::tracing::traceql
