#include <algorithm>

#include "alerting/template/function.h"
#include "alerting/template/print.h"
#include "alerting/time_zone.h"
#include "base/ascii.h"
#include "base/base64.h"
#include "base/json_writer.h"
#include "base/percent_encoding.h"
#include "base/posix_file.h"
#include "base/quote.h"
#include "base/unicode_case.h"

namespace tarsier::alerting {
namespace {

using Arguments = std::span<const Value>;
using Context = FunctionContext;

Result<Value> upper(const Context&, Arguments a) { return Value(to_upper_case(a[0].as_string())); }
Result<Value> lower(const Context&, Arguments a) { return Value(to_lower_case(a[0].as_string())); }
Result<Value> title(const Context&, Arguments a) { return Value(title_case(a[0].as_string())); }
Result<Value> trim_space(const Context&, Arguments a) {
  return Value(std::string(trimmed(a[0].as_string())));
}
Result<Value> identity(const Context&, Arguments a) { return a[0]; }

Result<Value> join(const Context&, Arguments a) {
  std::string out;
  if (a[1].is_none()) return Value(std::move(out));
  for (std::size_t i = 0; i < a[1].as_list().size(); ++i) {
    if (i > 0) out += a[0].as_string();
    out += a[1].as_list()[i].as_string();
  }
  return Value(std::move(out));
}

Result<Value> string_slice(const Context&, Arguments a) {
  std::vector<std::string> out;
  for (const Value& item : a) out.push_back(item.as_string());
  return Value::string_list(out);
}

Result<Value> list(const Context&, Arguments a) {
  return Value::list(ValueList(a.begin(), a.end()));
}

Result<Value> append(const Context&, Arguments a) {
  if (a[0].kind() != ValueKind::kList) {
    return invalid("cannot append to " + std::string(a[0].type_name()));
  }
  ValueList out = a[0].as_list();
  out.insert(out.end(), a.begin() + 1, a.end());
  return Value::list(std::move(out));
}

Result<Value> dict(const Context&, Arguments a) {
  if (a.size() % 2 != 0) return invalid("dict requires an even number of arguments");
  ValueMap out;
  for (std::size_t i = 0; i < a.size(); i += 2) {
    if (a[i].kind() != ValueKind::kString) return invalid("dict keys must be strings");
    out[a[i].as_string()] = a[i + 1];
  }
  return Value::map(std::move(out));
}

Result<Value> date(const Context&, Arguments a) {
  return Value(format_go_time(a[1].as_time(), a[0].as_string()));
}

Result<Value> in_zone(const Context&, Arguments a) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const TimeZone zone = TRY(TimeZone::load(*files, a[0].as_string()));
  GoTime t = a[1].as_time();
  TimeZone::Offset offset = zone.offset_at(t.unix_s);
  t.offset_s = offset.seconds;
  t.zone = std::move(offset.abbreviation);
  return Value(std::move(t));
}

Result<Value> now(const Context& context, Arguments) { return Value(go_time(context.now)); }

Result<Value> route_label(const Context& context, Arguments a) {
  if (context.route_label == nullptr) return Value("");
  return Value(TRY(context.route_label(a[0].as_string())));
}

Result<Value> url_unescape(const Context&, Arguments a) {
  std::string text = a[0].as_string();
  std::replace(text.begin(), text.end(), '+', ' ');
  std::optional<std::string> plain = percent_decode(text);
  if (!plain) return invalid("invalid URL escape in " + quote(a[0].as_string()));
  return Value(std::move(*plain));
}

// URLs hold what these give: '-' and '_' stand where base64 has '+' and '/' (RFC 4648, section 5).
Result<Value> to_url_base64(const Context&, Arguments a) {
  std::string text = encode_base64(a[0].as_string());
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return Value(std::move(text));
}

Result<Value> from_url_base64(const Context&, Arguments a) {
  std::string text = a[0].as_string();
  const std::size_t foreign = text.find_first_of("+/");
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  std::optional<std::string> plain;
  if (foreign == std::string::npos) plain = decode_base64(text);
  if (!plain) return invalid("illegal base64 data in " + quote(a[0].as_string()));
  return Value(std::move(*plain));
}

Result<Value> since(const Context& context, Arguments a) {
  return Value(time_between(a[0].as_time(), go_time(context.now)));
}

Result<Value> humanize_seconds_of(const Context&, Arguments a) {
  const double seconds = TRY(to_number(a[0]));
  return Value(humanize_duration(seconds));
}

void write_json(JsonWriter& json, const Value& value) {
  switch (value.kind()) {
    case ValueKind::kNone: json.null(); break;
    case ValueKind::kBool: json.value(value.as_bool()); break;
    case ValueKind::kInt: json.value(value.as_int()); break;
    case ValueKind::kFloat: json.value(value.as_float()); break;
    case ValueKind::kString: json.value(value.as_string()); break;
    case ValueKind::kTime: json.value(go_rfc3339_nano(value.as_time())); break;
    case ValueKind::kDuration: json.value(value.as_duration().ns); break;
    case ValueKind::kList:
      json.begin_array();
      for (const Value& item : value.as_list()) write_json(json, item);
      json.end_array();
      break;
    case ValueKind::kMap:
      json.begin_object();
      for (const auto& [key, item] : value.as_map()) write_json(json.key(key), item);
      json.end_object();
      break;
    case ValueKind::kStruct:
      json.begin_object();
      for (const auto& [key, item] : value.as_fields()) write_json(json.key(key), item);
      json.end_object();
      break;
  }
}

Result<Value> to_json(const Context&, Arguments a) {
  std::string out;
  JsonWriter json(out);
  write_json(json, a[0]);
  return Value(std::move(out));
}

FunctionTable make_table() {
  constexpr ArgumentType kAny = ArgumentType::kAny;
  constexpr ArgumentType kString = ArgumentType::kString;
  constexpr ArgumentType kTime = ArgumentType::kTime;
  FunctionTable table = builtin_functions();
  table["toUpper"] = {{kString}, false, upper};
  table["toLower"] = {{kString}, false, lower};
  table["title"] = {{kString}, false, title};
  table["trimSpace"] = {{kString}, false, trim_space};
  table["join"] = {{kString, ArgumentType::kStringList}, false, join};
  table["match"] = {{kString, kString}, false, match_function};
  table["safeHtml"] = {{kString}, false, identity};
  table["safeUrl"] = {{kString}, false, identity};
  table["reReplaceAll"] = {{kString, kString, kString}, false, replace_function};
  table["stringSlice"] = {{kString}, true, string_slice};
  table["list"] = {{kAny}, true, list};
  table["append"] = {{kAny, kAny}, true, append};
  table["dict"] = {{kAny}, true, dict};
  table["date"] = {{kString, kTime}, false, date};
  table["tz"] = {{kString, kTime}, false, in_zone};
  table["now"] = {{}, false, now};
  table["routeLabels"] = {{kString}, false, route_label};
  table["urlUnescape"] = {{kString}, false, url_unescape};
  table["base64encode"] = {{kString}, false, to_url_base64};
  table["base64decode"] = {{kString}, false, from_url_base64};
  table["since"] = {{kTime}, false, since};
  table["humanizeDuration"] = {{kAny}, false, humanize_seconds_of};
  table["toJson"] = {{kAny}, false, to_json};
  return table;
}

}  // namespace

const FunctionTable& notification_functions() {
  static const FunctionTable table = make_table();
  return table;
}

}  // namespace tarsier::alerting
