#include "server/s3_signature.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/percent_encoding.h"
#include "base/rfc3339.h"
#include "base/sha256.h"

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

namespace tarsier::server {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string encoded_path(const std::string& path) {
  std::string out;
  append_percent_encoded(out, path, "-_.~/");
  return out;
}

std::string encoded_parameters(const S3Request& request) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : request.parameters) {
    pairs.emplace_back(percent_encoded(name), percent_encoded(value));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out += name + "=" + value;
  }
  return out;
}

/// `20130524T000000Z`
std::string basic_time(Timestamp now) {
  std::string text = format_rfc3339(Timestamp{now.ms / 1000 * 1000});
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

}  // namespace

std::string s3_target(const S3Request& request) {
  const std::string parameters = encoded_parameters(request);
  return encoded_path(request.path) + (parameters.empty() ? "" : "?" + parameters);
}

HttpHeaders sign_s3(const S3Request& request, const S3Credentials& credentials,
                    const std::string& region, Timestamp now) {
  const std::string time = basic_time(now);
  const std::string day = time.substr(0, 8);
  HttpHeaders headers = {{"x-amz-content-sha256", hex_text(sha256(as_bytes(request.body)))},
                         {"x-amz-date", time}};
  if (!credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  std::string signed_names = "host";
  std::string canonical =
      fmt::format("{}\n{}\n{}\nhost:{}\n", request.method, encoded_path(request.path),
                  encoded_parameters(request), request.host);
  for (const auto& [name, value] : headers) {
    signed_names += ";" + name;
    canonical += name + ":" + value + "\n";
  }
  canonical += fmt::format("\n{}\n{}", signed_names, headers[0].second);

  const std::string scope = fmt::format("{}/{}/s3/aws4_request", day, region);
  const std::string to_sign =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, time, scope, hex_text(sha256(as_bytes(canonical))));
  const std::string secret = "AWS4" + credentials.secret_key;
  Sha256 key = hmac_sha256(as_bytes(secret), as_bytes(day));
  key = hmac_sha256(key, as_bytes(region));
  key = hmac_sha256(key, as_bytes(std::string_view("s3")));
  key = hmac_sha256(key, as_bytes(std::string_view("aws4_request")));
  headers.emplace_back("Authorization",
                       fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}",
                                   kAlgorithm, credentials.access_key, scope, signed_names,
                                   hex_text(hmac_sha256(key, as_bytes(to_sign)))));
  return headers;
}

}  // namespace tarsier::server
