#include "server/notifier_wiring.h"

#include <utility>

#include "base/api.h"
#include "base/thread_pool.h"
#include "server/clock.h"
#include "server/http_answer.h"
#include "server/router.h"
#include "server/url.h"
#include "server/version.h"

namespace tarsier::server {

Result<std::unique_ptr<NotifierWiring>> NotifierWiring::start(Doors doors) {
  auto wiring = std::unique_ptr<NotifierWiring>(new NotifierWiring(std::move(doors)));
  NotifierWiring& w = *wiring;
  w.notifier_ = TRY(alerting::Notifier::open(
      {.files = w.doors_.files,
       .client = w.doors_.client,
       .wake = [&w] { w.scheduler_.wake(); },
       .monotonic_ns = monotonic_ns,
       .log = w.doors_.log},
      {.directory = w.doors_.directory, .external_url = w.doors_.external_url}, now()));
  w.api_ = std::make_unique<alerting::NotifierApi>(
      *w.notifier_,
      alerting::NotifierVersion{
          .version = std::string(version()), .revision = "", .started = w.doors_.started});
  w.scheduler_.add([&w](Timestamp t) { return w.is_on() ? w.notifier_->run_due(t) : kNever; });
  return wiring;
}

NotifierWiring::~NotifierWiring() { stop(); }

void NotifierWiring::stop() { scheduler_.stop(); }

void NotifierWiring::apply(const std::shared_ptr<const alerting::NotifierConfig>& config,
                           Timestamp now) {
  if (!config) {
    if (is_on_.exchange(false)) doors_.log.info("The built-in notifier is off");
    return;
  }
  const Status status = notifier_->configure(config, now);
  if (!status.ok()) {
    // The templates were checked with the configuration; what is left is the disk.
    doors_.log.error("The notifier's configuration is not stored", {{"err", status.message()}});
  }
  if (!is_on_.exchange(true)) {
    doors_.log.info("The built-in notifier is on",
                    {{"receivers", std::to_string(config->receivers.size())}});
  }
  scheduler_.wake();
}

Status NotifierWiring::deliver(const alerting::AlertBatch& batch) {
  if (!is_on()) return {};
  return notifier_->deliver(batch);
}

void NotifierWiring::collect(MetricWriter& out, Timestamp now) const {
  if (is_on()) notifier_->collect(out, now);
}

void add_notifier_routes(Router& router, std::function<NotifierWiring*()> wiring,
                         std::function<ThreadPool*()> pool) {
  using Api = alerting::NotifierApi;
  using Answer = std::function<HttpResponse(const Api&, const HttpRequest&)>;
  // A post waits for the disk, and a list of alerts may be long: never on a network thread.
  const auto handler = [wiring, pool](Answer answer) -> HttpHandler {
    return [wiring, pool, answer = std::move(answer)](HttpRequest request, HttpResponder respond) {
      NotifierWiring* notifier = wiring();
      if (notifier == nullptr || !notifier->is_on()) {
        return respond(api_error(ApiErrorType::kNotFound,
                                 "the built-in notifier is not configured: set notifier or "
                                 "notifier_config_file"));
      }
      auto held = std::make_shared<HttpRequest>(std::move(request));
      const bool taken = pool()->try_submit(
          [answer, notifier, held, respond] { respond(answer(notifier->api(), *held)); });
      if (!taken) respond(api_error(ApiErrorType::kTimeout, "too many requests are waiting"));
    };
  };
  const auto add = [&](const char* path, std::vector<std::string> methods, Answer answer) {
    router.add(
        {.path = path, .methods = std::move(methods), .handler = handler(std::move(answer))});
  };
  add("/api/v2/status", {"GET"}, &Api::status);
  add("/api/v2/receivers", {"GET"}, &Api::receivers);
  add("/api/v2/alerts", {"GET", "POST"}, [](const Api& api, const HttpRequest& r) {
    return r.method == "POST" ? api.post_alerts(r) : api.alerts(r);
  });
  add("/api/v2/alerts/groups", {"GET"}, &Api::groups);
  add("/api/v2/silences", {"GET", "POST"}, [](const Api& api, const HttpRequest& r) {
    return r.method == "POST" ? api.post_silence(r) : api.silences(r);
  });
  add("/api/v2/silence/*", {"GET", "DELETE"}, [](const Api& api, const HttpRequest& r) {
    const std::string id = r.path.substr(r.path.rfind('/') + 1);
    return r.method == "DELETE" ? api.delete_silence(r, id) : api.silence(r, id);
  });
  add("/api/tarsier/v1/notifications", {"GET"}, &Api::notifications);
  add("/api/tarsier/v1/notifications/replay", {"POST"}, &Api::replay);
}

}  // namespace tarsier::server
