#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/tracing/trace_builder.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing::testing {

/// A population of traces of which everything is known: a shop of four services, errors and slow
/// traces at given shares, sent as services do: each its own spans, in requests of many traces, in
/// any order. Deterministic by seed.
class TracePopulation final {
 public:
  struct Options {
    unsigned seed = 1;
    double error_share = 0.01;
    double slow_share = 0.01;
    std::uint64_t slow_ms = 3000;
    std::size_t spans_per_trace = 6;
    std::size_t traces_per_request = 50;
    std::size_t payload_bytes = 200;  ///< Of an attribute on every span.
  };
  explicit TracePopulation(Options options) : options_(options), random_(options.seed) {}

  struct Truth {
    std::string operation;
    bool is_error = false;
    bool is_slow = false;
    std::size_t span_count = 0;
  };
  const std::map<TraceId, Truth>& truth() const { return truth_; }

  /// The requests of the next `traces_per_request` traces, which begin at `start_ms`.
  std::vector<std::shared_ptr<const SpanBatch>> draw(std::uint64_t start_ms) {
    static const std::vector<std::string> kServices = {"web", "cart", "payment", "stock"};
    static const std::vector<std::string> kOperations = {"GET /", "GET /item", "POST /pay",
                                                         "GET /search"};
    std::vector<RequestWriter> requests(kServices.size());
    std::vector<bool> is_used(kServices.size());
    for (std::size_t n = 0; n < options_.traces_per_request; ++n) {
      const TraceId id{random_(), random_() | 1};
      Truth truth;
      truth.operation = kOperations[random_() % kOperations.size()];
      truth.is_error = chance(options_.error_share);
      truth.is_slow = chance(options_.slow_share);
      truth.span_count = options_.spans_per_trace;
      const std::size_t failing = truth.is_error ? random_() % truth.span_count : truth.span_count;
      for (std::size_t i = 0; i < truth.span_count; ++i) {
        const std::size_t service = i == 0 ? 0 : random_() % kServices.size();
        SpanSketch span{.id = i + 1,
                        .parent = i == 0 ? 0u : 1 + random_() % i,
                        .service = kServices[service],
                        .name = i == 0 ? truth.operation : "call " + std::to_string(random_() % 20),
                        .start_ms = start_ms + i,
                        .duration_ms = i == 0 ? 20 + random_() % 30 : random_() % 15};
        if (i == 0 && truth.is_slow) span.duration_ms = options_.slow_ms + random_() % 1000;
        if (i == failing) span.status = StatusCode::kError;
        span.also = [this](SpanWriter& s) {
          s.attribute("text",
                      std::string(options_.payload_bytes, static_cast<char>('a' + random_() % 26)));
          s.attribute("http.response.status_code", 200);
        };
        append_span(requests[service], id, span);
        is_used[service] = true;
      }
      truth_[id] = truth;
    }
    std::vector<std::shared_ptr<const SpanBatch>> out;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (is_used[i]) out.push_back(SpanBatch::decode(requests[i].take()).value());
    }
    std::shuffle(out.begin(), out.end(), random_);
    return out;
  }

 private:
  bool chance(double share) { return std::uniform_real_distribution<>()(random_) < share; }
  const Options options_;
  std::mt19937_64 random_;
  std::map<TraceId, Truth> truth_;
};

}  // namespace tarsier::tracing::testing
