#include "alerting/template/value.h"

#include <limits>

#include "alerting/template/time_methods.h"

namespace tarsier::alerting {
namespace {

const ValueType kStringList{.name = "[]string", .methods = {}};
const ValueType kStringMap{.name = "map[string]string", .missing_is_empty = true, .methods = {}};

/// Saturating: sharing makes it possible to double it again and again.
std::size_t add(std::size_t a, std::size_t b) {
  std::size_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::size_t>::max() : sum;
}

}  // namespace

Value Value::list(ValueList items, const ValueType* type) {
  Value value;
  for (const Value& item : items) value.inner_weight_ = add(value.inner_weight_, item.weight());
  value.state_ = std::make_shared<const ValueList>(std::move(items));
  value.type_ = type;
  return value;
}

Value Value::map(ValueMap entries, const ValueType* type) {
  Value value;
  for (const auto& [key, item] : entries) {
    value.inner_weight_ = add(value.inner_weight_, add(key.size(), item.weight()));
  }
  value.state_ = std::make_shared<const ValueMap>(std::move(entries));
  value.type_ = type;
  return value;
}

Value Value::structure(ValueFields fields, const ValueType* type) {
  Value value;
  for (const auto& [name, item] : fields) {
    value.inner_weight_ = add(value.inner_weight_, item.weight());
  }
  value.state_ = std::make_shared<const ValueFields>(std::move(fields));
  value.type_ = type;
  return value;
}

Value Value::string_list(const std::vector<std::string>& items) {
  ValueList list;
  for (const std::string& item : items) list.emplace_back(item);
  return Value::list(std::move(list), &kStringList);
}

Value Value::labels(const tsdb::Labels& labels) {
  ValueMap map;
  for (const tsdb::LabelView label : labels) {
    map.emplace_hint(map.end(), std::string(label.name), Value(label.value));
  }
  return Value::map(std::move(map), &kStringMap);
}

std::string_view Value::type_name() const {
  if (type_ != nullptr) return type_->name;
  switch (kind()) {
    case ValueKind::kNone: return "<nil>";
    case ValueKind::kBool: return "bool";
    case ValueKind::kInt: return "int";
    case ValueKind::kFloat: return "float64";
    case ValueKind::kString: return "string";
    case ValueKind::kList: return "[]interface {}";
    case ValueKind::kMap: return "map[string]interface {}";
    case ValueKind::kStruct: return "struct {}";
    case ValueKind::kTime: return "time.Time";
    case ValueKind::kDuration: return "time.Duration";
  }
  return "";
}

const ValueMethod* Value::method(std::string_view name) const {
  std::span<const ValueMethod> methods;
  if (type_ != nullptr) methods = type_->methods;
  if (kind() == ValueKind::kTime) methods = time_methods();
  if (kind() == ValueKind::kDuration) methods = duration_methods();
  for (const ValueMethod& method : methods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

const Value* Value::field(std::string_view name) const {
  for (const auto& [key, value] : as_fields()) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::size_t Value::weight() const {
  if (kind() == ValueKind::kString) return add(8, as_string().size());
  return add(8, inner_weight_);
}

bool Value::truth() const {
  switch (kind()) {
    case ValueKind::kNone: return false;
    case ValueKind::kBool: return as_bool();
    case ValueKind::kInt: return as_int() != 0;
    case ValueKind::kFloat: return as_float() != 0;
    case ValueKind::kString: return !as_string().empty();
    case ValueKind::kList: return !as_list().empty();
    case ValueKind::kMap: return !as_map().empty();
    case ValueKind::kDuration: return as_duration().ns != 0;
    case ValueKind::kStruct:
    case ValueKind::kTime: return true;
  }
  return false;
}

}  // namespace tarsier::alerting
