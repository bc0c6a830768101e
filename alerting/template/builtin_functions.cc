#include <algorithm>
#include <cctype>
#include <optional>

#include <fmt/format.h>

#include "alerting/template/function.h"
#include "alerting/template/print.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

using Arguments = std::span<const Value>;
using Context = FunctionContext;

Result<Value> never_called(const Context&, Arguments) {
  return invalid("evaluated by the executor");  // `and` and `or` stop early.
}

Result<Value> logical_not(const Context&, Arguments a) { return Value(!a[0].truth()); }

// Comparison -------------------------------------------------------------------------------------

bool is_basic(const Value& v) {
  switch (v.kind()) {
    case ValueKind::kBool:
    case ValueKind::kInt:
    case ValueKind::kFloat:
    case ValueKind::kString:
    case ValueKind::kDuration: return true;
    default: return false;
  }
}

/// Durations are whole numbers to Go.
ValueKind basic_kind(const Value& v) {
  return v.kind() == ValueKind::kDuration ? ValueKind::kInt : v.kind();
}
std::int64_t whole_number(const Value& v) {
  return v.kind() == ValueKind::kDuration ? v.as_duration().ns : v.as_int();
}

Status incompatible(const Value& a, const Value& b) {
  return invalid(
      fmt::format("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()));
}

Result<bool> equal(const Value& a, const Value& b) {
  if (a.is_none() || b.is_none()) return a.is_none() == b.is_none();
  if (!is_basic(a) || !is_basic(b)) {
    if (a.kind() != b.kind()) return incompatible(a, b);
    if (a.kind() == ValueKind::kTime) {
      return a.as_time().unix_s == b.as_time().unix_s && a.as_time().ns == b.as_time().ns;
    }
    return invalid(fmt::format("non-comparable types {}: {}, {}: {}", go_text(a), a.type_name(),
                               b.type_name(), go_text(b)));
  }
  if (basic_kind(a) != basic_kind(b)) return incompatible(a, b);
  switch (basic_kind(a)) {
    case ValueKind::kBool: return a.as_bool() == b.as_bool();
    case ValueKind::kFloat: return a.as_float() == b.as_float();
    case ValueKind::kString: return a.as_string() == b.as_string();
    default: return whole_number(a) == whole_number(b);
  }
}

Result<bool> less(const Value& a, const Value& b) {
  if (!is_basic(a) || !is_basic(b)) return invalid("invalid type for comparison");
  if (basic_kind(a) != basic_kind(b)) return incompatible(a, b);
  switch (basic_kind(a)) {
    case ValueKind::kFloat: return a.as_float() < b.as_float();
    case ValueKind::kString: return a.as_string() < b.as_string();
    case ValueKind::kInt: return whole_number(a) < whole_number(b);
    default: return invalid("invalid type for comparison");
  }
}

Result<Value> eq(const Context&, Arguments a) {
  if (a.size() < 2) return invalid("missing argument for comparison");
  for (std::size_t i = 1; i < a.size(); ++i) {
    if (TRY(equal(a[0], a[i]))) return Value(true);
  }
  return Value(false);
}
Result<Value> ne(const Context&, Arguments a) { return Value(!TRY(equal(a[0], a[1]))); }
Result<Value> lt(const Context&, Arguments a) { return Value(TRY(less(a[0], a[1]))); }
Result<bool> less_or_equal(const Value& a, const Value& b) {
  if (TRY(less(a, b))) return true;
  return equal(a, b);
}
Result<Value> le(const Context&, Arguments a) { return Value(TRY(less_or_equal(a[0], a[1]))); }
// As in Go these are negations, so that everything is greater than NaN.
Result<Value> gt(const Context&, Arguments a) { return Value(!TRY(less_or_equal(a[0], a[1]))); }
Result<Value> ge(const Context&, Arguments a) { return Value(!TRY(less(a[0], a[1]))); }

// Collections ------------------------------------------------------------------------------------

Result<Value> len(const Context&, Arguments a) {
  switch (a[0].kind()) {
    case ValueKind::kString: return Value(static_cast<std::int64_t>(a[0].as_string().size()));
    case ValueKind::kList: return Value(static_cast<std::int64_t>(a[0].as_list().size()));
    case ValueKind::kMap: return Value(static_cast<std::int64_t>(a[0].as_map().size()));
    case ValueKind::kNone: return invalid("len of nil pointer");
    default: return invalid("len of type " + std::string(a[0].type_name()));
  }
}

Result<std::size_t> position(const Value& index, std::size_t limit) {
  if (index.is_none()) return invalid("cannot index slice/array with nil");
  if (index.kind() != ValueKind::kInt) {
    return invalid("cannot index slice/array with type " + std::string(index.type_name()));
  }
  if (index.as_int() < 0 || static_cast<std::uint64_t>(index.as_int()) > limit) {
    return invalid("index out of range: " + std::to_string(index.as_int()));
  }
  return static_cast<std::size_t>(index.as_int());
}

Result<Value> index_once(const Value& item, const Value& index) {
  switch (item.kind()) {
    case ValueKind::kNone: return invalid("index of untyped nil");
    case ValueKind::kList: {
      const std::size_t size = item.as_list().size();
      const std::size_t at = TRY(position(index, size));
      if (at == size) return invalid("index out of range: " + std::to_string(at));
      return item.as_list()[at];
    }
    case ValueKind::kString: {
      const std::size_t size = item.as_string().size();
      const std::size_t at = TRY(position(index, size));
      if (at == size) return invalid("index out of range: " + std::to_string(at));
      return Value(std::int64_t{static_cast<unsigned char>(item.as_string()[at])});
    }
    case ValueKind::kMap: {
      if (index.kind() != ValueKind::kString) {
        if (index.is_none()) return invalid("value is nil; should be of type string");
        return invalid("value has type " + std::string(index.type_name()) + "; should be string");
      }
      const auto found = item.as_map().find(index.as_string());
      if (found != item.as_map().end()) return found->second;
      return item.missing_is_empty() ? Value("") : Value();
    }
    default: return invalid("can't index item of type " + std::string(item.type_name()));
  }
}

Result<Value> index(const Context&, Arguments a) {
  Value item = a[0];
  if (item.is_none()) return invalid("index of untyped nil");
  for (std::size_t i = 1; i < a.size(); ++i) item = TRY(index_once(item, a[i]));
  return item;
}

Result<Value> slice(const Context&, Arguments a) {
  if (a[0].is_none()) return invalid("slice of untyped nil");
  if (a.size() > 4) return invalid(fmt::format("too many slice indexes: {}", a.size() - 1));
  const bool is_string = a[0].kind() == ValueKind::kString;
  if (!is_string && a[0].kind() != ValueKind::kList) {
    return invalid("can't slice item of type " + std::string(a[0].type_name()));
  }
  if (is_string && a.size() == 4) return invalid("cannot 3-index slice a string");
  const std::size_t size = is_string ? a[0].as_string().size() : a[0].as_list().size();
  std::size_t begin = 0;
  std::size_t end = size;
  if (a.size() > 1) begin = TRY(position(a[1], size));
  if (a.size() > 2) end = TRY(position(a[2], size));
  if (a.size() > 3) TRY(position(a[3], size));
  if (begin > end) return invalid(fmt::format("invalid slice index: {} > {}", begin, end));
  if (is_string) return Value(a[0].as_string().substr(begin, end - begin));
  const ValueList& items = a[0].as_list();
  return Value::list(ValueList(items.begin() + static_cast<std::ptrdiff_t>(begin),
                               items.begin() + static_cast<std::ptrdiff_t>(end)),
                     a[0].type());
}

Result<Value> call(const Context&, Arguments a) {
  if (a[0].is_none()) return invalid("call of nil");
  return invalid("non-function of type " + std::string(a[0].type_name()));
}

// Text -------------------------------------------------------------------------------------------

Result<Value> print(const Context&, Arguments a) { return Value(go_sprint(a)); }
Result<Value> println(const Context&, Arguments a) { return Value(go_sprintln(a)); }
Result<Value> printf(const Context&, Arguments a) {
  return Value(go_sprintf(a[0].as_string(), a.subspan(1)));
}

std::string joined(Arguments a) {
  if (a.size() == 1 && a[0].kind() == ValueKind::kString) return a[0].as_string();
  return go_sprint(a);
}

Result<Value> html(const Context&, Arguments a) {
  std::string out;
  for (const char c : joined(a)) {
    switch (c) {
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\0': out += "\xef\xbf\xbd"; break;
      default: out += c;
    }
  }
  return Value(std::move(out));
}

Result<Value> js(const Context&, Arguments a) {
  std::string out;
  for (const char c : joined(a)) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\'': out += "\\'"; break;
      case '"': out += "\\\""; break;
      case '<': out += "\\u003C"; break;
      case '>': out += "\\u003E"; break;
      case '&': out += "\\u0026"; break;
      case '=': out += "\\u003D"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return Value(std::move(out));
}

Result<Value> urlquery(const Context&, Arguments a) { return Value(query_escape(joined(a))); }

FunctionTable make_builtins() {
  constexpr ArgumentType kAny = ArgumentType::kAny;
  constexpr ArgumentType kString = ArgumentType::kString;
  FunctionTable table;
  table["and"] = {{kAny, kAny}, true, never_called};
  table["or"] = {{kAny, kAny}, true, never_called};
  table["not"] = {{kAny}, false, logical_not};
  table["eq"] = {{kAny, kAny}, true, eq};
  table["ne"] = {{kAny, kAny}, false, ne};
  table["lt"] = {{kAny, kAny}, false, lt};
  table["le"] = {{kAny, kAny}, false, le};
  table["gt"] = {{kAny, kAny}, false, gt};
  table["ge"] = {{kAny, kAny}, false, ge};
  table["len"] = {{kAny}, false, len};
  table["index"] = {{kAny, kAny}, true, index};
  table["slice"] = {{kAny, kAny}, true, slice};
  table["call"] = {{kAny, kAny}, true, call};
  table["print"] = {{kAny}, true, print};
  table["println"] = {{kAny}, true, println};
  table["printf"] = {{kString, kAny}, true, printf};
  table["html"] = {{kAny}, true, html};
  table["js"] = {{kAny}, true, js};
  table["urlquery"] = {{kAny}, true, urlquery};
  return table;
}

}  // namespace

std::string_view argument_type_name(ArgumentType type) {
  switch (type) {
    case ArgumentType::kAny: return "interface {}";
    case ArgumentType::kString: return "string";
    case ArgumentType::kInt: return "int";
    case ArgumentType::kTime: return "time.Time";
    case ArgumentType::kStringList: return "[]string";
    case ArgumentType::kSamples: return "template.queryResult";
    case ArgumentType::kSample: return "*template.sample";
  }
  return "";
}

const FunctionTable& builtin_functions() {
  static const FunctionTable table = make_builtins();
  return table;
}

std::string query_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~')) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

}  // namespace tarsier::alerting
