#include "base/api.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/quote.h"
#include "base/rfc3339.h"

namespace tarsier {
namespace {

constexpr std::size_t kNotesShownMax = 10;

struct ErrorTypeEntry {
  std::string_view name;
  int status;
};

ErrorTypeEntry entry_of(ApiErrorType type) {
  switch (type) {
    case ApiErrorType::kBadData: return {"bad_data", 400};
    case ApiErrorType::kExecution: return {"execution", 422};
    case ApiErrorType::kCanceled: return {"canceled", 499};
    case ApiErrorType::kTimeout: return {"timeout", 503};
    case ApiErrorType::kInternal: return {"internal", 500};
    case ApiErrorType::kUnavailable: return {"unavailable", 500};
    case ApiErrorType::kNotFound: return {"not_found", 404};
  }
  return {"internal", 500};
}

ApiErrorType type_of(Code code) {
  switch (code) {
    case Code::kInvalid: return ApiErrorType::kBadData;
    case Code::kNotFound: return ApiErrorType::kNotFound;
    case Code::kLimit: return ApiErrorType::kExecution;
    case Code::kTimeout: return ApiErrorType::kTimeout;
    case Code::kCancelled: return ApiErrorType::kCanceled;
    case Code::kUnavailable: return ApiErrorType::kUnavailable;
    case Code::kOk:
    case Code::kCorruption:
    case Code::kIo: break;
  }
  return ApiErrorType::kInternal;
}

void write_notes(JsonWriter& json, std::string_view key, std::string_view kind,
                 std::vector<std::string> notes) {
  if (notes.empty()) return;
  std::sort(notes.begin(), notes.end());
  notes.erase(std::unique(notes.begin(), notes.end()), notes.end());
  json.key(key).begin_array();
  for (std::size_t i = 0; i < std::min(notes.size(), kNotesShownMax); ++i) json.value(notes[i]);
  if (notes.size() > kNotesShownMax) {
    json.value(fmt::format("{} more {} annotations omitted", notes.size() - kNotesShownMax, kind));
  }
  json.end_array();
}

/// A finite decimal number, with what Go's ParseFloat also takes: a leading plus.
std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(v)) {
    return std::nullopt;
  }
  return v;
}

bool is_absent(const std::optional<std::string_view>& text) { return !text || text->empty(); }

}  // namespace

HttpResponse api_success(const std::function<void(JsonWriter&)>& write_data,
                         const ApiNotes& notes) {
  HttpResponse response;
  JsonWriter json(response.body);
  json.begin_object().field("status", "success").key("data");
  write_data(json);
  write_notes(json, "warnings", "warning", notes.warnings);
  write_notes(json, "infos", "info", notes.infos);
  json.end_object();
  return response;
}

HttpResponse api_error(ApiErrorType type, std::string_view text) {
  const ErrorTypeEntry entry = entry_of(type);
  HttpResponse response;
  response.status = entry.status;
  JsonWriter json(response.body);
  json.begin_object().field("status", "error");
  json.field("errorType", entry.name).field("error", text).end_object();
  return response;
}

HttpResponse api_error(const Status& status) {
  CHECK(!status.ok());
  return api_error(type_of(status.code()), status.message());
}

Result<Timestamp> parse_api_time(std::string_view text) {
  if (const std::optional<double> number = parse_number(text)) {
    const double whole = std::trunc(*number);
    const double ms = std::round((*number - whole) * 1000);
    if (whole * 1000 <= static_cast<double>(kApiMinTime.ms)) return kApiMinTime;
    if (whole * 1000 >= static_cast<double>(kApiMaxTime.ms)) return kApiMaxTime;
    return Timestamp{static_cast<std::int64_t>(whole) * 1000 + static_cast<std::int64_t>(ms)};
  }
  if (const std::optional<Timestamp> t = parse_rfc3339(text)) return *t;
  if (text == "-292273086-05-16T16:47:06Z") return kApiMinTime;
  if (text == "292277025-08-18T07:12:54.999999999Z") return kApiMaxTime;
  return invalid(fmt::format("cannot parse {} to a valid timestamp", quote(text)));
}

Result<Duration> parse_api_duration(std::string_view text) {
  if (const std::optional<double> number = parse_number(text)) {
    // Prometheus counts nanoseconds in 64 bits; the bound is part of its interface.
    if (std::abs(*number) * 1e9 >= 9.223372036854775807e18) {
      return invalid(
          fmt::format("cannot parse {} to a valid duration. It overflows int64", quote(text)));
    }
    return Duration{static_cast<std::int64_t>(std::round(*number * 1000))};
  }
  Result<Duration> duration = parse_duration(text);
  if (duration.ok()) return duration;
  return invalid(fmt::format("cannot parse {} to a valid duration", quote(text)));
}

Result<std::size_t> parse_api_limit(std::string_view text) {
  if (text.empty()) return std::size_t{0};
  std::string_view digits = text;
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error == std::errc::result_out_of_range) {
    return invalid(fmt::format("strconv.Atoi: parsing {}: value out of range", quote(text)));
  }
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return invalid(fmt::format("strconv.Atoi: parsing {}: invalid syntax", quote(text)));
  }
  if (n < 0) return invalid("limit must be non-negative");
  return static_cast<std::size_t>(n);
}

Status invalid_parameter(std::string_view name, std::string_view reason) {
  return invalid(fmt::format("invalid parameter \"{}\": {}", name, reason));
}

Result<Timestamp> required_time(const HttpRequest& request, std::string_view name) {
  Result<Timestamp> t = parse_api_time(request.parameter(name).value_or(""));
  if (t.ok()) return t;
  return invalid_parameter(name, t.status().message());
}

Result<Timestamp> optional_time(const HttpRequest& request, std::string_view name,
                                Timestamp default_value) {
  const std::optional<std::string_view> text = request.parameter(name);
  if (is_absent(text)) return default_value;
  Result<Timestamp> t = parse_api_time(*text);
  if (t.ok()) return t;
  return invalid_parameter(
      name, fmt::format("invalid time value for '{}': {}", name, t.status().message()));
}

Result<std::optional<Duration>> optional_duration(const HttpRequest& request,
                                                  std::string_view name) {
  const std::optional<std::string_view> text = request.parameter(name);
  if (is_absent(text)) return std::optional<Duration>();
  const Result<Duration> duration = parse_api_duration(*text);
  if (!duration.ok()) return invalid_parameter(name, duration.status().message());
  return std::optional<Duration>(*duration);
}

Result<std::size_t> limit_parameter(const HttpRequest& request) {
  Result<std::size_t> limit = parse_api_limit(request.parameter("limit").value_or(""));
  if (limit.ok()) return limit;
  return invalid_parameter("limit", limit.status().message());
}

}  // namespace tarsier
