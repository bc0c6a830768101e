// What a span costs between the network and the sink: decoding (every message checked to its last
// leaf), span metrics, service graph, and JSON instead of protobuf. A request has 512 spans of
// about 500 bytes in traces of eight, of eight services, with ten attributes each. Counters are per
// span.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "base/check.h"
#include "tracing/service_graph.h"
#include "tracing/span_metrics.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {
namespace {

constexpr int kSpans = 512;
constexpr Timestamp kStart{1'700'000'000'000};

std::string make_request(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::string>> spans(8);
  for (int i = 0; i < kSpans / 8; ++i) {
    const TraceId trace{random(), random() | 1};
    SpanId parent{};
    for (std::size_t depth = 0; depth < 8; ++depth) {
      const SpanId id{random() | 1};
      const UnixNanos start = 1'700'000'000'000'000'000 + random() % 1'000'000'000;
      SpanWriter span(trace, id);
      span.parent(parent)
          .name(fmt::format("GET /api/v1/resource{}", random() % 20))
          .kind(depth % 2 == 0 ? SpanKind::kServer : SpanKind::kClient)
          .times(start, start + random() % 300'000'000)
          .status(random() % 50 == 0 ? StatusCode::kError : StatusCode::kUnset);
      span.attribute("http.request.method", "GET").attribute("http.response.status_code", 200);
      span.attribute("url.path", fmt::format("/api/v1/resource/{}", random() % 100'000));
      span.attribute("url.scheme", "https").attribute("server.address", "shop.example.org");
      span.attribute("client.address", fmt::format("10.1.{}.{}", random() % 256, random() % 256));
      span.attribute("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)");
      span.attribute("network.protocol.version", "1.1").attribute("thread.id", 42);
      span.attribute("k8s.pod.name", fmt::format("shop-7d9f{}-x2b5q", random() % 30));
      spans[depth].push_back(span.wire());
      parent = id;
    }
  }
  RequestWriter request;
  for (std::size_t service = 0; service < spans.size(); ++service) {
    request.resource(ResourceWriter()
                         .attribute("service.name", fmt::format("service-{}", service))
                         .attribute("service.version", "1.2.3")
                         .attribute("deployment.environment", "production")
                         .wire());
    for (const std::string& span : spans[service]) request.span(span);
  }
  return request.take();
}

std::shared_ptr<const SpanBatch> decode(const std::string& wire) {
  return SpanBatch::decode(wire).value();
}

void per_span(benchmark::State& state, std::size_t wire_bytes) {
  const auto spans = static_cast<double>(state.iterations()) * kSpans;
  state.counters["s/span"] =
      benchmark::Counter(spans, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes/span"] = static_cast<double>(wire_bytes) / kSpans;
}

void BM_Decode(benchmark::State& state) {
  const std::string wire = make_request(1);
  for (auto _ : state) benchmark::DoNotOptimize(decode(wire));
  per_span(state, wire.size());
}
BENCHMARK(BM_Decode);

void BM_SpanMetrics(benchmark::State& state) {
  SpanMetrics metrics(
      {.dimensions = state.range(0) == 0 ? std::vector<std::string>()
                                         : std::vector<std::string>{"http.request.method"}},
      {}, kStart);
  const auto batch = decode(make_request(1));
  for (auto _ : state) metrics.observe(*batch, {}, kStart);
  per_span(state, batch->wire().size());
}
BENCHMARK(BM_SpanMetrics)->ArgName("dimensions")->Arg(0)->Arg(1);

void BM_ServiceGraph(benchmark::State& state) {
  ServiceGraph graph({}, {}, kStart);
  const auto batch = decode(make_request(1));
  for (auto _ : state) graph.observe(*batch, {}, kStart);
  per_span(state, batch->wire().size());
}
BENCHMARK(BM_ServiceGraph);

}  // namespace
}  // namespace tarsier::tracing
