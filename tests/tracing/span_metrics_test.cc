#include "tracing/span_metrics.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/table_appender.h"
#include "tests/tracing/span_population.h"

namespace tarsier::tracing {
namespace {

using tsdb::Labels;

constexpr Timestamp kStart{1'700'000'000'000};
constexpr TraceId kTrace{1, 2};

class SpanMetricsTest : public ::testing::Test {
 protected:
  std::unique_ptr<SpanMetrics> metrics(SpanMetricsOptions options, TracePins* pins = nullptr) {
    return std::make_unique<SpanMetrics>(
        std::move(options),
        SpanMetrics::Doors{.make_appender = [this] { return head_.appender(); },
                           .pins = pins,
                           .hash_key = {{1, 2, 3, 4}},
                           .log = &log_},
        kStart);
  }
  static std::shared_ptr<const SpanBatch> batch_of(const std::vector<SpanWriter>& spans,
                                                   const std::string& service = "shop") {
    RequestWriter request;
    ResourceWriter resource;
    resource.attribute("host.name", "h1");
    if (!service.empty()) resource.attribute("service.name", service);
    request.resource(resource.wire());
    for (const SpanWriter& span : spans) request.span(span.wire());
    return SpanBatch::decode(request.take()).value();
  }
  static SpanWriter span_of(std::string_view name, std::uint64_t took_ns = 5'000'000,
                            std::uint64_t id = 1) {
    SpanWriter span(kTrace, SpanId{id});
    span.name(name).kind(SpanKind::kServer).times(1'000, 1'000 + took_ns);
    return span;
  }
  double value(const Labels& labels) const {
    const auto* series = head_.find(labels);
    return series == nullptr || series->samples.empty() ? -1 : series->samples.back().v;
  }
  static Labels calls(std::string_view service, std::string_view name,
                      std::string_view kind = "SPAN_KIND_SERVER",
                      std::string_view status = "STATUS_CODE_UNSET") {
    return {{"__name__", "traces_spanmetrics_calls_total"},
            {"service", service},
            {"span_name", name},
            {"span_kind", kind},
            {"status_code", status}};
  }

  testing::TableHead head_;
  testing::CapturingLogger log_;
};

TEST_F(SpanMetricsTest, AreExactlyThePopulationTheyWereCountedFrom) {
  SpanPopulation population(42);
  const auto counted = metrics({.has_exemplars = false});
  for (int i = 0; i < 50; ++i) counted->observe(*population.next(20), {}, kStart);
  counted->write(kStart + seconds(15));
  double total = 0;
  for (const auto& [key, row] : population.rows) {
    const auto& [service, name, kind, status] = key;
    const auto labels = [&](std::string_view metric, std::string_view le = "") {
      return Labels{{"__name__", metric}, {"service", service},    {"span_name", name},
                    {"span_kind", kind},  {"status_code", status}, {"le", le}};
    };
    // The weights are binary fractions but one, whose sums round alike in the order of coming.
    EXPECT_EQ(value(labels("traces_spanmetrics_calls_total")), row.calls);
    EXPECT_EQ(value(labels("traces_spanmetrics_size_total")), row.bytes);
    EXPECT_NEAR(value(labels("traces_spanmetrics_latency_count")), row.calls, 1e-9 * row.calls);
    EXPECT_NEAR(value(labels("traces_spanmetrics_latency_sum")), row.seconds, 1e-9 * row.seconds);
    double below = 0;
    for (std::size_t i = 0; i < row.durations.size(); ++i) {
      if (row.durations[i] <= 0.008) below += row.weights[i];
    }
    EXPECT_NEAR(value(labels("traces_spanmetrics_latency_bucket", "0.008")), below, 1e-9);
    EXPECT_NEAR(value(labels("traces_spanmetrics_latency_bucket", "+Inf")), row.calls,
                1e-9 * row.calls);
    const auto* native = head_.find(labels("traces_spanmetrics_latency"));
    ASSERT_NE(native, nullptr);
    const auto& histogram = std::get<tsdb::FloatHistogram>(native->histograms.back().second);
    EXPECT_TRUE(tsdb::validate(histogram).ok());
    EXPECT_NEAR(histogram.count, row.calls, 1e-9 * row.calls);
    total += row.calls;
  }
  EXPECT_GT(population.spans, 1'000);
  EXPECT_GT(total, population.spans);  // Sampled ones stand for many.
}

TEST_F(SpanMetricsTest, ANewSeriesBeginsWithTheZeroBeforeIt) {
  const auto counted = metrics({});
  counted->observe(*batch_of({span_of("a")}), {}, kStart + seconds(3));
  EXPECT_EQ(counted->run_due(kStart + seconds(3)), kStart + seconds(15));
  EXPECT_EQ(head_.series_count(), 0u);
  EXPECT_EQ(counted->run_due(kStart + seconds(15)), kStart + seconds(30));
  const auto* series = head_.find(calls("shop", "a"));
  ASSERT_NE(series, nullptr);
  ASSERT_EQ(series->samples.size(), 2u);
  EXPECT_EQ(series->samples[0], (tsdb::Sample{kStart, 0.0}));
  EXPECT_EQ(series->samples[1], (tsdb::Sample{kStart + seconds(15), 1.0}));
  counted->run_due(kStart + seconds(30));
  EXPECT_EQ(head_.find(calls("shop", "a"))->samples.size(), 3u);  // As a scrape would.
}

TEST_F(SpanMetricsTest, DuplicatesAndRejectedSpansDoNotCount) {
  const auto counted = metrics({});
  counted->observe(*batch_of({span_of("a"), span_of("a"), span_of("a"), span_of("a")}),
                   {.duplicates = {0, 3}, .rejected = {1}}, kStart);
  counted->write(kStart + seconds(1));
  EXPECT_EQ(value(calls("shop", "a")), 1);
}

TEST_F(SpanMetricsTest, WhatHasNoRoomIsCountedUnderOther) {
  const auto counted = metrics({.span_names_per_service_max = 2});
  for (int round = 0; round < 3; ++round) {
    for (const char* name : {"a", "b", "c", "d"}) {
      counted->observe(*batch_of({span_of(name)}), {}, kStart);
    }
  }
  counted->write(kStart + seconds(1));
  EXPECT_EQ(value(calls("shop", "a")), 3);
  EXPECT_EQ(value(calls("shop", "b")), 3);
  EXPECT_EQ(value(calls("shop", "c")), -1);
  EXPECT_EQ(value(calls("shop", "__other__")), 6);
}

TEST_F(SpanMetricsTest, UnderABoundOnSeriesTheTotalsStayTrue) {
  SpanPopulation population(7);
  const auto counted = metrics({.active_series_max = 200});
  for (int i = 0; i < 10; ++i) counted->observe(*population.next(20), {}, kStart);
  counted->write(kStart + seconds(1));
  double expected = 0;
  for (const auto& [key, row] : population.rows) expected += row.calls;
  double found = 0;
  std::size_t rows = 0;
  for (const auto& kind : {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"}) {
    for (const auto& status : {"UNSET", "OK", "ERROR"}) {
      const double rest = value(calls("__other__", "__other__", std::string("SPAN_KIND_") + kind,
                                      std::string("STATUS_CODE_") + status));
      if (rest > 0) found += rest;
    }
  }
  EXPECT_GT(found, 0);
  for (const auto& [key, row] : population.rows) {
    const auto& [service, name, kind, status] = key;
    const double own = value(calls(service, name, kind, status));
    if (own < 0) continue;
    ++rows;
    found += own;
  }
  EXPECT_NEAR(found, expected, 1e-6);
  EXPECT_LE(rows, 200u / 19);
}

TEST_F(SpanMetricsTest, ConnectorNamesAreTheCollectors) {
  const auto counted = metrics({.names = SpanMetricNames::kConnector});
  counted->observe(*batch_of({span_of("a", 7'000'000)}), {}, kStart);
  counted->write(kStart + seconds(1));
  const auto labels = [](std::string_view metric, std::string_view le = "") {
    return Labels{{"__name__", metric},
                  {"service_name", "shop"},
                  {"span_name", "a"},
                  {"span_kind", "SPAN_KIND_SERVER"},
                  {"status_code", "STATUS_CODE_UNSET"},
                  {"le", le}};
  };
  EXPECT_EQ(value(labels("traces_span_metrics_calls_total")), 1);
  EXPECT_EQ(value(labels("traces_span_metrics_duration_milliseconds_sum")), 7);
  EXPECT_EQ(value(labels("traces_span_metrics_duration_milliseconds_bucket", "6")), 0);
  EXPECT_EQ(value(labels("traces_span_metrics_duration_milliseconds_bucket", "8")), 1);
}

TEST_F(SpanMetricsTest, DimensionsComeFromTheResourceThenTheSpan) {
  const auto counted =
      metrics({.dimensions = {"host.name", "http.route", "service"}, .has_status_code = false});
  SpanWriter span = span_of("a");
  span.attribute("http.route", "/x").attribute("host.name", "of the span").attribute("service", 5);
  counted->observe(*batch_of({span, span_of("b")}), {}, kStart);
  counted->write(kStart + seconds(1));
  EXPECT_EQ(value({{"__name__", "traces_spanmetrics_calls_total"},
                   {"service", "shop"},
                   {"span_name", "a"},
                   {"span_kind", "SPAN_KIND_SERVER"},
                   {"host_name", "h1"},
                   {"http_route", "/x"},
                   {"__service", "5"}}),
            1);
  EXPECT_EQ(value({{"__name__", "traces_spanmetrics_calls_total"},
                   {"service", "shop"},
                   {"span_name", "b"},
                   {"span_kind", "SPAN_KIND_SERVER"},
                   {"host_name", "h1"}}),
            1);
}

TEST_F(SpanMetricsTest, AWeightComesFromTheThresholdElseFromTheMultiplier) {
  const auto counted = metrics({.span_multiplier_key = "SampleRate"});
  SpanWriter plain = span_of("plain");
  SpanWriter by_rate = span_of("rate");
  by_rate.attribute("SampleRate", 10);
  SpanWriter both = span_of("both");
  both.attribute("SampleRate", 10).trace_state("ot=th:c");
  counted->observe(*batch_of({plain, by_rate, both}), {}, kStart);
  counted->write(kStart + seconds(1));
  EXPECT_EQ(value(calls("shop", "plain")), 1);
  EXPECT_EQ(value(calls("shop", "rate")), 10);
  EXPECT_EQ(value(calls("shop", "both")), 4);
}

TEST_F(SpanMetricsTest, WhatRestsIsMarkedStaleAndForgotten) {
  const auto counted = metrics({.stale_after = minutes(1), .span_names_per_service_max = 1});
  counted->observe(*batch_of({span_of("a")}), {}, kStart);
  counted->write(kStart + seconds(15));
  counted->write(kStart + minutes(1));
  EXPECT_TRUE(tsdb::is_stale_marker(value(calls("shop", "a"))));
  // Its place among the names of the service is free again.
  counted->observe(*batch_of({span_of("b")}), {}, kStart + minutes(2));
  counted->write(kStart + minutes(2) + seconds(15));
  EXPECT_EQ(value(calls("shop", "b")), 1);
}

TEST_F(SpanMetricsTest, StrangeTextBecomesLabels) {
  const auto counted = metrics({});
  counted->observe(*batch_of({span_of("bad \xFF byte"), span_of("bad \xEF\xBF\xBD byte")}, ""), {},
                   kStart);
  SpanWriter strange = span_of(std::string(5000, 'x'));
  strange.kind(static_cast<SpanKind>(99)).status(static_cast<StatusCode>(55));
  counted->observe(*batch_of({strange}), {}, kStart);
  counted->write(kStart + seconds(1));
  EXPECT_EQ(value(calls("unknown_service", "bad \xEF\xBF\xBD byte")), 2);
  EXPECT_EQ(value(calls("shop", std::string(1024, 'x'), "SPAN_KIND_UNSPECIFIED")), 1);
}

class ScriptedPins final : public TracePins {
 public:
  void pin(std::span<const TraceId> traces, std::span<PinOutcome> outcomes) override {
    for (std::size_t i = 0; i < traces.size(); ++i) {
      pinned.push_back(traces[i]);
      outcomes[i] = answer;
    }
  }
  std::vector<TraceId> pinned;
  PinOutcome answer = PinOutcome::kPinned;
};

TEST_F(SpanMetricsTest, AnExemplarPinsItsTraceAndStandsOnItsBucket) {
  ScriptedPins pins;
  const auto counted = metrics({}, &pins);
  counted->observe(*batch_of({span_of("a", 5'000'000), span_of("a")}), {}, kStart + seconds(1));
  counted->write(kStart + seconds(15));
  EXPECT_EQ(pins.pinned, std::vector<TraceId>{kTrace});  // One, not two.
  const auto* bucket = head_.find({{"__name__", "traces_spanmetrics_latency_bucket"},
                                   {"service", "shop"},
                                   {"span_name", "a"},
                                   {"span_kind", "SPAN_KIND_SERVER"},
                                   {"status_code", "STATUS_CODE_UNSET"},
                                   {"le", "0.008"}});
  ASSERT_NE(bucket, nullptr);
  ASSERT_EQ(bucket->exemplars.size(), 1u);
  EXPECT_EQ(bucket->exemplars[0].labels.get("trace_id"), to_hex(kTrace));
  EXPECT_EQ(bucket->exemplars[0].value, 0.005);
  // Within its minute the series asks for no other.
  counted->observe(*batch_of({span_of("a")}), {}, kStart + seconds(20));
  EXPECT_EQ(pins.pinned.size(), 1u);
  counted->observe(*batch_of({span_of("a")}), {}, kStart + seconds(61));
  EXPECT_EQ(pins.pinned.size(), 2u);
}

TEST_F(SpanMetricsTest, NoExemplarLeadsToADroppedTrace) {
  ScriptedPins pins;
  pins.answer = PinOutcome::kDropped;
  const auto counted = metrics({}, &pins);
  counted->observe(*batch_of({span_of("a")}), {}, kStart);
  pins.answer = PinOutcome::kUnknown;
  counted->observe(*batch_of({span_of("a")}), {}, kStart);
  EXPECT_EQ(pins.pinned.size(), 2u);  // The next span has its chance at once.
  counted->write(kStart + seconds(15));
  for (const char* le : {"0.008", "+Inf"}) {
    EXPECT_TRUE(head_
                    .find({{"__name__", "traces_spanmetrics_latency_bucket"},
                           {"service", "shop"},
                           {"span_name", "a"},
                           {"span_kind", "SPAN_KIND_SERVER"},
                           {"status_code", "STATUS_CODE_UNSET"},
                           {"le", le}})
                    ->exemplars.empty());
  }
}

TEST_F(SpanMetricsTest, ExemplarsOfAllSeriesTogetherAreBounded) {
  ScriptedPins pins;
  const auto counted = metrics({.exemplars_per_second_max = 3}, &pins);
  for (int i = 0; i < 10; ++i) {
    counted->observe(*batch_of({span_of("op" + std::to_string(i))}), {}, kStart);
  }
  EXPECT_EQ(pins.pinned.size(), 3u);
}

TEST_F(SpanMetricsTest, AFailedWriteLosesNothing) {
  const auto counted = metrics({});
  counted->observe(*batch_of({span_of("a")}), {}, kStart);
  head_.commit_status = unavailable("disk is full");
  counted->write(kStart + seconds(15));
  EXPECT_TRUE(log_.contains("Writing span metrics failed"));
  head_.commit_status = {};
  counted->observe(*batch_of({span_of("a")}), {}, kStart + seconds(20));
  counted->write(kStart + seconds(30));
  EXPECT_EQ(value(calls("shop", "a")), 2);
}

TEST_F(SpanMetricsTest, SeriesTheHeadDroppedAreResolvedAnew) {
  const auto counted = metrics({});
  counted->observe(*batch_of({span_of("a")}), {}, kStart);
  counted->write(kStart + seconds(15));
  head_.drop_all();
  counted->write(kStart + seconds(30));
  EXPECT_EQ(value(calls("shop", "a")), 1);
}

TEST_F(SpanMetricsTest, ThreadsCountWhileTheWriterWrites) {
  const auto counted = metrics({.span_names_per_service_max = 3});
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        counted->observe(*batch_of({span_of("op" + std::to_string((i + t) % 5))}), {}, kStart);
      }
    });
  }
  for (int i = 1; i < 5; ++i) counted->write(kStart + seconds(i));
  for (std::thread& thread : threads) thread.join();
  counted->write(kStart + seconds(10));
  double total = 0;
  for (const char* name : {"op0", "op1", "op2", "op3", "op4", "__other__"}) {
    total += std::max(value(calls("shop", name)), 0.0);
  }
  EXPECT_EQ(total, 600);
}

}  // namespace
}  // namespace tarsier::tracing
