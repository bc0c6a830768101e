#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "alerting/template/go_time.h"
#include "base/result.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

class Value;
using ValueList = std::vector<Value>;
using ValueMap = std::map<std::string, Value, std::less<>>;
using ValueFields = std::vector<std::pair<std::string, Value>>;

enum class ValueKind : unsigned char {
  kNone,  ///< Nothing: prints `<no value>`.
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kMap,
  kStruct,
  kTime,
  kDuration,
};

/// `.Name` with its arguments on a value of a type.
struct ValueMethod {
  std::string_view name;
  std::size_t argument_count;
  Result<Value> (*call)(const Value& self, std::span<const Value> arguments);
};

/// What Go's type system says of a value, as far as templates can see it. Objects of this type are
/// constants that live as long as the program.
struct ValueType {
  std::string_view name;          ///< As %T shows it.
  bool is_pointer = false;        ///< To a struct: prints as `&{...}`.
  bool missing_is_empty = false;  ///< A map of strings: a missing key is "".
  std::span<const ValueMethod> methods;
};

/// A value inside a template. Cheap to copy; immutable; any number of threads.
class Value final {
 public:
  Value() = default;
  explicit Value(bool v) : state_(v) {}
  explicit Value(std::int64_t v) : state_(v) {}
  explicit Value(double v) : state_(v) {}
  explicit Value(std::string v) : state_(std::move(v)) {}
  explicit Value(std::string_view v) : state_(std::string(v)) {}
  explicit Value(const char* v) : state_(std::string(v)) {}
  explicit Value(GoTime v) : state_(std::move(v)) {}
  explicit Value(GoDuration v) : state_(v) {}
  /// `type` null: `[]interface {}` and `map[string]interface {}`.
  static Value list(ValueList items, const ValueType* type = nullptr);
  static Value map(ValueMap entries, const ValueType* type = nullptr);
  static Value structure(ValueFields fields, const ValueType* type);
  static Value string_list(const std::vector<std::string>& items);
  /// `map[string]string`.
  static Value labels(const tsdb::Labels& labels);

  ValueKind kind() const { return static_cast<ValueKind>(state_.index()); }
  bool is_none() const { return kind() == ValueKind::kNone; }
  /// As Go's %T; "<nil>" for nothing.
  std::string_view type_name() const;
  bool missing_is_empty() const { return type_ != nullptr && type_->missing_is_empty; }
  bool is_pointer() const { return type_ != nullptr && type_->is_pointer; }
  /// Null if the type has no method of that name.
  const ValueMethod* method(std::string_view name) const;
  const ValueType* type() const { return type_; }

  // REQUIRES: the kind.
  bool as_bool() const { return std::get<bool>(state_); }
  std::int64_t as_int() const { return std::get<std::int64_t>(state_); }
  double as_float() const { return std::get<double>(state_); }
  const std::string& as_string() const { return std::get<std::string>(state_); }
  const ValueList& as_list() const { return *std::get<List>(state_); }
  const ValueMap& as_map() const { return *std::get<Map>(state_); }
  const ValueFields& as_fields() const { return *std::get<Fields>(state_); }
  const GoTime& as_time() const { return std::get<GoTime>(state_); }
  GoDuration as_duration() const { return std::get<GoDuration>(state_); }

  /// The field of a struct; null if there is none.
  const Value* field(std::string_view name) const;
  /// Neither zero nor empty nor nothing.
  bool truth() const;
  /// About as many bytes as printing it takes: what is shared inside counts every time.
  std::size_t weight() const;

 private:
  using List = std::shared_ptr<const ValueList>;
  using Map = std::shared_ptr<const ValueMap>;
  using Fields = std::shared_ptr<const ValueFields>;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map, Fields, GoTime,
               GoDuration>
      state_;
  const ValueType* type_ = nullptr;
  std::size_t inner_weight_ = 0;  // Of a list, map or struct.
};

}  // namespace tarsier::alerting
