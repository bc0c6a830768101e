// Spans through the trace buffer and the sampler: taken in, logged to a real disk, judged, decided;
// kept ones handed to a store that only counts. And a simulation over a million recorded traces.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/log.h"
#include "base/posix_file.h"
#include "tests/support/temporary_directory.h"
#include "tests/tracing/trace_population.h"
#include "tracing/trace_buffer.h"

namespace tarsier::tracing {
namespace {

class CountingSink final : public KeptTraceSink {
 public:
  Status keep(std::span<const KeptTrace> traces, Timestamp) override {
    for (const KeptTrace& trace : traces) spans_ += trace.spans.size();
    return {};
  }
  Status sync() override { return {}; }
  std::uint64_t spans() const { return spans_; }

 private:
  std::uint64_t spans_ = 0;
};

constexpr std::size_t kRequests = 400;

void buffer_and_sampler(benchmark::State& state) {
  testing::TracePopulation population({.traces_per_request = 80, .payload_bytes = 250});
  std::vector<std::string> requests;
  std::uint64_t bytes = 0;
  std::int64_t span_count = 0;
  for (std::size_t i = 0; i < kRequests / 4; ++i) {
    for (const auto& batch : population.draw(1'700'000'000'000)) {
      requests.emplace_back(batch->wire());
      bytes += batch->wire().size();
      span_count += static_cast<std::int64_t>(batch->spans().size());
    }
  }
  std::uint64_t kept = 0;
  for (auto _ : state) {
    state.PauseTiming();
    tarsier::testing::TemporaryDirectory directory;
    const std::unique_ptr<FileSystem> files = make_posix_file_system();
    NullLogger log;
    OperationTable operations;
    CountingSink sink;
    TraceSummaries summaries;
    Timestamp now{1'700'000'000'000};
    const auto decisions =
        DecisionLog::open(*files, directory.path() + "/decisions", {}, now, log).value();
    auto sampler = std::make_shared<TailSampler>(compile_policies("[]").value(), operations,
                                                 TailSampler::Options{});
    auto buffer = TraceBuffer::open(directory.path() + "/spans", {}, {.sampler = sampler},
                                    {*files, sink, *decisions, summaries, log}, now)
                      .value();
    state.ResumeTiming();
    for (const std::string& request : requests) {
      const SpanAdmission admission = buffer->accept(SpanBatch::decode(request).value());
      buffer->when_accepted(admission.position, [](const Status&) {});
      now = now + milliseconds(1);
      if (now.ms % 100 == 0) buffer->run_due(now);
    }
    buffer->decide_all(now + seconds(40));
    state.PauseTiming();
    kept = sink.spans();
    buffer.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * span_count);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.counters["bytes_per_span"] = static_cast<double>(bytes) / static_cast<double>(span_count);
  state.counters["kept_share"] = static_cast<double>(kept) / static_cast<double>(span_count);
}
BENCHMARK(buffer_and_sampler)->Unit(benchmark::kMillisecond);

void simulate_a_million(benchmark::State& state) {
  OperationTable operations;
  TailSampler recorder(compile_policies("[]").value(), operations, {});
  TraceSummaries summaries;
  const std::uint32_t number = summaries.number_of(recorder.conditions());
  std::mt19937_64 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    JudgedTrace trace{.id = {random(), random()},
                      .randomness = random() >> 8,
                      .duration_ns = 1'000'000 + random() % 100'000'000,
                      .decided_at = Timestamp{i},
                      .byte_count = 3000,
                      .span_count = 6,
                      .operation = static_cast<std::uint32_t>(random() % 100),
                      .policies = number};
    if (random() % 100 == 0) trace.conditions.set(0);
    summaries.add(trace, {});
  }
  for (auto _ : state) {
    TailSampler candidate(compile_policies("[]").value(), operations, {});
    benchmark::DoNotOptimize(summaries.simulate(candidate).kept_now.traces);
  }
  state.SetItemsProcessed(state.iterations() * 1'000'000);
}
BENCHMARK(simulate_a_million)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tarsier::tracing
