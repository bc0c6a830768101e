#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier {

// What OTLP/HTTP (OpenTelemetry Protocol Specification, "OTLP/HTTP") has in common for all signals:
// what a request may look like, and how answers do.

enum class OtlpEncoding : unsigned char { kProtobuf, kJson };

/// A request taken apart, or why it is none.
struct OtlpHttpBody {
  int status = 0;  ///< 0: go on. Else 400, 413 or 415, with `error`.
  std::string error;
  std::optional<OtlpEncoding> encoding;  ///< Nothing for a type we do not speak.
  std::string body;                      ///< Unpacked.
};

/// Looks at the headers and unpacks the body (gzip, zstd or plain; at most `bytes_max` of it),
/// which is moved out of `request`.
OtlpHttpBody unpack_otlp(HttpRequest& request, std::size_t bytes_max);

/// A google.rpc.Status in the encoding of the request, plain text where that is unknown. With
/// `retry_after`, the header of that name: senders then come again.
HttpResponse otlp_error(std::optional<OtlpEncoding> encoding, int status, std::string_view message,
                        std::optional<Duration> retry_after = {});

/// Success, or partial success: `rejected` items will not come again. `rejected_name` is what the
/// signal calls their number in JSON ("rejectedSpans"); its number in protobuf is 1 for all.
HttpResponse otlp_success(OtlpEncoding encoding, std::string_view rejected_name,
                          std::uint64_t rejected = 0, std::string_view message = {});
/// The protobuf bytes of that answer.
std::string otlp_success_wire(std::uint64_t rejected, std::string_view message);

/// The numbers of google.rpc.Code that OTLP uses.
enum class RpcCode : std::int32_t {
  kOk = 0,
  kUnknown = 2,
  kInvalidArgument = 3,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};
/// What stands in for an HTTP status.
RpcCode rpc_code_of(int http_status);
/// A google.rpc.Status; with `retry_after` it carries a google.rpc.RetryInfo.
std::string rpc_status_wire(RpcCode code, std::string_view message,
                            std::optional<Duration> retry_after = {});

}  // namespace tarsier
