#include "tracing/policy/rule_conditions.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/quote.h"

namespace tarsier::tracing {
namespace {

using Kind = Expression::Kind;

/// One entry of `conditions`.
struct Condition {
  std::vector<std::string> fields;
  std::string op;
  std::vector<Value> values;
  std::string values_text;
};

/// A literal of the type asked for; without one, as it is written.
Result<Value> typed_value(const JsonValue& node, std::string_view datatype, std::string& text) {
  if (node.kind() == JsonKind::kBool) {
    const bool v = TRY(node.as_bool());
    text = v ? "true" : "false";
    if (datatype == "string") return Value::of(text);
    return Value::of_bool(v);
  }
  if (node.kind() == JsonKind::kNumber) {
    const double v = TRY(node.as_double());
    text = plain_number(v);
    if (datatype == "string") return Value::of(text);
    const Result<std::int64_t> whole = node.as_int64();
    if (whole.ok() && datatype != "float") return Value::of(*whole);
    return Value::of_real(v);
  }
  text = TRY(node.as_string());
  if (datatype.empty() || datatype == "string") return Value::of(text);
  if (datatype == "bool") return Value::of_bool(text == "true");
  double real = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), real);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return invalid(quote(text) + " is no number");
  }
  if (datatype == "int" && real > -9e18 && real < 9e18) {
    return Value::of(static_cast<std::int64_t>(real));
  }
  return Value::of_real(real);
}

Result<Condition> read_condition(const JsonValue& node, const std::string& path) {
  JsonFields in(node, path);
  Condition out;
  std::string field;
  std::string datatype;
  in.read("field", field);
  in.read("fields", out.fields);
  in.read("operator", out.op);
  in.read("datatype", datatype);
  if (!field.empty()) out.fields.push_back(field);
  if (!datatype.empty() && datatype != "string" && datatype != "int" && datatype != "float" &&
      datatype != "bool") {
    return in.fail("unknown datatype " + quote(datatype));
  }
  if (const JsonValue* value = in.find("value")) {
    const bool is_list = value->kind() == JsonKind::kArray;
    const std::size_t count = is_list ? value->items().size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
      std::string text;
      auto made = typed_value(is_list ? value->items()[i] : *value, datatype, text);
      if (!made.ok()) return in.fail(made.status().message());
      out.values.push_back(std::move(made).value());
      out.values_text += " " + quote(text);
    }
    out.values_text += " " + datatype;
  }
  if (out.fields.empty() && out.op != "has-root-span" && in.ok())
    return in.fail("field is missing");
  TRY(in.finish());
  return out;
}

Expression root_only(Expression e) {
  std::vector<Expression> both;
  both.push_back(Expression::test(
      Kind::kEqual, {Value::of(Field{.source = Field::Source::kIsRoot}), Value::of_bool(true)}));
  both.push_back(std::move(e));
  return Expression::all_of(std::move(both));
}

/// What one span must have to meet the condition for this field.
Result<Expression> span_test(const Condition& condition, Value field) {
  static const std::map<std::string_view, Kind> kOrders = {
      {"=", Kind::kEqual},
      {"!=", Kind::kEqual},
      {">", Kind::kGreater},
      {"<", Kind::kLess},
      {">=", Kind::kGreaterEqual},
      {"<=", Kind::kLessEqual},
      {"in", Kind::kIn},
      {"not-in", Kind::kIn},
      {"starts-with", Kind::kHasPrefix},
      {"contains", Kind::kContains},
      {"does-not-contain", Kind::kContains},
  };
  const std::string& op = condition.op;
  if (op == "exists" || op == "not-exists") {
    Expression out = Expression::test(Kind::kExists, {std::move(field)});
    return op == "exists" ? std::move(out) : Expression::negation(std::move(out));
  }
  if (op == "matches") {
    if (condition.values.size() != 1 || !condition.values[0].literal.is_string()) {
      return invalid("matches needs one pattern");
    }
    Expression out{.kind = Kind::kMatches, .values = {std::move(field)}};
    out.regex = TRY(SearchRegex::compile(condition.values[0].literal_text));
    return out;
  }
  const auto found = kOrders.find(op);
  if (found == kOrders.end()) return invalid("unknown operator " + quote(op));
  const bool is_list = found->second == Kind::kIn;
  if (condition.values.empty() || (!is_list && condition.values.size() != 1)) {
    return invalid(op + " needs a value");
  }
  std::vector<Value> values = {std::move(field)};
  values.insert(values.end(), condition.values.begin(), condition.values.end());
  Expression out = Expression::test(found->second, std::move(values));
  if (op == "!=" || op == "not-in" || op == "does-not-contain") {
    return Expression::negation(std::move(out));
  }
  return out;
}

/// The condition over all of its fields: any of them will do.
Result<Expression> any_field_test(const Condition& condition) {
  if (condition.op == "has-root-span") return root_only(Expression());
  std::vector<Expression> any;
  for (const std::string& name : condition.fields) {
    const bool is_root = name.starts_with("root.");
    Expression test =
        TRY(span_test(condition, Value::of(rule_field(is_root ? name.substr(5) : name))));
    any.push_back(is_root ? root_only(std::move(test)) : std::move(test));
  }
  return Expression::any_of(std::move(any));
}

std::string text_of(const Condition& condition) {
  std::string out = "rule:";
  for (const std::string& field : condition.fields) out += " " + quote(field);
  return out + " " + condition.op + condition.values_text;
}

/// `?.NUM_DESCENDANTS`: of the trace, not of a span.
Status narrow_span_count(const Condition& condition, RulesPolicy::Rule& rule) {
  if (condition.values.size() != 1 ||
      condition.values[0].literal.kind != AttributeValue::Kind::kInt) {
    return invalid("?.NUM_DESCENDANTS is compared with a whole number");
  }
  const std::int64_t wanted =
      std::clamp<std::int64_t>(condition.values[0].literal.integer, 0, 1'000'000'000);
  const auto v = static_cast<std::uint32_t>(wanted);
  const std::string& op = condition.op;
  if (op == ">" || op == ">=" || op == "=") {
    rule.spans_min = std::max(rule.spans_min, op == ">" ? v + 1 : v);
  }
  if (op == "<" || op == "<=" || op == "=") {
    // Fewer than none is nobody.
    if (op == "<" && v == 0) rule.spans_min = std::numeric_limits<std::uint32_t>::max();
    rule.spans_max = std::min(rule.spans_max, op == "<" && v > 0 ? v - 1 : v);
    return {};
  }
  return op.starts_with('>') ? Status() : invalid("?.NUM_DESCENDANTS knows = < <= > >=");
}

}  // namespace

Field rule_field(std::string_view name) {
  static const std::map<std::string_view, Field::Source> kIntrinsics = {
      {"name", Field::Source::kName},
      {"duration_ms", Field::Source::kDurationMs},
      {"error", Field::Source::kIsError},
      {"status_code", Field::Source::kStatus},
      {"status_message", Field::Source::kStatusMessage},
      {"span.kind", Field::Source::kKindName},
  };
  const auto found = kIntrinsics.find(name);
  if (found != kIntrinsics.end()) return {.source = found->second};
  return {.source = Field::Source::kSpanOrResource, .key = std::string(name)};
}

Status read_rule_conditions(JsonFields& fields, ConditionSet& conditions, RulesPolicy::Rule& rule) {
  std::string scope = "trace";
  fields.read("scope", scope);
  if (scope != "trace" && scope != "span") return fields.fail("scope must be trace or span");
  const JsonValue* list = fields.list("conditions");
  if (list == nullptr) return {};
  std::vector<Expression> same_span;
  std::string same_span_text = "same span:";
  for (std::size_t i = 0; i < list->items().size(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.path_of("conditions"), i);
    Condition condition = TRY(read_condition(list->items()[i], path));
    if (condition.fields.size() == 1 && condition.fields[0] == "?.NUM_DESCENDANTS") {
      TRY(narrow_span_count(condition, rule).with_prefix(path));
      continue;
    }
    const bool is_absence = condition.op == "not-exists" && scope == "trace";
    if (is_absence) condition.op = "exists";
    Result<Expression> test = any_field_test(condition);
    if (!test.ok()) return std::move(test).status().with_prefix(path);
    if (scope == "span") {
      same_span.push_back(std::move(test).value());
      same_span_text += " " + text_of(condition);
      continue;
    }
    const std::uint32_t bit =
        TRY(conditions.add(text_of(condition), ConditionSet::Over::kSpan, std::move(test).value()));
    (is_absence ? rule.excluded : rule.conditions).set(bit);
  }
  if (!same_span.empty()) {
    rule.conditions.set(TRY(conditions.add(same_span_text, ConditionSet::Over::kSpan,
                                           Expression::all_of(std::move(same_span)))));
  }
  return {};
}

}  // namespace tarsier::tracing
