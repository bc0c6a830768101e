#pragma once

#include "base/http.h"
#include "tracing/trace_queries.h"

namespace tarsier::tracing {

/// GET /api/tarsier/v1/traces/search: TraceQL with what our own user interface needs beside Tempo's
/// answer: facets over what was found, which traces are still undecided, what the query cost.
/// Parameters: q, start and end (any form Tempo's metrics take), limit (default 20, at most 1000),
/// spss (default 3). Any number of threads.
HttpResponse search_traces(const TraceQueries& queries, const HttpRequest& request);

}  // namespace tarsier::tracing
