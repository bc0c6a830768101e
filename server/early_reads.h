#pragma once

#include <string_view>

#include "base/http.h"
#include "query/api.h"
#include "query/engine.h"
#include "tsdb/opening.h"

namespace tarsier::server {

/// Answers queries while the log is replayed: those whose whole range, lookback included, is in
/// blocks. Everything else waits, so that nobody takes half an answer for a whole one. Any number
/// of threads.
class EarlyReads final {
 public:
  /// All of them must outlive it.
  EarlyReads(const query::Engine& engine, tsdb::Opening& opening, query::ApiOptions options,
             query::ApiClock clock);

  using Endpoint = HttpResponse (query::Api::*)(const HttpRequest&, double queued_seconds) const;
  /// `end_parameter` names the last moment asked about. `unavailable` is the answer when it is too
  /// early.
  HttpResponse answer(Endpoint endpoint, std::string_view end_parameter, const HttpRequest& request,
                      const HttpResponse& unavailable, double queued_seconds = 0) const;

 private:
  const query::Engine& engine_;
  tsdb::Opening& opening_;
  const query::ApiOptions options_;
  const query::ApiClock clock_;
};

}  // namespace tarsier::server
