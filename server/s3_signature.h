#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http.h"
#include "base/time.h"

namespace tarsier::server {

/// Who asks an S3-compatible store.
struct S3Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< Of temporary ones; else empty.
};

/// What is signed of a request.
struct S3Request {
  std::string method = "GET";
  std::string host;  ///< As in the header Host.
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> parameters;  ///< In any order.
  std::string_view body;
};

/// `path?parameters` as it goes on the wire, in the form that was signed.
std::string s3_target(const S3Request& request);

/// The headers of AWS Signature Version 4, without Host: the digest of the body, the time, the
/// session token, Authorization.
HttpHeaders sign_s3(const S3Request& request, const S3Credentials& credentials,
                    const std::string& region, Timestamp now);

}  // namespace tarsier::server
