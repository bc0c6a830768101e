#pragma once

#include <functional>
#include <memory>

#include "base/api.h"
#include "base/http.h"
#include "query/value.h"

namespace tarsier::query {

/// Runs a task on a thread that may compute; false if it cannot take more now.
using Submit = std::function<bool(std::function<void()>)>;

/// What an answer needs beside its result.
struct ResultFrame {
  ApiNotes notes;
  std::size_t series_max = 0;  ///< 0 is no limit.
  bool has_statistics = false;
  double queued_seconds = 0;
};

/// The answer to a query. A short one is made at once; of a long one the JSON is made while it is
/// sent, a piece of some ten thousand bytes at a time, on `submit`'s threads (or whichever asks,
/// when it is null or full): so the result is never there twice, as values and as text.
HttpResponse result_response(QueryResult result, const ResultFrame& frame, const Submit& submit);

}  // namespace tarsier::query
