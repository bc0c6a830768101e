// What a remote-write request costs before storage: Snappy, walk, hash, look-up, answer. Unit: time
// per iteration is per request of 2,000 samples; `samples/s` and `per_sample` are what a user
// feels.

#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "base/compression.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "ingest/remote/series_cache.h"
#include "ingest/remote/write_request.h"
#include "ingest/remote_write.h"
#include "tests/support/fleet.h"
#include "tests/support/null_appender.h"
#include "tsdb/head/head.h"

namespace tarsier::ingest {
namespace {

constexpr std::size_t kSeriesPerRequest = 2'000;
constexpr DecodeLimits kLimits{.samples_max = 1'000'000, .metadata_max = 1'000};

/// The bodies of one scrape of a fleet.
std::vector<std::string> make_bodies(std::size_t series_count) {
  testing::Fleet fleet({.series_count = series_count});
  fleet.step();
  std::vector<std::string> bodies;
  for (std::size_t i = 0; i + kSeriesPerRequest <= fleet.size(); i += kSeriesPerRequest) {
    bodies.push_back(fleet.write_body(i, kSeriesPerRequest));
  }
  return bodies;
}

void report(benchmark::State& state) {
  const auto samples = static_cast<double>(state.iterations()) * kSeriesPerRequest;
  state.counters["samples/s"] = benchmark::Counter(samples, benchmark::Counter::kIsRate);
  state.counters["per_sample"] =
      benchmark::Counter(samples, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void post(RemoteWriteReceiver& receiver, const std::string& body) {
  HttpRequest request;
  request.method = "POST";
  request.body = body;
  request.received = Timestamp{1'700'000'100'000};
  receiver.handle(std::move(request), [](const HttpResponse& response) {
    CHECK(response.status == 204, response.body);
  });
}

void receive(benchmark::State& state) {
  const std::vector<std::string> bodies = make_bodies(static_cast<std::size_t>(state.range(0)));
  std::uint64_t next_series = 1;
  NullLogger log;
  RemoteWriteReceiver receiver(
      WriteDoor{[&] { return std::make_unique<testing::NullAppender>(next_series); },
                [](tsdb::LogPosition, const std::function<void(Status)>& done) { done({}); }},
      {}, draw_hash_key(), log);
  for (const std::string& body : bodies) post(receiver, body);
  std::size_t i = 0;
  for (auto _ : state) post(receiver, bodies[i++ % bodies.size()]);
  report(state);
}
BENCHMARK(receive)->Arg(10'000)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);

/// The whole path in one process, without HTTP and disk: every request is the next scrape of its
/// series, appended to a head without a log.
void receive_into_head(benchmark::State& state) {
  constexpr std::size_t kScrapes = 12;
  const auto series_count = static_cast<std::size_t>(state.range(0));
  testing::Fleet fleet({.series_count = series_count});
  std::vector<std::string> bodies;
  for (std::size_t scrape = 0; scrape < kScrapes; ++scrape) {
    fleet.step();
    for (std::size_t i = 0; i + kSeriesPerRequest <= fleet.size(); i += kSeriesPerRequest) {
      bodies.push_back(fleet.write_body(i, kSeriesPerRequest));
    }
  }
  const std::size_t bodies_per_scrape = bodies.size() / kScrapes;
  NullLogger log;
  std::unique_ptr<tsdb::Head> head;
  std::unique_ptr<RemoteWriteReceiver> receiver;
  std::size_t next = bodies.size();
  for (auto _ : state) {
    if (next == bodies.size()) {  // Begin again, with the series created and their first sample in.
      state.PauseTiming();
      receiver.reset();
      head = std::make_unique<tsdb::Head>(tsdb::Options());
      receiver = std::make_unique<RemoteWriteReceiver>(
          WriteDoor{[&] { return head->appender(); },
                    [](tsdb::LogPosition, const std::function<void(Status)>& done) { done({}); }},
          RemoteWriteOptions(), draw_hash_key(), log);
      for (next = 0; next < bodies_per_scrape; ++next) post(*receiver, bodies[next]);
      state.ResumeTiming();
    }
    post(*receiver, bodies[next++]);
  }
  report(state);
}
BENCHMARK(receive_into_head)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void decompress(benchmark::State& state) {
  const std::vector<std::string> bodies = make_bodies(100'000);
  std::string message;
  std::size_t i = 0;
  for (auto _ : state) {
    CHECK(snappy_decompress(as_bytes(bodies[i++ % bodies.size()]), 1 << 25, message).ok());
  }
  report(state);
}
BENCHMARK(decompress)->Unit(benchmark::kMicrosecond);

std::vector<std::string> make_messages() {
  std::vector<std::string> messages;
  for (const std::string& body : make_bodies(100'000)) {
    CHECK(snappy_decompress(as_bytes(body), 1 << 25, messages.emplace_back()).ok());
  }
  messages.resize(4);  // A body just decompressed is in the cache.
  return messages;
}

void walk(benchmark::State& state) {
  const std::vector<std::string> messages = make_messages();
  WriteRequest request;
  std::size_t i = 0;
  for (auto _ : state)
    CHECK(decode_write_request(messages[i++ % messages.size()], kLimits, request).ok());
  report(state);
}
BENCHMARK(walk)->Unit(benchmark::kMicrosecond);

void hash_labels(benchmark::State& state) {
  const std::vector<std::string> messages = make_messages();
  std::vector<WriteRequest> requests(messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    CHECK(decode_write_request(messages[i], kLimits, requests[i]).ok());
  }
  const KeyedHash hash(draw_hash_key());
  std::vector<Hash128> hashes(kSeriesPerRequest);
  std::size_t i = 0;
  for (auto _ : state) {
    hash.hash_batch(requests[i++ % requests.size()].label_runs, hashes);
    benchmark::DoNotOptimize(hashes.data());
  }
  report(state);
}
BENCHMARK(hash_labels)->Unit(benchmark::kMicrosecond);

void look_up(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  SeriesCache cache(10'000'000);
  std::vector<Hash128> hashes(count);
  const KeyedHash hash(draw_hash_key());
  for (std::size_t i = 0; i < count; ++i) {
    hashes[i] = hash.hash(std::to_string(i));
    cache.insert(hashes[i], tsdb::SeriesRef{i + 1}, Timestamp{});
  }
  std::vector<tsdb::SeriesRef> found(kSeriesPerRequest);
  std::size_t first = 0;
  for (auto _ : state) {
    cache.find(std::span(hashes).subspan(first, kSeriesPerRequest), found, Timestamp{});
    first = (first + kSeriesPerRequest) % (count - count % kSeriesPerRequest);
  }
  report(state);
  state.counters["bytes/series"] =
      static_cast<double>(cache.memory_bytes()) / static_cast<double>(count);
}
BENCHMARK(look_up)->Arg(10'000)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tarsier::ingest
