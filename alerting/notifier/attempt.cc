#include "alerting/notifier/attempt.h"

#include <algorithm>
#include <array>
#include <optional>

#include "alerting/notifier/body.h"
#include "base/ascii.h"
#include "base/base64.h"
#include "base/json_reader.h"
#include "base/quote.h"
#include "base/retry_after.h"
#include "base/sha256.h"

namespace tarsier::alerting {
namespace {

constexpr std::uint64_t kSecretBytesMax = 4096;
constexpr std::uint64_t kAnswerBytesMax = 64 << 10;
constexpr std::size_t kShownBytesMax = 200;
constexpr std::string_view kSecretPrefix = "whsec_";

Result<std::string> read_text(FileSystem& files, const TextOrFile& source) {
  if (source.file.empty()) return source.text;
  const std::string text = TRY(read_file(files, source.file, kSecretBytesMax));
  return std::string(trimmed(text));
}

/// The host of an absolute URL, in lower case, without brackets and port.
std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  std::string_view rest = url.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    rest.remove_prefix(at + 1);
  }
  if (rest.starts_with('[')) return ascii_lower(rest.substr(1, rest.find(']') - 1));
  return ascii_lower(rest.substr(0, rest.find(':')));
}

/// Addresses at which clouds hand out credentials: a webhook has no business there.
bool is_forbidden(const std::string& host) {
  return host.starts_with("169.254.") || host.starts_with("fe80:") ||
         host.starts_with("fd00:ec2:") || host == "metadata.google.internal" || host == "metadata";
}

std::string shown(std::string_view body) {
  std::string out(body.substr(0, kShownBytesMax));
  if (body.size() > kShownBytesMax) out += "...";
  return out;
}

/// Slack may answer 200 and still refuse.
std::optional<std::string> slack_refusal(const HttpResponse& response) {
  if (!response.content_type.starts_with("application/json")) return std::nullopt;
  const Result<JsonValue> answer = parse_json(response.body);
  if (!answer.ok()) return std::nullopt;
  const JsonValue* ok = answer->find("ok");
  if (ok == nullptr || ok->as_bool().ok() == false || *ok->as_bool()) return std::nullopt;
  const JsonValue* error = answer->find("error");
  const Result<std::string> text = error != nullptr ? error->as_string() : invalid("");
  return text.ok() ? *text : "unknown error";
}

}  // namespace

Result<std::string> webhook_signature(const std::vector<std::string>& secrets, std::string_view id,
                                      std::int64_t unix_s, std::string_view body) {
  const std::string signed_text =
      std::string(id) + "." + std::to_string(unix_s) + "." + std::string(body);
  std::string out;
  for (const std::string& secret : secrets) {
    if (!secret.starts_with(kSecretPrefix)) {
      return invalid("a signing secret does not begin with whsec_");
    }
    const std::optional<std::string> key =
        decode_base64(std::string_view(secret).substr(kSecretPrefix.size()));
    if (!key || key->size() < 24 || key->size() > 64) {
      return invalid("a signing secret is not whsec_ and 24 to 64 bytes in base64");
    }
    if (!out.empty()) out += ' ';
    out += "v1," + encode_base64(as_text(hmac_sha256(as_bytes(*key), as_bytes(signed_text))));
  }
  return out;
}

Result<HttpFetch> make_request(FileSystem& files, const Message& message,
                               const IntegrationConfig& integration, Duration default_timeout,
                               Timestamp now) {
  HttpFetch fetch;
  fetch.method = "POST";
  fetch.url = message.url.empty() ? TRY(read_text(files, integration.url)) : message.url;
  const std::string host = host_of(fetch.url);
  if (host.empty()) return invalid("no URL to post to: " + quote(fetch.url));
  if (is_forbidden(host)) return invalid("posting to " + host + " is not allowed");
  fetch.body = message.body;
  if (integration.kind == IntegrationKind::kPagerduty) {
    const bool is_v1 = integration.is_pagerduty_v1();
    const TextOrFile& key = is_v1 ? integration.service_key : integration.routing_key;
    fetch.body = with_secret(message.body, is_v1 ? "service_key" : "routing_key",
                             TRY(read_text(files, key)));
  }
  fetch.timeout = integration.timeout.ms > 0 ? integration.timeout : default_timeout;
  fetch.body_size_max = kAnswerBytesMax;
  fetch.follow_redirects = false;
  fetch.config = integration.http;
  fetch.headers = {{"Content-Type", "application/json"}};
  if (integration.kind != IntegrationKind::kWebhook) return fetch;
  const std::int64_t unix_s = now.ms / 1000;
  fetch.headers.emplace_back("webhook-id", message.id);
  fetch.headers.emplace_back("webhook-timestamp", std::to_string(unix_s));
  fetch.headers.emplace_back("Idempotency-Key", message.id);
  if (integration.signing_secret_files.empty()) return fetch;
  std::vector<std::string> secrets;
  for (const std::string& file : integration.signing_secret_files) {
    secrets.push_back(TRY(read_text(files, {.text = "", .file = file})));
  }
  fetch.headers.emplace_back("webhook-signature",
                             TRY(webhook_signature(secrets, message.id, unix_s, fetch.body)));
  return fetch;
}

Outcome outcome_of(const Result<HttpResponse>& answer, const IntegrationConfig& integration,
                   Timestamp now) {
  Outcome out;
  if (!answer.ok()) {
    out.error = answer.status().message();
    return out;
  }
  const int status = answer->status;
  out.status = static_cast<std::uint32_t>(status);
  if (status >= 200 && status < 300) {
    out.kind = Outcome::Kind::kDelivered;
    if (integration.kind != IntegrationKind::kSlack) return out;
    if (const auto refusal = slack_refusal(*answer)) {
      out.kind = Outcome::Kind::kDead;
      out.error = "Slack refused it: " + *refusal;
    }
    return out;
  }
  out.error = "unexpected status code " + std::to_string(status);
  if (!answer->body.empty()) out.error += ": " + shown(answer->body);
  // How PagerDuty's older API says that there are too many.
  const bool is_limited = status == 403 && integration.is_pagerduty_v1();
  const bool may_pass =
      status == 408 || status == 425 || status == 429 || status >= 500 || is_limited;
  if (!may_pass) {
    out.kind = status == 410 ? Outcome::Kind::kGone : Outcome::Kind::kDead;
    return out;
  }
  out.retry_after = retry_after(answer->headers, now);
  return out;
}

Duration retry_delay(std::string_view message_id, std::uint32_t failed_attempts) {
  constexpr std::array<Duration, 4> kFirst = {seconds(5), seconds(30), minutes(2), minutes(5)};
  const Duration most = failed_attempts >= 1 && failed_attempts <= kFirst.size()
                            ? kFirst[failed_attempts - 1]
                            : minutes(10);
  const Sha256 digest =
      sha256(as_bytes(std::string(message_id) + "#" + std::to_string(failed_attempts)));
  const std::int64_t share = std::to_integer<std::int64_t>(digest[0]) + 1;  // Of 256.
  return std::max(Duration{most.ms * share / 256}, milliseconds(500));
}

}  // namespace tarsier::alerting
