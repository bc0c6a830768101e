#include "server/handlers.h"

#include <memory>
#include <string>
#include <utility>

#include "base/api.h"
#include "query/api.h"
#include "query/monitor.h"
#include "server/call_gate.h"
#include "server/clock.h"
#include "server/fair_pool.h"

namespace tarsier::server {
namespace {

/// Whose turn a request counts as: its tenant's, or its client's.
std::string client_of(const HttpRequest& request) {
  const std::string_view tenant = request.header("X-Scope-OrgID");
  if (!tenant.empty()) return "tenant " + std::string(tenant);
  return request.peer.substr(0, request.peer.rfind(':'));
}

HttpResponse refused_in_queue(const CancelToken& cancel) {
  return cancel.is_expired()
             ? api_error(ApiErrorType::kTimeout, "query timed out in query queue")
             : api_error(ApiErrorType::kCanceled, "query was canceled in query queue");
}

/// Keeps a call in progress until the last piece is sent, or nobody wants it any more.
class LeasedStream final : public BodyStream {
 public:
  LeasedStream(std::shared_ptr<BodyStream> inner, CallGate::Lease lease)
      : inner_(std::move(inner)), lease_(std::move(lease)) {}
  void next(std::function<void(Result<std::string>)> done) override {
    inner_->next(std::move(done));
  }

 private:
  const std::shared_ptr<BodyStream> inner_;
  const CallGate::Lease lease_;
};

struct Held {
  HttpRequest request;
  HttpResponder respond;
};

}  // namespace

HttpHandler inline_handler(Answer answer) {
  return [answer = std::move(answer)](const HttpRequest& request, const HttpResponder& respond) {
    respond(answer(request));
  };
}

HttpHandler pooled_handler(const Doors& doors, Answer answer) {
  return [&doors, answer = std::move(answer)](HttpRequest request, HttpResponder respond) {
    auto held = std::make_shared<Held>(Held{std::move(request), respond});
    const bool taken = doors.query_pool->try_submit([answer, held] {
      const std::shared_ptr<CancelToken> cancel = held->request.cancel;
      // Nobody waits any more: whoever left while queued costs nothing.
      held->respond(cancel->is_cancelled() ? refused_in_queue(*cancel) : answer(held->request));
    });
    if (!taken) {
      respond(api_error(ApiErrorType::kTimeout, "query timed out in query queue: it is full"));
    }
  };
}

HttpHandler gated_handler(const Doors& doors, std::size_t in_progress_max, Answer answer) {
  const auto gate = std::make_shared<CallGate>(in_progress_max);
  return [gate, pooled = pooled_handler(doors, std::move(answer))](HttpRequest request,
                                                                   HttpResponder respond) {
    auto held = std::make_shared<Held>(Held{std::move(request), respond});
    const bool taken = gate->enter([pooled, held](const CallGate::Lease& lease) {
      pooled(std::move(held->request), [respond = held->respond, lease](HttpResponse response) {
        if (response.stream != nullptr) {
          response.stream = std::make_shared<LeasedStream>(std::move(response.stream), lease);
        }
        respond(std::move(response));
      });
    });
    if (!taken) respond(api_error(ApiErrorType::kTimeout, "too many calls wait for their turn"));
  };
}

HttpHandler query_handler(const Doors& doors, QueryAnswer answer) {
  return [&doors, answer = std::move(answer)](HttpRequest request, HttpResponder respond) {
    const std::int64_t arrived_ns = monotonic_ns();
    auto held = std::make_shared<Held>(Held{std::move(request), respond});
    doors.expire_at(held->request.cancel,
                    query::query_deadline(held->request, doors.query_timeout));
    doors.monitor->add_waiting(1);
    const bool taken =
        doors.queries->try_submit({.client = client_of(held->request),
                                   .cancel = held->request.cancel,
                                   .run =
                                       [&doors, answer, held, arrived_ns] {
                                         doors.monitor->add_waiting(-1);
                                         const double queued =
                                             static_cast<double>(monotonic_ns() - arrived_ns) / 1e9;
                                         held->respond(answer(held->request, queued));
                                       },
                                   .refuse =
                                       [&doors, held] {
                                         doors.monitor->add_waiting(-1);
                                         held->respond(refused_in_queue(*held->request.cancel));
                                       }});
    if (taken) return;
    doors.monitor->add_waiting(-1);
    respond(api_error(ApiErrorType::kTimeout, "query timed out in query queue: it is full"));
  };
}

}  // namespace tarsier::server
