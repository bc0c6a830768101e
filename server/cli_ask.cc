#include "server/cli_ask.h"

#include <future>
#include <utility>

#include <fmt/format.h>

#include "server/http_client.h"
#include "server/version.h"

namespace tarsier::server {

std::string server_url(std::string_view text) {
  std::string out = text.find("://") == std::string_view::npos ? fmt::format("http://{}", text)
                                                               : std::string(text);
  while (out.ends_with('/')) out.pop_back();
  return out;
}

Result<HttpResponse> ask_server(HttpFetch fetch) {
  TcpHttpClient client({.user_agent = fmt::format("Tarsier/{}", version())});
  std::promise<Result<HttpResponse>> promise;
  client.fetch(std::move(fetch),
               [&](Result<HttpResponse> outcome) { promise.set_value(std::move(outcome)); });
  return promise.get_future().get();
}

Result<HttpResponse> ask_server(const std::string& method, const std::string& url) {
  return ask_server({.url = url,
                     .headers = {{"Accept-Encoding", "gzip"}},
                     .method = method,
                     .body = {},
                     .timeout = minutes(3)});
}

Result<std::string> ask_api(const std::string& url) {
  Result<HttpResponse> response = ask_server("GET", url);
  if (!response.ok()) return std::move(response).status();
  return std::move(response->body);
}

Result<std::string> ask_api(const std::string& url, const std::string& form) {
  Result<HttpResponse> response =
      ask_server({.url = url,
                  .headers = {{"Accept-Encoding", "gzip"},
                              {"Content-Type", "application/x-www-form-urlencoded"}},
                  .method = "POST",
                  .body = form,
                  .timeout = minutes(3)});
  if (!response.ok()) return std::move(response).status();
  return std::move(response->body);
}

}  // namespace tarsier::server
