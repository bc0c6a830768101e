#include "server/demo/shop.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include <fmt/format.h>

#include "tracing/span_writer.h"

namespace tarsier::server {
namespace {

using tracing::SpanId;
using tracing::SpanKind;
using tracing::TraceId;

/// How one step of a request reaches the next.
enum class Link : unsigned char {
  kCall,      ///< Of one of our services: a span on either side.
  kDatabase,  ///< A client span only.
  kBank,      ///< The same, over HTTP to somebody else.
  kMessage,   ///< Sent and forgotten: a producer's span and a consumer's.
};

struct Step {
  int parent;  ///< In the same table; -1: the visitor.
  Link link;
  std::string_view service;  ///< Who does it; of a database its system.
  std::string_view name;     ///< "METHOD /route", a statement, a queue.
  double self_ms;            ///< The median of what it takes without its own steps.
  double failure_rate;
  bool is_needed;  ///< Whether its failure is its caller's.
};

constexpr Step kHome[] = {
    {-1, Link::kCall, "frontend", "GET /", 6, 0.0001, true},
    {0, Link::kCall, "recommendation", "GET /recommendations", 9, 0.002, false},
    {1, Link::kDatabase, "redis", "GET recommendations", 0.6, 0, true},
    {0, Link::kCall, "catalog", "GET /featured", 4, 0.0001, true},
    {3, Link::kDatabase, "redis", "GET featured", 0.5, 0, true},
};
constexpr Step kProduct[] = {
    {-1, Link::kCall, "frontend", "GET /product/{id}", 5, 0.0001, true},
    {0, Link::kCall, "catalog", "GET /products/{id}", 3, 0.0001, true},
    {1, Link::kDatabase, "postgresql", "SELECT products", 4, 0.0002, true},
    {0, Link::kCall, "recommendation", "GET /recommendations", 9, 0.002, false},
};
constexpr Step kSearch[] = {
    {-1, Link::kCall, "frontend", "GET /search", 8, 0.0001, true},
    {0, Link::kCall, "catalog", "GET /search", 12, 0.0003, true},
    {1, Link::kDatabase, "postgresql", "SELECT products WHERE", 35, 0.0004, true},
};
constexpr Step kAddToCart[] = {
    {-1, Link::kCall, "frontend", "POST /cart", 5, 0.0001, true},
    {0, Link::kCall, "cart", "POST /carts/{id}/items", 3, 0.0001, true},
    {1, Link::kDatabase, "redis", "HSET cart", 0.7, 0, true},
};
constexpr Step kCheckout[] = {
    {-1, Link::kCall, "frontend", "POST /checkout", 7, 0.0001, true},
    {0, Link::kCall, "checkout", "POST /orders", 9, 0.00005, true},
    {1, Link::kCall, "cart", "GET /carts/{id}", 2, 0.0001, true},
    {2, Link::kDatabase, "redis", "HGETALL cart", 0.7, 0, true},
    {1, Link::kCall, "payment", "POST /payments", 6, 0.00005, true},
    {4, Link::kBank, "bank", "POST /v1/charges", 85, 0.0002, true},
    {1, Link::kDatabase, "postgresql", "INSERT orders", 5, 0.00005, true},
    {1, Link::kMessage, "mail", "orders", 25, 0.001, false},
};

struct Journey {
  std::span<const Step> steps;
  double share;
};
constexpr std::array<Journey, 5> kJourneys = {
    {{kHome, 0.40}, {kProduct, 0.30}, {kSearch, 0.12}, {kAddToCart, 0.11}, {kCheckout, 0.07}}};

constexpr std::size_t kCheckoutJourney = 4;
constexpr std::size_t kCartJourney = 3;
/// What the incident does to one of the two banks.
constexpr std::string_view kTroubledBank = "northbank";
constexpr double kTroubledSlowdown = 25;
constexpr double kTroubledFailureRate = 0.6;

std::string_view method_of(std::string_view route) { return route.substr(0, route.find(' ')); }
std::string_view path_of(std::string_view route) { return route.substr(route.find(' ') + 1); }

std::string resource_of(std::string_view service) {
  return tracing::ResourceWriter()
      .attribute("service.name", service)
      .attribute("service.version", service == "payment" ? "2.8.0" : "1.4.2")
      .attribute("service.namespace", "shop")
      .attribute("service.instance.id", fmt::format("{}-0", service))
      .attribute("deployment.environment.name", "demo")
      .wire();
}

}  // namespace

/// One visitor's request on its way through the services.
class Shop::Visit final {
 public:
  Visit(Shop& shop, const Journey& journey, Timestamp start,
        std::map<std::string_view, std::vector<std::string>>* spans)
      : shop_(shop),
        steps_(journey.steps),
        start_ns_(static_cast<std::uint64_t>(start.ms) * 1'000'000),
        spans_(spans),
        is_troubled_(shop.has_incident(start)),
        trace_id_{.high = shop.random_(), .low = shop.random_() | 1},
        bank_(shop.uniform() < 0.5 ? kTroubledBank : "citypay"),
        tier_(shop.uniform() < 0.2 ? "gold" : "standard"),
        customer_(fmt::format("c{:05}", shop.random_() % 5'000)) {}

  /// False when the visitor saw an error.
  bool run() {
    const Outcome outcome = answer(0, start_ns_, SpanId{});
    return !outcome.failed;
  }

 private:
  struct Outcome {
    std::uint64_t end_ns = 0;
    bool failed = false;
  };

  SpanId new_span() { return SpanId{shop_.random_() | 1}; }
  std::uint64_t delay_ns(double median_ms) {
    return static_cast<std::uint64_t>(median_ms * std::exp(0.35 * shop_.normal()) * 1e6);
  }

  /// Does the step itself, in its own service: half its work, what it asks of others, the rest.
  Outcome work(std::size_t index, std::uint64_t start_ns, SpanId span) {
    const Step& step = steps_[index];
    const bool hits_bank = step.link == Link::kBank && is_troubled_ && bank_ == kTroubledBank;
    double median_ms = step.self_ms * (hits_bank ? kTroubledSlowdown : 1);
    // Now and then a query finds nothing in the database's cache.
    if (step.link == Link::kDatabase && shop_.uniform() < 0.003) median_ms *= 30;
    const std::uint64_t self_ns = delay_ns(median_ms);
    Outcome out{.end_ns = start_ns + self_ns / 2};
    for (std::size_t i = index + 1; i < steps_.size() && !out.failed; ++i) {
      if (steps_[i].parent != static_cast<int>(index)) continue;
      const Outcome child = ask(i, out.end_ns, span);
      out.failed = child.failed && steps_[i].is_needed;
      if (steps_[i].link != Link::kMessage) out.end_ns = child.end_ns;
    }
    out.end_ns += self_ns - self_ns / 2;
    if (shop_.uniform() < (hits_bank ? kTroubledFailureRate : step.failure_rate)) out.failed = true;
    return out;
  }

  /// One step asked by a span of the step before it.
  Outcome ask(std::size_t index, std::uint64_t start_ns, SpanId caller) {
    const Step& step = steps_[index];
    const std::string_view caller_service = steps_[static_cast<std::size_t>(step.parent)].service;
    const SpanId span_id = new_span();
    Outcome out;
    tracing::SpanWriter span(trace_id_, span_id);
    span.parent(caller);
    switch (step.link) {
      case Link::kDatabase:
        out = work(index, start_ns, span_id);
        span.name(step.name)
            .kind(SpanKind::kClient)
            .attribute("db.system.name", step.service)
            .attribute("db.operation.name", method_of(step.name))
            .attribute("peer.service", step.service);
        if (out.failed) fail(span, out.end_ns, "connection reset by peer");
        break;
      case Link::kBank:
        out = work(index, start_ns, span_id);
        span.name(method_of(step.name))
            .kind(SpanKind::kClient)
            .attribute("http.request.method", method_of(step.name))
            .attribute("url.path", path_of(step.name))
            .attribute("peer.service", bank_)
            .attribute("payment.provider", bank_)
            .attribute("http.response.status_code", out.failed ? 504 : 200);
        if (out.failed) fail(span, out.end_ns, "upstream request timeout");
        break;
      case Link::kCall: {
        const std::uint64_t network_ns = delay_ns(0.3);
        out = answer(index, start_ns + network_ns, span_id);
        out.end_ns += network_ns;
        span.name(method_of(step.name))
            .kind(SpanKind::kClient)
            .attribute("http.request.method", method_of(step.name))
            .attribute("server.address", step.service)
            .attribute("http.response.status_code", out.failed ? 500 : 200);
        if (out.failed) span.status(tracing::StatusCode::kError, "500");
        break;
      }
      case Link::kMessage: {
        out = {.end_ns = start_ns + delay_ns(1)};
        consume(index, out.end_ns + delay_ns(15), span_id);
        span.name(fmt::format("publish {}", step.name))
            .kind(SpanKind::kProducer)
            .attribute("messaging.system", "kafka")
            .attribute("messaging.destination.name", step.name);
        break;
      }
    }
    span.times(start_ns, out.end_ns);
    keep(caller_service, span);
    return out;
  }

  /// A service answers a request.
  Outcome answer(std::size_t index, std::uint64_t start_ns, SpanId caller) {
    const Step& step = steps_[index];
    const SpanId span_id = new_span();
    const Outcome out = work(index, start_ns, span_id);
    const int code = out.failed ? (index == 0 ? 502 : 500) : 200;
    count(step, code, out.end_ns - start_ns);
    tracing::SpanWriter span(trace_id_, span_id);
    if (caller.is_valid()) span.parent(caller);
    span.name(step.name)
        .kind(SpanKind::kServer)
        .times(start_ns, out.end_ns)
        .attribute("http.request.method", method_of(step.name))
        .attribute("http.route", path_of(step.name))
        .attribute("http.response.status_code", code);
    if (index == 0) span.attribute("enduser.id", customer_).attribute("customer.tier", tier_);
    if (step.service == "payment") span.attribute("payment.provider", bank_);
    if (out.failed) span.status(tracing::StatusCode::kError, fmt::format("{}", code));
    keep(step.service, span);
    return out;
  }

  void consume(std::size_t index, std::uint64_t start_ns, SpanId producer) {
    const Step& step = steps_[index];
    const SpanId span_id = new_span();
    const Outcome out = work(index, start_ns, span_id);
    tracing::SpanWriter span(trace_id_, span_id);
    span.parent(producer)
        .name(fmt::format("process {}", step.name))
        .kind(SpanKind::kConsumer)
        .times(start_ns, out.end_ns)
        .attribute("messaging.system", "kafka")
        .attribute("messaging.destination.name", step.name);
    if (out.failed) fail(span, out.end_ns, "mailbox unavailable");
    keep(step.service, span);
  }

  static void fail(tracing::SpanWriter& span, std::uint64_t time_ns, const char* message) {
    span.status(tracing::StatusCode::kError, message)
        .event(tracing::EventWriter(time_ns, "exception")
                   .attribute("exception.type", "IOError")
                   .attribute("exception.message", message));
  }

  void count(const Step& step, int code, std::uint64_t duration_ns) {
    ShopRoute& route = shop_.routes_[{std::string(step.service), std::string(step.name)}];
    const std::vector<double>& limits = bounds();
    route.buckets.resize(limits.size() + 1);
    ++route.count_by_code[code];
    const double seconds = static_cast<double>(duration_ns) / 1e9;
    const auto bucket = std::ranges::lower_bound(limits, seconds) - limits.begin();
    ++route.buckets[static_cast<std::size_t>(bucket)];
    route.seconds_sum += seconds;
  }

  void keep(std::string_view service, const tracing::SpanWriter& span) {
    ++shop_.span_count_;
    if (spans_ != nullptr) (*spans_)[service].push_back(span.wire());
  }

  Shop& shop_;
  const std::span<const Step> steps_;
  const std::uint64_t start_ns_;
  std::map<std::string_view, std::vector<std::string>>* const spans_;  ///< Null: not wanted.
  const bool is_troubled_;
  const TraceId trace_id_;
  const std::string_view bank_;
  const std::string_view tier_;
  const std::string customer_;
};

Shop::Shop(ShopOptions options, Timestamp start)
    : options_(options), random_(options.seed), next_visitor_(start) {}

const std::vector<std::string>& Shop::services() {
  static const std::vector<std::string> kServices = {"frontend", "catalog",  "recommendation",
                                                     "cart",     "checkout", "payment"};
  return kServices;
}

const std::vector<double>& Shop::bounds() {
  static const std::vector<double> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                              0.5,   1,    2.5,   5,    10};
  return kBounds;
}

void Shop::plan_incident(Timestamp start, Timestamp end) {
  incident_start_ = start;
  incident_end_ = end;
}

std::string Shop::advance(Timestamp until, bool wants_spans) {
  std::map<std::string_view, std::vector<std::string>> spans;
  while (next_visitor_ < until) {
    double at = uniform();
    std::size_t chosen = 0;
    while (chosen + 1 < kJourneys.size() && at >= kJourneys[chosen].share) {
      at -= kJourneys[chosen++].share;
    }
    Visit visit(*this, kJourneys[chosen], next_visitor_, wants_spans ? &spans : nullptr);
    const bool succeeded = visit.run();
    ++visitor_count_;
    if (chosen == kCartJourney) open_carts_ += 0.6;
    if (chosen == kCheckoutJourney) {
      ++orders_by_outcome_[succeeded ? "paid" : "failed"];
      if (succeeded) revenue_euros_ += std::round(100 * 40 * std::exp(0.6 * normal())) / 100;
      open_carts_ = std::max(0.0, open_carts_ - 1);
    }
    // More people shop in the evening: half again as many as on average, half as few at night.
    const double day = static_cast<double>(next_visitor_.ms % 86'400'000) / 86'400'000;
    const double rate =
        options_.requests_per_second * (1 + 0.5 * std::sin(2 * std::numbers::pi * (day - 0.55)));
    const double gap_ms = -std::log(1 - uniform()) * 1000 / rate;
    next_visitor_ = next_visitor_ + milliseconds(std::max<std::int64_t>(1, std::lround(gap_ms)));
  }
  tracing::RequestWriter request;
  for (const auto& [service, of_service] : spans) {
    request.resource(resource_of(service))
        .scope(tracing::ScopeWriter().name("tarsier-demo").version("1").wire());
    for (const std::string& span : of_service) request.span(span);
  }
  return request.take();
}

std::string Shop::metrics(std::string_view service, std::string_view labels,
                          std::string_view timestamp) const {
  std::string out;
  const std::string end = timestamp.empty() ? "\n" : fmt::format(" {}\n", timestamp);
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  };
  const auto for_each_route = [&](const auto& visit) {
    for (const auto& [key, route] : routes_) {
      if (key.first == service) visit(method_of(key.second), path_of(key.second), route);
    }
  };
  family("http_requests_total", "counter", "Requests answered, by route and status.");
  for_each_route([&](std::string_view method, std::string_view path, const ShopRoute& route) {
    for (const auto& [code, count] : route.count_by_code) {
      fmt::format_to(std::back_inserter(out),
                     "http_requests_total{{{}handler=\"{}\",method=\"{}\",code=\"{}\"}} {}{}",
                     labels, path, method, code, count, end);
    }
  });
  family("http_request_duration_seconds", "histogram", "Time to answer, by route.");
  for_each_route([&](std::string_view method, std::string_view path, const ShopRoute& route) {
    const auto sample = [&](std::string_view suffix, std::string_view le, const auto& value) {
      fmt::format_to(std::back_inserter(out),
                     "http_request_duration_seconds{}{{{}handler=\"{}\",method=\"{}\"{}}} {}{}",
                     suffix, labels, path, method, le, value, end);
    };
    std::uint64_t count = 0;
    for (std::size_t i = 0; i <= bounds().size(); ++i) {
      count += route.buckets[i];
      const std::string bound =
          i < bounds().size() ? fmt::format("{}", bounds()[i]) : std::string("+Inf");
      sample("_bucket", fmt::format(",le=\"{}\"", bound), count);
    }
    sample("_sum", "", route.seconds_sum);
    sample("_count", "", count);
  });
  const std::string own =
      labels.empty() ? "" : fmt::format("{{{}}}", labels.substr(0, labels.size() - 1));
  if (service == "cart") {
    family("shop_open_carts", "gauge", "Carts with something in them.");
    fmt::format_to(std::back_inserter(out), "shop_open_carts{} {}{}", own, std::round(open_carts_),
                   end);
  }
  if (service == "checkout") {
    family("shop_orders_total", "counter", "Orders, by what became of them.");
    for (const auto& [outcome, count] : orders_by_outcome_) {
      fmt::format_to(std::back_inserter(out), "shop_orders_total{{{}outcome=\"{}\"}} {}{}", labels,
                     outcome, count, end);
    }
    family("shop_revenue_euros_total", "counter", "What was paid.");
    fmt::format_to(std::back_inserter(out), "shop_revenue_euros_total{} {:.2f}{}", own,
                   revenue_euros_, end);
  }
  return out;
}

double Shop::uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

double Shop::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

}  // namespace tarsier::server
