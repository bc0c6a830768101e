#include "ingest/remote/negotiation.h"

#include <string_view>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/quote.h"

namespace tarsier::ingest {
namespace {

constexpr std::string_view kMediaType = "application/x-protobuf";
constexpr std::string_view kMessage1 = "prometheus.WriteRequest";
constexpr std::string_view kMessage2 = "io.prometheus.write.v2.Request";
constexpr std::size_t kQuotedBytesMax = 200;

std::string_view next_part(std::string_view& rest) {
  const std::size_t end = rest.find(';');
  const std::string_view part = trimmed(rest.substr(0, end));
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

/// Empty, or what is wrong. No header at all is 1.0.
std::string content_type_error(std::string_view header, WriteVersion& version) {
  if (trimmed(header).empty()) return {};
  std::string_view rest = header;
  if (!equal_ignoring_case(next_part(rest), kMediaType)) {
    return fmt::format("unsupported content type {}: this endpoint takes {}",
                       quote(header.substr(0, kQuotedBytesMax)), kMediaType);
  }
  while (!rest.empty()) {
    const std::string_view parameter = next_part(rest);
    const std::size_t equals = parameter.find('=');
    if (!equal_ignoring_case(trimmed(parameter.substr(0, equals)), "proto")) continue;
    std::string_view message =
        equals == std::string_view::npos ? "" : trimmed(parameter.substr(equals + 1));
    if (message.size() >= 2 && message.front() == '"' && message.back() == '"') {
      message = message.substr(1, message.size() - 2);
    }
    if (message == kMessage2) version = WriteVersion::k2;
    if (message != kMessage1 && message != kMessage2) {
      return fmt::format("unsupported protobuf message {}: this endpoint takes {} and {}",
                         quote(message.substr(0, kQuotedBytesMax)), kMessage1, kMessage2);
    }
  }
  return {};
}

}  // namespace

WriteNegotiation negotiate_write(const HttpRequest& request) {
  WriteNegotiation result;
  if (request.method != "POST") {
    result.status = 405;
    result.error = "remote write takes POST";
    return result;
  }
  result.error = content_type_error(request.header("Content-Type"), result.version);
  if (!result.error.empty()) {
    result.status = 415;
    return result;
  }
  const std::string_view encoding = trimmed(request.header("Content-Encoding"));
  if (encoding.empty() || equal_ignoring_case(encoding, "snappy")) return result;
  // Only VictoriaMetrics' agents send zstd, and they say who they are. To anybody else the
  // specification's answer is 415.
  if (equal_ignoring_case(encoding, "zstd") &&
      !request.header("X-VictoriaMetrics-Remote-Write-Version").empty()) {
    result.codec = WriteCodec::kZstd;
    return result;
  }
  result.status = 415;
  result.error = fmt::format("unsupported content encoding {}: this endpoint takes snappy",
                             quote(encoding.substr(0, kQuotedBytesMax)));
  return result;
}

}  // namespace tarsier::ingest
