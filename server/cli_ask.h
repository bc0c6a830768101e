#pragma once

#include <string>
#include <string_view>

#include "base/http.h"
#include "base/json_reader.h"
#include "base/result.h"

namespace tarsier::server {

// How commands ask a running server.

/// Answers come from a server the user chose, but it may be any server.
inline constexpr JsonLimits kAnswerLimits{.value_count_max = 50'000'000};

/// `127.0.0.1:9090/` as `http://127.0.0.1:9090`.
std::string server_url(std::string_view text);

/// Waits for the answer, whatever its status.
Result<HttpResponse> ask_server(HttpFetch fetch);
Result<HttpResponse> ask_server(const std::string& method, const std::string& url);
/// The body of a GET, whatever its status: errors of the API are told in it.
Result<std::string> ask_api(const std::string& url);
/// The same of a POST of a form, `a=1&b=2`: what is too long for an address.
Result<std::string> ask_api(const std::string& url, const std::string& form);

}  // namespace tarsier::server
