#pragma once

#include <functional>

#include "base/http.h"
#include "server/routes.h"

namespace tarsier::server {

// On which threads requests are answered. `doors` must outlive the handlers.

using Answer = std::function<HttpResponse(const HttpRequest&)>;
/// The same for a request that has waited for its thread so many seconds.
using QueryAnswer = std::function<HttpResponse(const HttpRequest&, double queued_seconds)>;

/// Answers at once, on the network thread: for what only reads a few numbers.
HttpHandler inline_handler(Answer answer);
/// Answers on the threads for reading: for what may take a while.
HttpHandler pooled_handler(const Doors& doors, Answer answer);
/// The same for so many requests at a time (0: no limit), until their answers are sent; others wait.
HttpHandler gated_handler(const Doors& doors, std::size_t in_progress_max, Answer answer);
/// Answers on the query threads, in turn with other clients, until the query's deadline.
HttpHandler query_handler(const Doors& doors, QueryAnswer answer);

}  // namespace tarsier::server
