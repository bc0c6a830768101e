#include "server/authorizing_client.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/json_reader.h"
#include "base/base64.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kSecretBytesMax = 1 << 20;
constexpr std::uint64_t kTokenAnswerBytesMax = 1 << 20;
// Ended or unused tokens beyond this are forgotten: what a reload took away.
constexpr std::size_t kTokensMax = 256;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// A token that says nothing of its end, and one so short-lived that it would never be used.
constexpr std::int64_t kNoEndNs = 3600 * kNsPerSecond;
constexpr std::int64_t kEarlyNs = 10 * kNsPerSecond;

bool has_header(const HttpHeaders& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return equal_ignoring_case(header.first, name); });
}

void add_pair(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += form_encoded(name);
  form += '=';
  form += form_encoded(value);
}

struct TokenAnswer {
  std::string value;
  std::int64_t lifetime_ns = 0;
};

Result<TokenAnswer> read_token(const HttpResponse& response) {
  if (response.status < 200 || response.status > 299) {
    return unavailable(fmt::format("oauth2: cannot fetch token: {} {}\nResponse: {}",
                                   response.status, http_reason_phrase(response.status),
                                   response.body.substr(0, 1000)));
  }
  const Result<JsonValue> json = parse_json(response.body);
  if (!json.ok()) {
    return unavailable(fmt::format("oauth2: cannot parse json: {}", json.status().message()));
  }
  TokenAnswer out;
  if (const JsonValue* token = json->find("access_token")) {
    Result<std::string> text = token->as_string();
    if (text.ok()) out.value = std::move(*text);
  }
  if (out.value.empty()) return unavailable("oauth2: server response missing access_token");
  if (out.value.find_first_of("\r\n") != std::string::npos) {
    return unavailable("oauth2: the access_token has a line break");
  }
  double seconds = 0;
  if (const JsonValue* lifetime = json->find("expires_in")) {
    const Result<double> number = lifetime->as_double();
    if (number.ok()) seconds = *number;
  }
  const bool has_end = seconds > 0 && seconds < 1e9;
  out.lifetime_ns = has_end ? static_cast<std::int64_t>(seconds * 1e9) : kNoEndNs;
  return out;
}

}  // namespace

Result<std::string> text_of(const TextOrFile& value, FileSystem& files) {
  if (value.file.empty()) return value.text;
  Result<std::string> contents = read_file(files, value.file, kSecretBytesMax);
  if (!contents.ok()) return unavailable(contents.status().message());
  return std::string(trimmed(*contents));
}

AuthorizingHttpClient::AuthorizingHttpClient(HttpClient& inner, FileSystem& files,
                                             std::function<std::int64_t()> monotonic_ns)
    : inner_(inner), files_(files), monotonic_ns_(std::move(monotonic_ns)) {}

AuthorizingHttpClient::~AuthorizingHttpClient() = default;

void AuthorizingHttpClient::fetch(HttpFetch request, Done done) {
  if (!request.config) return inner_.fetch(std::move(request), std::move(done));
  if (Status status = add_headers(request); !status.ok()) return done(std::move(status));
  if (request.config->oauth2 && !has_header(request.headers, "Authorization")) {
    return fetch_with_token(std::move(request), std::move(done));
  }
  inner_.fetch(std::move(request), std::move(done));
}

Status AuthorizingHttpClient::add_headers(HttpFetch& request) const {
  const HttpClientConfig& config = *request.config;
  const HttpCredentials& credentials = config.credentials;
  std::string authorization;
  if (credentials.kind == HttpCredentials::Kind::kBasic) {
    const std::string user = TRY(text_of(credentials.user, files_));
    const std::string password = TRY(text_of(credentials.secret, files_));
    authorization = "Basic " + encode_base64(user + ":" + password);
  } else if (credentials.kind == HttpCredentials::Kind::kAuthorization) {
    authorization = credentials.scheme + " " + TRY(text_of(credentials.secret, files_));
  }
  if (!authorization.empty() && !has_header(request.headers, "Authorization")) {
    request.headers.emplace_back("Authorization", std::move(authorization));
  }
  for (const ConfiguredHeader& header : config.headers) {
    request.headers.emplace_back(header.name, TRY(text_of(header.value, files_)));
  }
  for (const auto& [name, value] : request.headers) {
    // A file may hold what the configuration could not.
    if (value.find_first_of("\r\n") != std::string::npos) {
      return unavailable(fmt::format("header \"{}\" has a line break", name));
    }
  }
  return {};
}

void AuthorizingHttpClient::fetch_with_token(HttpFetch request, Done done) {
  const std::int64_t now_ns = monotonic_ns_();
  const Duration timeout = request.timeout;
  std::shared_ptr<Token> token;
  std::string value;
  bool ask = false;
  {
    const MutexLock lock(mutex_);
    for (const std::shared_ptr<Token>& known : tokens_) {
      if (known->config == *request.config->oauth2) token = known;
    }
    if (!token) {
      if (tokens_.size() >= kTokensMax) {
        std::erase_if(
            tokens_, [&](const auto& old) { return !old->is_asked_for && old->ends_ns <= now_ns; });
      }
      token = std::make_shared<Token>();
      token->config = *request.config->oauth2;
      tokens_.push_back(token);
    }
    if (!token->value.empty() && now_ns < token->ends_ns) {
      value = token->value;
    } else {
      token->waiting.push_back({std::move(request), std::move(done), now_ns});
      ask = !std::exchange(token->is_asked_for, true);
    }
  }
  if (!value.empty()) return send(std::move(request), value, std::move(done));
  if (ask) ask_for_token(token, timeout);
}

/// The client's identity goes where this server was content with it before: RFC 6749 (2.3.1) wants
/// a header, and some servers read only the body.
Result<HttpFetch> AuthorizingHttpClient::token_request(const OAuth2Config& config, Duration timeout,
                                                       bool in_body) const {
  const std::string secret = TRY(text_of(config.client_secret, files_));
  HttpFetch request;
  request.url = config.token_url;
  request.method = "POST";
  request.timeout = timeout;
  request.body_size_max = kTokenAnswerBytesMax;
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  const bool has_grant =
      std::any_of(config.endpoint_parameters.begin(), config.endpoint_parameters.end(),
                  [](const auto& parameter) { return parameter.first == "grant_type"; });
  if (!has_grant) add_pair(request.body, "grant_type", "client_credentials");
  if (!config.scopes.empty()) {
    add_pair(request.body, "scope", fmt::format("{}", fmt::join(config.scopes, " ")));
  }
  for (const auto& [name, value] : config.endpoint_parameters) {
    add_pair(request.body, name, value);
  }
  if (in_body) {
    add_pair(request.body, "client_id", config.client_id);
    add_pair(request.body, "client_secret", secret);
  } else {
    request.headers.emplace_back(
        "Authorization",
        "Basic " + encode_base64(form_encoded(config.client_id) + ":" + form_encoded(secret)));
  }
  auto way = std::make_shared<HttpClientConfig>();
  way->tls = config.tls;
  way->proxy = config.proxy;
  request.config = std::move(way);
  return request;
}

void AuthorizingHttpClient::ask_for_token(const std::shared_ptr<Token>& token, Duration timeout) {
  bool in_body = false;
  {
    const MutexLock lock(mutex_);
    in_body = token->in_body;
  }
  Result<HttpFetch> request = token_request(token->config, timeout, in_body);
  if (!request.ok()) return conclude(token, std::move(request).status());
  inner_.fetch(std::move(*request),
               [this, token, timeout, in_body](const Result<HttpResponse>& answer) {
                 on_token(token, timeout, in_body, answer);
               });
}

void AuthorizingHttpClient::on_token(const std::shared_ptr<Token>& token, Duration timeout,
                                     bool in_body, const Result<HttpResponse>& answer) {
  if (!answer.ok()) {
    return conclude(token, unavailable(fmt::format("oauth2: cannot fetch token: {}",
                                                   answer.status().message())));
  }
  const bool was_refused = answer->status == 400 || answer->status == 401;
  if (was_refused && !in_body) {
    {
      const MutexLock lock(mutex_);
      token->in_body = true;
    }
    return ask_for_token(token, timeout);
  }
  Result<TokenAnswer> read = read_token(*answer);
  if (!read.ok()) {
    {
      const MutexLock lock(mutex_);
      if (was_refused) token->in_body = false;  // Neither way worked: begin with the usual one.
    }
    return conclude(token, std::move(read).status());
  }
  {
    const MutexLock lock(mutex_);
    token->value = read->value;
    token->ends_ns = monotonic_ns_() + std::max<std::int64_t>(read->lifetime_ns - kEarlyNs, 0);
  }
  conclude(token, std::move(read->value));
}

void AuthorizingHttpClient::conclude(const std::shared_ptr<Token>& token,
                                     const Result<std::string>& outcome) {
  std::vector<Waiting> waiting;
  {
    const MutexLock lock(mutex_);
    token->is_asked_for = false;
    if (!outcome.ok()) token->value.clear();
    waiting.swap(token->waiting);
  }
  const std::int64_t now_ns = monotonic_ns_();
  for (Waiting& one : waiting) {
    if (!outcome.ok()) {
      one.done(outcome.status());
      continue;
    }
    one.request.timeout.ms -= (now_ns - one.since_ns) / 1'000'000;
    if (one.request.timeout.ms <= 0) {
      one.done(timeout("context deadline exceeded"));
      continue;
    }
    send(std::move(one.request), *outcome, std::move(one.done));
  }
}

void AuthorizingHttpClient::send(HttpFetch request, const std::string& token, Done done) {
  request.headers.emplace_back("Authorization", "Bearer " + token);
  inner_.fetch(std::move(request), std::move(done));
}

}  // namespace tarsier::server
