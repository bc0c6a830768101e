// What a scrape costs before storage: delimiting lines, hashing, look-up, and for new series
// parsing and labels. Bytes are exposition text; a body looks like node_exporter's and has 2,000
// samples.

#include <memory>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "base/check.h"
#include "ingest/exposition/openmetrics.h"
#include "ingest/exposition/text.h"
#include "ingest/scrape_loop.h"
#include "tests/support/null_appender.h"

namespace tarsier::ingest {
namespace {

constexpr std::size_t kSamples = 2'000;

/// Families of 20 samples with two or four labels, values as exporters print them.
std::string make_body(std::string_view end) {
  std::string body;
  for (std::size_t i = 0; i < kSamples; ++i) {
    const std::size_t family = i / 20;
    if (i % 20 == 0) {
      body += fmt::format(
          "# HELP node_family_{0}_total Seconds the CPUs spent in each mode.\n"
          "# TYPE node_family_{0}_total gauge\n",
          family);
    }
    const double value = static_cast<double>(i * 7919 % 100'003) * (i % 3 == 0 ? 1 : 17.31);
    if (i % 2 == 0) {
      body +=
          fmt::format("node_family_{}_total{{cpu=\"{}\",mode=\"iowait\"}} {}\n", family, i, value);
    } else {
      body += fmt::format(
          "node_family_{}_total{{device=\"/dev/mapper/vg-root\",fstype=\"ext4\","
          "mountpoint=\"/var/lib/data/{}\",code=\"200\"}} {}\n",
          family, i, value);
    }
  }
  return body.append(end);
}

void report(benchmark::State& state, std::size_t body_bytes) {
  const auto scrapes = static_cast<double>(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body_bytes));
  state.counters["per_sample"] = benchmark::Counter(
      scrapes * kSamples, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Known series are delimited and their numbers read, nothing else.
template <typename Parser>
void delimit(benchmark::State& state) {
  const std::string body = make_body("# EOF\n");
  for (auto _ : state) {
    Parser parser(body);
    EntryKind kind = parser.next();
    for (; kind != EntryKind::kEnd; kind = parser.next()) CHECK(kind != EntryKind::kError);
  }
  report(state, body.size());
}
BENCHMARK(delimit<TextParser>)->Unit(benchmark::kMicrosecond);
BENCHMARK(delimit<OpenMetricsParser>)->Unit(benchmark::kMicrosecond);

/// Labels are parsed too, as for series nobody knows.
void parse_labels(benchmark::State& state) {
  const std::string body = make_body("");
  ExposedLabels labels;
  for (auto _ : state) {
    TextParser parser(body);
    for (EntryKind kind = parser.next(); kind != EntryKind::kEnd; kind = parser.next()) {
      if (kind == EntryKind::kSeries) CHECK(parser.labels(parser.sample(), labels).ok());
    }
  }
  report(state, body.size());
}
BENCHMARK(parse_labels)->Unit(benchmark::kMicrosecond);

/// A target under test, with storage that costs nothing.
struct Scene {
  ScrapeLoop make_loop() {
    ScrapeConfig config;
    config.job_name = "node";
    TargetOutcome outcome = make_target(config, {}, "h:9100");
    return ScrapeLoop(context, std::make_shared<const ScrapeConfig>(config),
                      std::make_shared<const Target>(std::move(outcome.target)));
  }
  HttpResponse answer() const {
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = make_body("");
    return response;
  }

  std::uint64_t next_series = 1;
  NullLogger log;
  ScrapeContext context{
      .make_appender = [this] { return std::make_unique<testing::NullAppender>(next_series); },
      .monotonic_ns = [] { return std::int64_t{0}; },
      .hash = KeyedHash(draw_hash_key()),
      .log = log};
};

void scrape_known(benchmark::State& state) {
  Scene scene;
  ScrapeLoop loop = scene.make_loop();
  const Result<HttpResponse> answer = scene.answer();
  std::int64_t time_ms = 0;
  for (auto _ : state) loop.finish(Timestamp{time_ms += 15'000}, 0, answer);
  CHECK(loop.status().health == TargetHealth::kUp);
  report(state, answer->body.size());
}
BENCHMARK(scrape_known)->Unit(benchmark::kMicrosecond);

void scrape_first(benchmark::State& state) {
  Scene scene;
  const Result<HttpResponse> answer = scene.answer();
  for (auto _ : state) {
    ScrapeLoop loop = scene.make_loop();
    loop.finish(Timestamp{0}, 0, answer);
  }
  report(state, answer->body.size());
}
BENCHMARK(scrape_first)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tarsier::ingest
