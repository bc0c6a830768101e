#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"

// What every endpoint below /api/v1 shares: the JSON envelope and how parameters are read. The
// texts are the ones Prometheus' clients compare.

namespace tarsier {

/// The `errorType` of a failed call, each with its HTTP status.
enum class ApiErrorType : unsigned char {
  kBadData,      ///< 400
  kExecution,    ///< 422
  kCanceled,     ///< 499
  kTimeout,      ///< 503
  kInternal,     ///< 500
  kUnavailable,  ///< 500: the type has no status of its own in Prometheus.
  kNotFound,     ///< 404
};

/// What a success may say beside its data. Duplicates are merged; beyond ten of a kind only their
/// number is told.
struct ApiNotes {
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};

/// `{"status":"success","data":...}`; `write_data` writes exactly one JSON value.
HttpResponse api_success(const std::function<void(JsonWriter&)>& write_data,
                         const ApiNotes& notes = {});
/// `{"status":"error","errorType":...,"error":...}`.
HttpResponse api_error(ApiErrorType type, std::string_view text);
/// The same, with the type that fits the code: kInvalid is bad_data, kLimit is execution, ...
HttpResponse api_error(const Status& status);

/// What `start` and `end` can be at most: the two literals some clients send for "everything".
inline constexpr Timestamp kApiMinTime{-9'223'309'901'257'974'000};
inline constexpr Timestamp kApiMaxTime{9'223'309'901'257'974'999};

/// Unix seconds as any float, RFC 3339, or one of the two literals.
Result<Timestamp> parse_api_time(std::string_view text);
/// Seconds as any float (also negative), or `1h30m`.
Result<Duration> parse_api_duration(std::string_view text);
/// A whole number; empty and 0 mean no limit and give 0.
Result<std::size_t> parse_api_limit(std::string_view text);

/// `invalid parameter "name": reason`, kInvalid.
Status invalid_parameter(std::string_view name, std::string_view reason);

/// A time that must be there.
Result<Timestamp> required_time(const HttpRequest& request, std::string_view name);
/// A time with a default; absent and empty mean the default.
Result<Timestamp> optional_time(const HttpRequest& request, std::string_view name,
                                Timestamp default_value);
/// Nothing when absent or empty.
Result<std::optional<Duration>> optional_duration(const HttpRequest& request,
                                                  std::string_view name);
/// The parameter `limit`; 0 is no limit.
Result<std::size_t> limit_parameter(const HttpRequest& request);

}  // namespace tarsier
