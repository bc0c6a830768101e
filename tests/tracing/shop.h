#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "tracing/kept_trace.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {

/// Traces of a shop as its instrumentation sends them: about 20 spans of some 500 bytes each, over
/// seven services with several instances. Deterministic by seed. The traces live as long as this.
class Shop final {
 public:
  static constexpr std::uint64_t kStart = 1'800'000'000'000'000'000;

  Shop(unsigned seed, std::size_t trace_count, std::uint64_t start_ns = kStart)
      : random_(seed), start_ns_(start_ns) {
    for (std::size_t i = 0; i < trace_count; ++i) add_trace(i);
  }
  const std::vector<KeptTrace>& traces() const { return traces_; }

 private:
  std::uint64_t draw() { return random_(); }
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }
  std::string hex(int digits) {
    std::string out;
    for (int i = 0; i < digits; ++i) out += "0123456789abcdef"[draw() % 16];
    return out;
  }

  std::string_view resource(std::size_t service) {
    const std::size_t instance = draw() % 4;
    std::string_view& known = resources_[service * 4 + instance];
    if (!known.empty()) return known;
    const std::string name = kServices[service];
    const std::string pod = name + "-7d9c5b6f4-" + std::to_string(instance);
    return known = keep(ResourceWriter()
                            .attribute("service.name", name)
                            .attribute("service.namespace", "shop")
                            .attribute("service.version", "1.14." + std::to_string(service))
                            .attribute("service.instance.id", hex(32))
                            .attribute("k8s.pod.name", pod)
                            .attribute("k8s.namespace.name", "production")
                            .attribute("host.name", "node-" + std::to_string(instance))
                            .attribute("telemetry.sdk.name", "opentelemetry")
                            .attribute("telemetry.sdk.language", "go")
                            .attribute("telemetry.sdk.version", "1.32.0")
                            .wire());
  }

  void add_span(TraceId id, SpanId own, SpanId parent, std::size_t service, std::uint64_t start,
                std::uint64_t duration, std::vector<KeptSpan>& out) {
    SpanWriter span(id, own);
    if (parent.is_valid()) span.parent(parent);
    const std::size_t shape = parent.is_valid() ? draw() % 3 : 0;
    const std::size_t route = draw() % 12;
    span.times(start, start + duration).flags(0x101);
    if (shape == 0) {
      const bool fails = draw() % 50 == 0;
      span.name("GET /api/items/{id}/" + std::to_string(route)).kind(SpanKind::kServer);
      span.attribute("http.request.method", "GET")
          .attribute("http.route", "/api/items/{id}/" + std::to_string(route))
          .attribute("url.path",
                     "/api/items/" + std::to_string(draw() % 5000) + "/" + std::to_string(route))
          .attribute("url.scheme", "https")
          .attribute("server.address", std::string(kServices[service]) + ".shop.svc.cluster.local")
          .attribute("server.port", 8080)
          .attribute("network.protocol.version", "1.1")
          .attribute("user_agent.original",
                     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/" +
                         std::to_string(120 + draw() % 10))
          .attribute("client.address",
                     "10.4." + std::to_string(draw() % 8) + "." + std::to_string(draw() % 250))
          .attribute("http.response.status_code", fails ? 500 : 200)
          .attribute("http.response.body.size", static_cast<std::int64_t>(draw() % 20'000));
      if (fails) span.status(StatusCode::kError, "internal error");
    } else if (shape == 1) {
      span.name("SELECT items").kind(SpanKind::kClient);
      span.attribute("db.system.name", "postgresql")
          .attribute("db.namespace", "shop")
          .attribute("db.operation.name", "SELECT")
          .attribute("db.collection.name", "items")
          .attribute("db.query.text",
                     "SELECT id, name, price, stock FROM items WHERE id = $1 AND region = $2 /* " +
                         std::to_string(route) + " */")
          .attribute("server.address", "postgres-0.shop.svc.cluster.local")
          .attribute("server.port", 5432)
          .attribute("db.response.returned_rows", static_cast<std::int64_t>(draw() % 40))
          .attribute("thread.id", static_cast<std::int64_t>(draw() % 64));
    } else {
      span.name("cart.checkout").kind(SpanKind::kInternal);
      span.attribute("app.user.id", static_cast<std::int64_t>(draw() % 100'000))
          .attribute("app.cart.size", static_cast<std::int64_t>(draw() % 9))
          .attribute("app.currency", kCurrencies[draw() % 4])
          .attribute("app.cart.total", static_cast<double>(draw() % 100'000) / 100)
          .attribute("app.feature.flag", draw() % 2 == 0)
          .attribute("code.function.name", "shop/cart.(*Service).Checkout")
          .attribute("code.file.path", "/src/shop/cart/service.go")
          .attribute("code.line.number", 214);
    }
    out.push_back({.resource = resource(service),
                   .scope = keep(ScopeWriter().name("otelhttp").version("0.57.0").wire()),
                   .span = keep(span.wire())});
  }

  void add_trace(std::size_t index) {
    const TraceId id{.high = draw(), .low = draw()};
    std::vector<KeptSpan>& spans = parts_.emplace_back();
    const std::uint64_t start = start_ns_ + index * 7'000'000 + draw() % 1'000'000;
    std::vector<SpanId> ids;
    const std::size_t count = 12 + draw() % 17;
    for (std::size_t i = 0; i < count; ++i) {
      const SpanId own{draw()};
      const SpanId parent = i == 0 ? SpanId{} : ids[draw() % ids.size()];
      const std::uint64_t begin = i == 0 ? start : start + draw() % 40'000'000;
      add_span(id, own, parent, draw() % std::size(kServices), begin,
               50'000 + draw() % (i == 0 ? 80'000'000 : 9'000'000), spans);
      ids.push_back(own);
    }
    traces_.push_back({.trace_id = id, .spans = spans});
  }

  static constexpr const char* kServices[] = {"frontend", "cart",     "catalog", "payment",
                                              "shipping", "currency", "search"};
  static constexpr const char* kCurrencies[] = {"EUR", "USD", "JPY", "GBP"};

  std::mt19937_64 random_;
  const std::uint64_t start_ns_;
  std::string_view resources_[std::size(kServices) * 4];
  std::deque<std::string> texts_;
  std::deque<std::vector<KeptSpan>> parts_;
  std::vector<KeptTrace> traces_;
};

}  // namespace tarsier::tracing
