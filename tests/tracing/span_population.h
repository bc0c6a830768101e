#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "tracing/span.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {

/// Traces of a made-up shop, known to the last count: what metrics must come out of them.
class SpanPopulation final {
 public:
  struct Row {
    double calls = 0;
    double bytes = 0;
    double seconds = 0;
    std::vector<double> durations;
    std::vector<double> weights;
  };
  /// service, span name, kind, status.
  using Key = std::tuple<std::string, std::string, std::string, std::string>;

  explicit SpanPopulation(std::uint64_t seed) : random_(seed) {}

  /// A request with a few traces; adds to `rows`.
  std::shared_ptr<const SpanBatch> next(int traces) {
    RequestWriter request;
    for (int i = 0; i < traces; ++i) add_trace(request);
    auto batch = SpanBatch::decode(request.take());
    return batch.ok() ? *batch : nullptr;
  }

  std::map<Key, Row> rows;
  double spans = 0;

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void add_trace(RequestWriter& request) {
    static const std::vector<std::string> kServices = {"front", "cart", "pay"};
    static const std::vector<std::string> kStates = {"", "ot=th:0", "ot=th:8", "x=y,ot=th:fd70a"};
    const TraceId trace{random_(), random_() | 1};
    const std::string state = kStates[below(kStates.size())];
    const double weight = state.ends_with("th:8")    ? 2
                          : state.ends_with("fd70a") ? 1048576.0 / (1048576 - 0xFD70A)
                                                     : 1;
    SpanId parent{};
    for (std::size_t i = 0; i < 1 + below(5); ++i) {
      const std::string& service = kServices[below(kServices.size())];
      const std::string name = "op" + std::to_string(below(7));
      const auto kind = static_cast<SpanKind>(below(6));
      const auto status = static_cast<StatusCode>(below(3));
      const SpanId id{random_() | 1};
      const UnixNanos start = 1'700'000'000'000'000'000 + below(1'000'000'000);
      const std::uint64_t took = below(2) == 0 ? below(20'000'000) : below(30'000'000'000);
      SpanWriter span(trace, id);
      span.parent(parent).name(name).kind(kind).times(start, start + took).status(status);
      if (!state.empty()) span.trace_state(state);
      request.resource(ResourceWriter().attribute("service.name", service).wire());
      request.span(span.wire());
      Row& row =
          rows[{service, name, std::string(kind_name(kind)), std::string(status_name(status))}];
      row.calls += weight;
      row.bytes += static_cast<double>(span.wire().size()) * weight;
      row.seconds += static_cast<double>(took) / 1e9 * weight;
      row.durations.push_back(static_cast<double>(took) / 1e9);
      row.weights.push_back(weight);
      parent = id;
      ++spans;
    }
  }

  std::mt19937_64 random_;
};

}  // namespace tarsier::tracing
