#include "alerting/template/time_methods.h"

#include <array>
#include <charconv>

#include "alerting/template/value.h"

namespace tarsier::alerting {
namespace {

using Arguments = std::span<const Value>;

Status wrong_type(std::string_view wanted, const Value& got) {
  return invalid("wrong type for value; expected " + std::string(wanted) + "; got " +
                 std::string(got.type_name()));
}

template <auto F>
Result<Value> of_time(const Value& self, Arguments) {
  return Value(F(self.as_time()));
}
template <auto F>
Result<Value> of_duration(const Value& self, Arguments) {
  return Value(F(self.as_duration()));
}

std::int64_t unix_milliseconds(const GoTime& t) { return t.unix_s * 1000 + t.ns / 1'000'000; }
std::int64_t unix_nanoseconds(const GoTime& t) { return t.unix_s * 1'000'000'000 + t.ns; }
GoTime in_utc(const GoTime& t) { return {t.unix_s, t.ns, 0, "UTC"}; }
bool is_zero(const GoTime& t) { return t.unix_s == kGoZeroSeconds && t.ns == 0; }

Result<Value> format(const Value& self, Arguments arguments) {
  if (arguments[0].kind() != ValueKind::kString) return wrong_type("string", arguments[0]);
  return Value(format_go_time(self.as_time(), arguments[0].as_string()));
}

Result<Value> add(const Value& self, Arguments arguments) {
  std::int64_t ns = 0;
  if (arguments[0].kind() == ValueKind::kDuration) {
    ns = arguments[0].as_duration().ns;
  } else if (arguments[0].kind() == ValueKind::kInt) {
    ns = arguments[0].as_int();
  } else {
    return wrong_type("time.Duration", arguments[0]);
  }
  return Value(add_to_time(self.as_time(), GoDuration{ns}));
}

Result<Value> subtract(const Value& self, Arguments arguments) {
  if (arguments[0].kind() != ValueKind::kTime) return wrong_type("time.Time", arguments[0]);
  return Value(time_between(arguments[0].as_time(), self.as_time()));
}

template <int kSign>
Result<Value> compare(const Value& self, Arguments arguments) {
  if (arguments[0].kind() != ValueKind::kTime) return wrong_type("time.Time", arguments[0]);
  const GoTime& a = self.as_time();
  const GoTime& b = arguments[0].as_time();
  const int order = a.unix_s != b.unix_s ? (a.unix_s < b.unix_s ? -1 : 1)
                                         : (a.ns < b.ns   ? -1
                                            : a.ns > b.ns ? 1
                                                          : 0);
  return Value(order == kSign);
}

std::int64_t year(const GoTime& t) { return civil_time(t).year; }
std::int64_t day(const GoTime& t) { return civil_time(t).day; }
std::int64_t hour(const GoTime& t) { return civil_time(t).hour; }
std::int64_t minute(const GoTime& t) { return civil_time(t).minute; }
std::int64_t second(const GoTime& t) { return civil_time(t).second; }
std::int64_t year_day(const GoTime& t) {
  std::int64_t out = 0;
  const std::string text = format_go_time(t, "002");
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}
std::string month(const GoTime& t) { return format_go_time(t, "January"); }
std::string weekday(const GoTime& t) { return format_go_time(t, "Monday"); }
std::int64_t unix_seconds(const GoTime& t) { return t.unix_s; }

double d_hours(GoDuration d) { return static_cast<double>(d.ns) / 3.6e12; }
double d_minutes(GoDuration d) { return static_cast<double>(d.ns) / 6e10; }
double d_seconds(GoDuration d) { return static_cast<double>(d.ns) / 1e9; }
std::int64_t d_milliseconds(GoDuration d) { return d.ns / 1'000'000; }
std::int64_t d_microseconds(GoDuration d) { return d.ns / 1000; }
std::int64_t d_nanoseconds(GoDuration d) { return d.ns; }

}  // namespace

std::span<const ValueMethod> time_methods() {
  static const std::array methods{
      ValueMethod{"Format", 1, format},
      ValueMethod{"Add", 1, add},
      ValueMethod{"Sub", 1, subtract},
      ValueMethod{"Before", 1, compare<-1>},
      ValueMethod{"After", 1, compare<1>},
      ValueMethod{"Equal", 1, compare<0>},
      ValueMethod{"Unix", 0, of_time<unix_seconds>},
      ValueMethod{"UnixMilli", 0, of_time<unix_milliseconds>},
      ValueMethod{"UnixNano", 0, of_time<unix_nanoseconds>},
      ValueMethod{"String", 0, of_time<go_time_text>},
      ValueMethod{"UTC", 0, of_time<in_utc>},
      ValueMethod{"IsZero", 0, of_time<is_zero>},
      ValueMethod{"Year", 0, of_time<year>},
      ValueMethod{"Month", 0, of_time<month>},
      ValueMethod{"Day", 0, of_time<day>},
      ValueMethod{"Hour", 0, of_time<hour>},
      ValueMethod{"Minute", 0, of_time<minute>},
      ValueMethod{"Second", 0, of_time<second>},
      ValueMethod{"Weekday", 0, of_time<weekday>},
      ValueMethod{"YearDay", 0, of_time<year_day>},
  };
  return methods;
}

std::span<const ValueMethod> duration_methods() {
  static const std::array methods{
      ValueMethod{"Hours", 0, of_duration<d_hours>},
      ValueMethod{"Minutes", 0, of_duration<d_minutes>},
      ValueMethod{"Seconds", 0, of_duration<d_seconds>},
      ValueMethod{"Milliseconds", 0, of_duration<d_milliseconds>},
      ValueMethod{"Microseconds", 0, of_duration<d_microseconds>},
      ValueMethod{"Nanoseconds", 0, of_duration<d_nanoseconds>},
      ValueMethod{"String", 0, of_duration<go_duration_text>},
  };
  return methods;
}

}  // namespace tarsier::alerting
