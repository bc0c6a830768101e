// What stored traces cost: spans/s taken over (log, columns, block), bytes a span on disk, and the
// time to find one trace, to search and to count. The shop of the tests: about 20 spans a trace,
// 420 bytes each. TARSIER_BENCH_TRACES says how many traces.

#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/cancel.h"
#include "base/check.h"
#include "base/log.h"
#include "base/posix_file.h"
#include "tests/support/temporary_directory.h"
#include "tests/tracing/shop.h"
#include "tracing/store/store_snapshot.h"
#include "tracing/trace_queries.h"
#include "tracing/trace_store.h"

namespace tarsier::tracing {
namespace {

constexpr Timestamp kNow{1'800'000'000'000};
constexpr std::size_t kTracesAtOnce = 50;
constexpr std::size_t kTracesOfOneShop = 2000;

std::size_t trace_count() {
  const char* text = std::getenv("TARSIER_BENCH_TRACES");
  return text == nullptr ? 20'000 : static_cast<std::size_t>(std::atoll(text));
}

/// A store of many traces in blocks, made once.
struct Filled {
  Filled() {
    Result<std::unique_ptr<TraceStore>> opened =
        TraceStore::open(*files, directory.path() + "/traces", {}, log, kNow);
    CHECK(opened.ok(), opened.status().message());
    store = std::move(*opened);
    for (std::size_t done = 0; done < trace_count(); done += kTracesOfOneShop) {
      const Shop shop(static_cast<unsigned>(done + 1), kTracesOfOneShop,
                      Shop::kStart + done * 7'000'000);
      for (std::size_t i = 0; i < kTracesOfOneShop; i += kTracesAtOnce) {
        CHECK(store->keep(std::span(shop.traces()).subspan(i, kTracesAtOnce), kNow).ok());
      }
      for (const KeptTrace& trace : shop.traces()) ids.push_back(trace.trace_id);
      store->run_due(kNow);
    }
    CHECK(store->flush(kNow).ok());
    const std::shared_ptr<const StoreSnapshot> snapshot = store->snapshot();
    for (const auto& block : snapshot->blocks) {
      bytes += block->size();
      spans += block->meta().row_count;
    }
    queries = std::make_unique<TraceQueries>(*store, nullptr);
  }

  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  testing::TemporaryDirectory directory;
  NullLogger log;
  std::unique_ptr<TraceStore> store;
  std::unique_ptr<TraceQueries> queries;
  std::vector<TraceId> ids;
  std::uint64_t bytes = 0;
  std::uint64_t spans = 0;
};

Filled& filled() {
  static Filled store;
  return store;
}

void keep(benchmark::State& state) {
  const Shop shop(1, kTracesOfOneShop);
  std::size_t spans = 0;
  for (const KeptTrace& trace : shop.traces()) spans += trace.spans.size();
  const auto files = make_posix_file_system();
  for (auto _ : state) {
    testing::TemporaryDirectory directory;
    NullLogger log;
    auto store = TraceStore::open(*files, directory.path() + "/traces", {}, log, kNow);
    CHECK(store.ok());
    for (std::size_t i = 0; i < kTracesOfOneShop; i += kTracesAtOnce) {
      CHECK((*store)->keep(std::span(shop.traces()).subspan(i, kTracesAtOnce), kNow).ok());
    }
    CHECK((*store)->flush(kNow).ok());
  }
  state.counters["spans/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(spans),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(keep)->Unit(benchmark::kMillisecond);

void find(benchmark::State& state) {
  Filled& store = filled();
  std::mt19937_64 random(7);
  for (auto _ : state) {
    const WholeTrace trace = store.queries->find(store.ids[random() % store.ids.size()]);
    CHECK(!trace.spans.empty());
  }
  state.counters["bytes/span"] =
      static_cast<double>(store.bytes) / static_cast<double>(store.spans);
  state.counters["spans"] = static_cast<double>(store.spans);
}
BENCHMARK(find)->Unit(benchmark::kMillisecond);

void find_nothing(benchmark::State& state) {
  Filled& store = filled();
  std::uint64_t next = 1;
  for (auto _ : state) CHECK(store.queries->find({.high = 1, .low = next++}).spans.empty());
}
BENCHMARK(find_nothing)->Unit(benchmark::kMicrosecond);

void search(benchmark::State& state, const std::string& query) {
  Filled& store = filled();
  QueryCosts costs;
  for (auto _ : state) {
    const auto answer = store.queries->search({.query = query}, CancelToken());
    CHECK(answer.ok(), answer.status().message());
    costs = answer->costs;
  }
  state.counters["parts"] = static_cast<double>(costs.parts);
  state.counters["pruned"] = static_cast<double>(costs.pruned);
}
BENCHMARK_CAPTURE(search, newest, std::string("{}"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search, errors_of_a_service,
                  std::string("{ resource.service.name = \"cart\" && status = error }"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search, one_value, std::string("{ span.app.user.id = 4711 }"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search, absent_value, std::string("{ span.url.path = \"/nowhere\" }"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search, everything_to_no_avail, std::string("{ duration > 79ms && .no = 1 }"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search, structure,
                  std::string("{ resource.service.name = \"cart\" } >> { status = error }"))
    ->Unit(benchmark::kMillisecond);

void rate(benchmark::State& state) {
  Filled& store = filled();
  const auto start = static_cast<std::int64_t>(Shop::kStart);
  for (auto _ : state) {
    const auto answer =
        store.queries->metrics({.query = "{} | rate() by(resource.service.name)",
                                .start_ns = start,
                                .end_ns = start + std::int64_t{3600} * 1'000'000'000,
                                .step_ns = 15'000'000'000},
                               CancelToken());
    CHECK(answer.ok() && !answer->series.empty());
  }
  state.counters["spans/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(store.spans),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(rate)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tarsier::tracing
