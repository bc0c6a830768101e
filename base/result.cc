#include "base/result.h"

namespace tarsier {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalid: return "invalid";
    case Code::kNotFound: return "not_found";
    case Code::kCorruption: return "corruption";
    case Code::kIo: return "io";
    case Code::kLimit: return "limit";
    case Code::kTimeout: return "timeout";
    case Code::kCancelled: return "cancelled";
    case Code::kUnavailable: return "unavailable";
  }
  return "unknown";
}

Status Status::with_prefix(std::string_view prefix) && {
  if (!ok()) message_ = std::string(prefix) + ": " + message_;
  return std::move(*this);
}

Status invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }
Status not_found(std::string message) { return {Code::kNotFound, std::move(message)}; }
Status corruption(std::string message) { return {Code::kCorruption, std::move(message)}; }
Status io_error(std::string message) { return {Code::kIo, std::move(message)}; }
Status limit_exceeded(std::string message) { return {Code::kLimit, std::move(message)}; }
Status timeout(std::string message) { return {Code::kTimeout, std::move(message)}; }
Status cancelled(std::string message) { return {Code::kCancelled, std::move(message)}; }
Status unavailable(std::string message) { return {Code::kUnavailable, std::move(message)}; }

}  // namespace tarsier
