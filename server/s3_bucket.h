#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/http.h"
#include "server/s3_signature.h"
#include "tsdb/shipping.h"

namespace tarsier::server {

/// One bucket of an S3-compatible store, under the names of Thanos' objstore configuration.
struct S3Config {
  std::string endpoint;  ///< `host[:port]`, without scheme.
  std::string bucket;
  std::string region;      ///< Empty: that of an Amazon endpoint, else us-east-1.
  std::string access_key;  ///< Empty, as the two below: from the environment.
  std::string secret_key;  ///< Of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
  std::string session_token;
  bool insecure = false;  ///< Plain HTTP.
  /// The bucket is the first part of the path (true) or of the host name.
  bool in_path = true;
  /// Larger files are sent in pieces of this size, each held in memory once.
  std::uint64_t part_bytes = std::uint64_t{16} << 20;
  std::shared_ptr<const HttpClientConfig> http;  ///< TLS; null: defaults.
};

/// The door of a bucket to the world.
struct S3Doors {
  HttpClient& client;
  std::function<Timestamp()> now;
  /// Called between attempts.
  std::function<void(Duration)> sleep;
  std::shared_ptr<const CancelToken> cancel;
};

/// Names and sizes of what an answer to ListObjectsV2 lists, with url as its encoding. kCorruption
/// for what is none.
Result<std::map<std::string, std::uint64_t>> parse_s3_listing(std::string_view xml);

/// Speaks S3's REST protocol: ListObjectsV2, PutObject and multipart uploads, signed with
/// version 4. What failed for want of a connection or with 429 or 5xx is tried three times. kIo for
/// what is refused, with the store's own words.
std::unique_ptr<tsdb::Bucket> make_s3_bucket(S3Config config, S3Doors doors);

}  // namespace tarsier::server
