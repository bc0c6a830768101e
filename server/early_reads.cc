#include "server/early_reads.h"

#include <atomic>
#include <memory>
#include <utility>

#include "base/api.h"

namespace tarsier::server {
namespace {

/// The blocks, for one request: remembers whether it was asked for more than they have.
class NotingRefusals final : public tsdb::Queryable {
 public:
  explicit NotingRefusals(tsdb::Opening& opening) : opening_(opening) {}
  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override {
    auto querier = opening_.querier(range);
    if (!querier.ok()) has_refused_.store(true);
    return querier;
  }
  bool has_refused() const { return has_refused_.load(); }

 private:
  tsdb::Opening& opening_;
  std::atomic<bool> has_refused_{false};
};

}  // namespace

EarlyReads::EarlyReads(const query::Engine& engine, tsdb::Opening& opening,
                       query::ApiOptions options, query::ApiClock clock)
    : engine_(engine), opening_(opening), options_(options), clock_(std::move(clock)) {}

HttpResponse EarlyReads::answer(Endpoint endpoint, std::string_view end_parameter,
                                const HttpRequest& request, const HttpResponse& unavailable,
                                double queued_seconds) const {
  const Result<Timestamp> end = required_time(request, end_parameter);
  if (!end.ok() || *end >= opening_.served_until()) return unavailable;
  NotingRefusals blocks(opening_);
  const query::Api api(engine_, blocks, options_, clock_);
  HttpResponse response = (api.*endpoint)(request, queued_seconds);
  return blocks.has_refused() ? unavailable : response;
}

}  // namespace tarsier::server
