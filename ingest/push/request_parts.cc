#include "ingest/push/request_parts.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/compression.h"
#include "base/percent_encoding.h"

namespace tarsier::ingest {

Status unpack_push(HttpRequest& request, std::size_t size_max) {
  const std::string encoding = ascii_lower(request.header("Content-Encoding"));
  std::string plain;
  if (encoding.empty() || encoding == "identity") {
    if (request.body.size() > size_max) return limit_exceeded("the body is too large");
    return {};
  }
  if (encoding == "gzip") {
    TRY(gzip_decompress(as_bytes(request.body), size_max, plain));
  } else if (encoding == "zstd") {
    TRY(zstd_decompress(as_bytes(request.body), size_max, plain));
  } else {
    return invalid(fmt::format("Content-Encoding {} is not supported", encoding));
  }
  request.body = std::move(plain);
  return {};
}

Result<PushLabels> push_path_labels(std::string_view raw_path) {
  PushLabels out;
  const std::size_t at = raw_path.find("/metrics/");
  if (at == std::string_view::npos) return out;
  raw_path.remove_prefix(at + std::string_view("/metrics/").size());
  std::vector<std::string> segments;
  while (!raw_path.empty()) {
    const std::size_t end = std::min(raw_path.find('/'), raw_path.size());
    const std::string_view segment = raw_path.substr(0, end);
    segments.push_back(percent_decode(segment).value_or(std::string(segment)));
    raw_path.remove_prefix(std::min(end + 1, raw_path.size()));
  }
  if (segments.size() % 2 != 0) return invalid("the path is not pairs of label and value");
  constexpr std::string_view kEncoded = "@base64";
  for (std::size_t i = 0; i < segments.size(); i += 2) {
    std::string name = segments[i];
    std::string value = segments[i + 1];
    if (name.ends_with(kEncoded)) {
      name.resize(name.size() - kEncoded.size());
      if (value == "=") {
        value.clear();
      } else {
        std::replace(value.begin(), value.end(), '-', '+');
        std::replace(value.begin(), value.end(), '_', '/');
        while (value.size() % 4 != 0) value += '=';
        const auto decoded = decode_base64(value);
        if (!decoded) return invalid(fmt::format("label {} is not base64", name));
        value = *decoded;
      }
    }
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

}  // namespace tarsier::ingest
