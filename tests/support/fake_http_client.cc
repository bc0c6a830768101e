#include "tests/support/fake_http_client.h"

#include <utility>

namespace tarsier::testing {

void FakeHttpClient::fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) {
  requests.push_back(request);
  if (respond) {
    done(respond(request));
  } else {
    pending.push_back({std::move(request), std::move(done)});
  }
}

void FakeHttpClient::answer(Result<HttpResponse> response) {
  CHECK(!pending.empty());
  const Pending oldest = std::move(pending.front());
  pending.erase(pending.begin());
  oldest.done(std::move(response));
}

HttpResponse text_exposition(std::string body) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = std::move(body);
  return response;
}

}  // namespace tarsier::testing
