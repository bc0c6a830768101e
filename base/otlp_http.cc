#include "base/otlp_http.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/compression.h"
#include "base/json_writer.h"
#include "base/protobuf_writer.h"

namespace tarsier {
namespace {

constexpr std::string_view kProtobuf = "application/x-protobuf";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kRetryInfo = "type.googleapis.com/google.rpc.RetryInfo";

std::string_view media_type(std::string_view header) {
  return trimmed(header.substr(0, header.find(';')));
}

OtlpHttpBody& fail(OtlpHttpBody& out, int status, std::string error) {
  out.status = status;
  out.error = std::move(error);
  return out;
}

std::int64_t seconds_up(Duration d) { return std::max<std::int64_t>((d.ms + 999) / 1000, 1); }

}  // namespace

OtlpHttpBody unpack_otlp(HttpRequest& request, std::size_t bytes_max) {
  OtlpHttpBody out;
  const std::string type = ascii_lower(media_type(request.header("Content-Type")));
  if (type == kJson) out.encoding = OtlpEncoding::kJson;
  if (type == kProtobuf) out.encoding = OtlpEncoding::kProtobuf;
  if (!out.encoding) {
    return fail(
        out, 415,
        fmt::format("unsupported content type: {}, supported: {}, {}", type, kJson, kProtobuf));
  }
  const std::string coding = ascii_lower(trimmed(request.header("Content-Encoding")));
  Status status;
  if (coding == "gzip") {
    status = gzip_decompress(as_bytes(request.body), bytes_max, out.body);
  } else if (coding == "zstd") {
    status = zstd_decompress(as_bytes(request.body), bytes_max, out.body);
  } else if (coding.empty() || coding == "identity") {
    out.body = std::move(request.body);
  } else {
    return fail(out, 415,
                fmt::format("unsupported compression: {}. Only \"gzip\", \"zstd\" or no "
                            "compression supported",
                            coding));
  }
  if (!status.ok()) return fail(out, status.code() == Code::kLimit ? 413 : 400, status.message());
  if (out.body.size() > bytes_max) {
    return fail(out, 413,
                fmt::format("request body of {} bytes is larger than {} bytes", out.body.size(),
                            bytes_max));
  }
  return out;
}

RpcCode rpc_code_of(int http_status) {
  switch (http_status) {
    case 200: return RpcCode::kOk;
    case 400:
    case 415: return RpcCode::kInvalidArgument;
    case 401: return RpcCode::kUnauthenticated;
    case 404: return RpcCode::kUnimplemented;
    case 413:
    case 429: return RpcCode::kResourceExhausted;
    case 503: return RpcCode::kUnavailable;
    default: return http_status >= 500 ? RpcCode::kInternal : RpcCode::kUnknown;
  }
}

std::string rpc_status_wire(RpcCode code, std::string_view message,
                            std::optional<Duration> retry_after) {
  std::string out;
  ProtobufWriter status(out);
  status.integer(1, static_cast<std::int32_t>(code));
  status.bytes(2, message);
  if (retry_after) {
    std::string delay;
    ProtobufWriter duration(delay);
    duration.integer(1, retry_after->ms / 1000);
    duration.integer(2, retry_after->ms % 1000 * 1'000'000);
    std::string info;
    ProtobufWriter(info).bytes(1, delay);
    std::string any;
    ProtobufWriter detail(any);
    detail.bytes(1, kRetryInfo);
    detail.bytes(2, info);
    status.bytes(3, any);
  }
  return out;
}

HttpResponse otlp_error(std::optional<OtlpEncoding> encoding, int status, std::string_view message,
                        std::optional<Duration> retry_after) {
  HttpResponse response;
  response.status = status;
  if (!encoding) {
    response.content_type = "text/plain; charset=utf-8";
    response.body = std::string(message) + "\n";
  } else if (*encoding == OtlpEncoding::kProtobuf) {
    response.content_type = kProtobuf;
    response.body = rpc_status_wire(rpc_code_of(status), message);
  } else {
    response.content_type = kJson;
    JsonWriter json(response.body);
    json.begin_object();
    json.field("code", static_cast<int>(rpc_code_of(status)));
    json.field("message", message);
    json.end_object();
  }
  if (retry_after) {
    response.headers.emplace_back("Retry-After", std::to_string(seconds_up(*retry_after)));
  }
  return response;
}

std::string otlp_success_wire(std::uint64_t rejected, std::string_view message) {
  if (rejected == 0 && message.empty()) return {};
  std::string partial;
  ProtobufWriter fields(partial);
  if (rejected > 0) fields.varint(1, rejected);
  if (!message.empty()) fields.bytes(2, message);
  std::string out;
  ProtobufWriter(out).bytes(1, partial);
  return out;
}

HttpResponse otlp_success(OtlpEncoding encoding, std::string_view rejected_name,
                          std::uint64_t rejected, std::string_view message) {
  HttpResponse response;
  if (encoding == OtlpEncoding::kProtobuf) {
    response.content_type = kProtobuf;
    response.body = otlp_success_wire(rejected, message);
    return response;
  }
  response.content_type = kJson;
  JsonWriter json(response.body);
  json.begin_object();
  if (rejected > 0 || !message.empty()) {
    json.key("partialSuccess").begin_object();
    if (rejected > 0) json.field(rejected_name, std::to_string(rejected));
    if (!message.empty()) json.field("errorMessage", message);
    json.end_object();
  }
  json.end_object();
  return response;
}

}  // namespace tarsier
