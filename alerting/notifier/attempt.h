#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/notifier/record.h"
#include "alerting/notifier_config.h"
#include "base/file.h"
#include "base/http.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

/// The request that carries a message: its id as `webhook-id` and `Idempotency-Key`, and for a
/// webhook with secrets a signature (Standard Webhooks 1.0.0). Reads secrets from their files.
/// kInvalid when the configuration cannot work as it is, anything else when a file cannot be read.
Result<HttpFetch> make_request(FileSystem& files, const Message& message,
                               const IntegrationConfig& integration, Duration default_timeout,
                               Timestamp now);

/// `v1,<base64>` for each secret, blanks between them: HMAC-SHA256 over `id.timestamp.body`.
/// kInvalid for a secret that is not `whsec_<base64>` of 24 to 64 bytes.
Result<std::string> webhook_signature(const std::vector<std::string>& secrets, std::string_view id,
                                      std::int64_t unix_s, std::string_view body);

/// What an answer means for a message.
struct Outcome {
  enum class Kind : unsigned char {
    kDelivered,
    kRetry,  ///< No answer, 408, 425, 429, 5xx (403 of PagerDuty's v1): later.
    kDead,   ///< Sending it again will not help.
    kGone,   ///< 410: the receiver wants nothing any more.
  };
  Kind kind = Kind::kRetry;
  std::uint32_t status = 0;  ///< 0: no answer.
  std::string error;
  Duration retry_after{0};  ///< What the receiver asked for, at most an hour.
};
Outcome outcome_of(const Result<HttpResponse>& answer, const IntegrationConfig& integration,
                   Timestamp now);

/// How long to wait after the n-th failed attempt (from 1): 5 s, 30 s, 2 m, 5 m, then 10 m, each
/// cut by a share that depends on message and attempt only, so that messages do not come back at
/// once.
Duration retry_delay(std::string_view message_id, std::uint32_t failed_attempts);

}  // namespace tarsier::alerting
