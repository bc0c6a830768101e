#include "tracing/traceql/pipeline.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>

#include "tracing/traceql/printer.h"

namespace tarsier::tracing::traceql {
namespace {

struct ValueLess {
  bool operator()(Value a, Value b) const { return is_less(a, b); }
};

Value combined(Op op, Value a, Value b) {
  if (!a.is_numeric() || !b.is_numeric()) return {};
  const bool is_exact = a.is_integral() && b.is_integral() && op != Op::kDivide;
  if (is_exact) {
    std::int64_t out = 0;
    const bool overflows = op == Op::kAdd ? __builtin_add_overflow(a.integer(), b.integer(), &out)
                           : op == Op::kSubtract
                               ? __builtin_sub_overflow(a.integer(), b.integer(), &out)
                               : __builtin_mul_overflow(a.integer(), b.integer(), &out);
    const bool is_duration = a.type() == ValueType::kDuration || b.type() == ValueType::kDuration;
    if (!overflows) return is_duration ? Value::of_duration(out) : Value::of_int(out);
  }
  switch (op) {
    case Op::kAdd: return Value::of_float(a.number() + b.number());
    case Op::kSubtract: return Value::of_float(a.number() - b.number());
    case Op::kMultiply: return Value::of_float(a.number() * b.number());
    default: return b.number() == 0 ? Value() : Value::of_float(a.number() / b.number());
  }
}

/// What of a set's numbers an aggregate needs.
struct Folded {
  std::size_t count = 0;
  double sum = 0;
  Value least;
  Value greatest;
  bool is_duration = true;
  bool is_integral = true;
};

Value numeric(double v, const Folded& folded) {
  if (folded.is_duration) return Value::of_duration(static_cast<std::int64_t>(v));
  return folded.is_integral ? Value::of_int(static_cast<std::int64_t>(v)) : Value::of_float(v);
}

}  // namespace

const BoundField& PipelineEvaluator::bound(const Field& field) {
  const auto found = bound_.find(&field);
  if (found != bound_.end()) return found->second;
  return bound_.emplace(&field, BoundField(field, source_)).first->second;
}

Value PipelineEvaluator::value(const Field& field, std::uint32_t row) {
  return bound(field).at(row, error_);
}

Value PipelineEvaluator::value(const Attribute& attribute, std::uint32_t row) {
  if (attribute.of_parent) {
    const std::uint32_t parent = source_.parents()[row];
    return parent == kNoRow ? Value() : source_.column(attribute).at(parent);
  }
  return source_.column(attribute).at(row);
}

Result<std::vector<Spanset>> PipelineEvaluator::run(const std::vector<Stage>& stages,
                                                    TraceRows trace) {
  Spanset all;
  all.rows.resize(trace.count);
  std::iota(all.rows.begin(), all.rows.end(), trace.first);
  std::vector<Spanset> input;
  input.push_back(std::move(all));
  std::vector<Spanset> sets = run_stages(stages, std::move(input), trace);
  if (!error_.ok()) return std::exchange(error_, Status());
  return sets;
}

std::vector<Spanset> PipelineEvaluator::run_stages(const std::vector<Stage>& stages,
                                                   std::vector<Spanset> sets, TraceRows trace) {
  bool is_grouped = false;
  for (const Stage& stage : stages) {
    switch (stage.kind) {
      case Stage::Kind::kSpansets:
        for (Spanset& set : sets) set.rows = spansets(stage.spansets, set.rows, is_grouped, trace);
        break;
      case Stage::Kind::kScalarFilter: {
        const auto fails = [&](Spanset& set) {
          const Value left = scalar(stage.sides[0], set, trace);
          const Value right = scalar(stage.sides[1], set, trace);
          return !holds(stage.op, left, right, nullptr);
        };
        sets.erase(std::remove_if(sets.begin(), sets.end(), fails), sets.end());
        break;
      }
      case Stage::Kind::kBy:
        sets = split(*stage.by, std::move(sets));
        is_grouped = true;
        break;
      case Stage::Kind::kCoalesce: {
        Rows rows;
        for (const Spanset& set : sets) {
          Rows both;
          std::set_union(rows.begin(), rows.end(), set.rows.begin(), set.rows.end(),
                         std::back_inserter(both));
          rows = std::move(both);
        }
        sets.clear();
        sets.push_back({.rows = std::move(rows)});
        is_grouped = false;
        break;
      }
      case Stage::Kind::kSelect: break;
    }
    std::erase_if(sets, [](const Spanset& set) { return set.rows.empty(); });
    if (sets.empty() || !error_.ok()) return {};
  }
  return sets;
}

Rows PipelineEvaluator::spansets(const Spansets& expression, const Rows& input, bool is_grouped,
                                 TraceRows trace) {
  switch (expression.kind) {
    case Spansets::Kind::kFilter: {
      if (!expression.filter) return input;
      const BoundField& filter = bound(*expression.filter);
      Rows out;
      for (const std::uint32_t row : input) {
        if (filter.at(row, error_).is_true()) out.push_back(row);
      }
      return out;
    }
    case Spansets::Kind::kPipeline: {
      std::vector<Spanset> sets;
      sets.push_back({.rows = input});
      Rows out;
      for (const Spanset& set : run_stages(expression.pipeline, std::move(sets), trace)) {
        out.insert(out.end(), set.rows.begin(), set.rows.end());
      }
      std::sort(out.begin(), out.end());
      out.erase(std::unique(out.begin(), out.end()), out.end());
      return out;
    }
    case Spansets::Kind::kBinary: break;
  }
  const bool is_structural = expression.relation > Relation::kOr;
  if (is_structural && is_grouped) {
    if (error_.ok()) error_ = invalid("structural operators need coalesce() after by()");
    return {};
  }
  const Rows left = spansets(expression.operands[0], input, is_grouped, trace);
  const Rows right = spansets(expression.operands[1], input, is_grouped, trace);
  const std::span<const NestedSet> sets =
      is_structural ? source_.nested_sets() : std::span<const NestedSet>();
  return relate(left, right, expression.relation, expression.form, sets);
}

std::vector<Spanset> PipelineEvaluator::split(const Field& by, std::vector<Spanset> sets) {
  const std::string name = "by(" + print(by) + ")";
  const BoundField& field = bound(by);
  std::vector<Spanset> out;
  for (const Spanset& set : sets) {
    std::map<Value, Spanset, ValueLess> groups;
    for (const std::uint32_t row : set.rows) {
      const Value value = field.at(row, error_);
      Spanset& group = groups[value];
      if (group.rows.empty()) {
        group.attributes = set.attributes;
        group.attributes.emplace_back(name, value);
      }
      group.rows.push_back(row);
    }
    for (auto& [value, group] : groups) out.push_back(std::move(group));
  }
  return out;
}

Value PipelineEvaluator::scalar(const Scalar& expression, Spanset& set, TraceRows trace) {
  switch (expression.kind) {
    case Scalar::Kind::kStatic: return value_of(expression.value);
    case Scalar::Kind::kAggregate: return aggregate(expression, set);
    case Scalar::Kind::kNegate:
      return combined(Op::kSubtract, Value::of_int(0), scalar(expression.operands[0], set, trace));
    case Scalar::Kind::kBinary:
      return combined(expression.op, scalar(expression.operands[0], set, trace),
                      scalar(expression.operands[1], set, trace));
    case Scalar::Kind::kPipeline: break;
  }
  std::vector<Spanset> input;
  input.push_back({.rows = set.rows});
  std::vector<Spanset> sets = run_stages(expression.pipeline, std::move(input), trace);
  Spanset whole;
  for (const Spanset& part : sets) {
    whole.rows.insert(whole.rows.end(), part.rows.begin(), part.rows.end());
  }
  return whole.rows.empty() ? Value() : scalar(expression.operands[0], whole, trace);
}

Value PipelineEvaluator::aggregate(const Scalar& expression, Spanset& set) {
  Value result;
  if (expression.aggregate == Aggregate::kCount) {
    result = Value::of_int(static_cast<std::int64_t>(set.rows.size()));
  } else {
    const BoundField& field = bound(*expression.argument);
    Folded folded;
    for (const std::uint32_t row : set.rows) {
      const Value v = field.at(row, error_);
      if (!v.is_numeric()) continue;
      folded.is_duration = folded.is_duration && v.type() == ValueType::kDuration;
      folded.is_integral = folded.is_integral && v.is_integral();
      folded.sum += v.number();
      if (folded.count == 0 || v.number() < folded.least.number()) folded.least = v;
      if (folded.count == 0 || v.number() > folded.greatest.number()) folded.greatest = v;
      ++folded.count;
    }
    if (folded.count == 0) return {};
    switch (expression.aggregate) {
      case Aggregate::kMin: result = folded.least; break;
      case Aggregate::kMax: result = folded.greatest; break;
      case Aggregate::kSum: result = numeric(folded.sum, folded); break;
      default: {
        const double average = folded.sum / static_cast<double>(folded.count);
        result = folded.is_duration ? numeric(average, folded) : Value::of_float(average);
      }
    }
  }
  set.attributes.emplace_back(print(expression), result);
  return result;
}

namespace {

void collect_of_spansets(const Spansets& spansets, std::vector<Attribute>& out);

void collect_of_scalar(const Scalar& scalar, std::vector<Attribute>& out) {
  if (scalar.argument) collect_attributes(*scalar.argument, out);
  for (const Scalar& operand : scalar.operands) collect_of_scalar(operand, out);
  collect_attributes(scalar.pipeline, out);
}

void collect_of_spansets(const Spansets& spansets, std::vector<Attribute>& out) {
  if (spansets.filter) collect_attributes(*spansets.filter, out);
  for (const Spansets& operand : spansets.operands) collect_of_spansets(operand, out);
  collect_attributes(spansets.pipeline, out);
}

bool filters_of(const Spansets& spansets, std::vector<const Field*>& out) {
  switch (spansets.kind) {
    case Spansets::Kind::kFilter:
      if (!spansets.filter) return false;
      out.push_back(&*spansets.filter);
      return true;
    case Spansets::Kind::kPipeline: return collect_filters(spansets.pipeline, out);
    case Spansets::Kind::kBinary: break;
  }
  const Spansets& left = spansets.operands[0];
  const Spansets& right = spansets.operands[1];
  if (spansets.relation == Relation::kOr) return filters_of(left, out) && filters_of(right, out);
  // Both sides must have spans: the one that narrows down suffices, the right one by choice.
  std::vector<const Field*> found;
  if (filters_of(right, found)) {
    out.insert(out.end(), found.begin(), found.end());
    return true;
  }
  return spansets.form != RelationForm::kNegated && filters_of(left, out);
}

}  // namespace

void collect_attributes(const std::vector<Stage>& stages, std::vector<Attribute>& out) {
  for (const Stage& stage : stages) {
    collect_of_spansets(stage.spansets, out);
    for (const Scalar& side : stage.sides) collect_of_scalar(side, out);
    if (stage.by) collect_attributes(*stage.by, out);
    for (const Attribute& attribute : stage.select) {
      if (std::find(out.begin(), out.end(), attribute) == out.end()) out.push_back(attribute);
    }
  }
}

bool collect_filters(const std::vector<Stage>& stages, std::vector<const Field*>& out) {
  // Any one stage of span sets must leave something; the first that narrows down decides.
  for (const Stage& stage : stages) {
    if (stage.kind != Stage::Kind::kSpansets) continue;
    std::vector<const Field*> found;
    if (!filters_of(stage.spansets, found)) continue;
    out.insert(out.end(), found.begin(), found.end());
    return true;
  }
  return false;
}

}  // namespace tarsier::tracing::traceql
