#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/http.h"

namespace tarsier::testing {

/// Takes requests and answers when and what the test says: at once if `respond` is set, else when
/// answer() is called. One thread.
class FakeHttpClient final : public HttpClient {
 public:
  struct Pending {
    HttpFetch request;
    std::function<void(Result<HttpResponse>)> done;
  };

  void fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) override;
  /// Answers the oldest waiting request. REQUIRES: there is one.
  void answer(Result<HttpResponse> response);

  std::function<Result<HttpResponse>(const HttpFetch&)> respond;
  std::vector<Pending> pending;
  std::vector<HttpFetch> requests;  ///< All of them, oldest first.
};

/// A 200 with this body in the Prometheus text format.
HttpResponse text_exposition(std::string body);

}  // namespace tarsier::testing
