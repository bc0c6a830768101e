#include <cstdint>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "server/config.h"
#include "server/demo/demo_files.h"
#include "server/demo/shop.h"
#include "tracing/span.h"

namespace tarsier::server {
namespace {

constexpr Timestamp kStart{1'700'000'000'000};

using Calls = std::map<std::pair<std::string, int>, std::uint64_t>;

/// Requests by service and whether they failed, counted from the spans of the servers.
Calls calls_of(const std::string& request, std::map<tracing::TraceId, int>* traces = nullptr) {
  Calls out;
  const auto batch = tracing::SpanBatch::decode(request);
  EXPECT_TRUE(batch.ok()) << batch.status().message();
  EXPECT_EQ((*batch)->invalid_count(), 0u);
  for (const tracing::SpanRecord& span : (*batch)->spans()) {
    if (traces != nullptr) ++(*traces)[span.trace_id];
    EXPECT_LE(span.start_ns, span.end_ns);
    if (span.kind != tracing::SpanKind::kServer) continue;
    const bool failed = span.status == tracing::StatusCode::kError;
    ++out[{std::string((*batch)->resource_of(span).service_name), failed ? 1 : 0}];
  }
  return out;
}

Calls calls_of(const Shop& shop) {
  Calls out;
  for (const auto& [key, route] : shop.routes()) {
    for (const auto& [code, count] : route.count_by_code) {
      out[{key.first, code >= 500 ? 1 : 0}] += count;
    }
  }
  return out;
}

TEST(DemoShop, OneSeedGivesOneSequenceOfVisitors) {
  Shop one({.seed = 7}, kStart);
  Shop two({.seed = 7}, kStart);
  Shop other({.seed = 8}, kStart);
  const std::string spans_of_one = one.advance(kStart + minutes(1), true);
  EXPECT_EQ(spans_of_one, two.advance(kStart + minutes(1), true));
  EXPECT_NE(spans_of_one, other.advance(kStart + minutes(1), true));
  // History is written without spans and is the same history.
  Shop silent({.seed = 7}, kStart);
  EXPECT_EQ(silent.advance(kStart + minutes(1), false), "");
  for (const std::string& service : Shop::services()) {
    EXPECT_EQ(one.metrics(service), silent.metrics(service));
  }
}

TEST(DemoShop, CountersAreTheCountsOfItsSpans) {
  Shop shop({.seed = 3, .requests_per_second = 40}, kStart);
  shop.plan_incident(kStart + minutes(2), kStart + minutes(4));
  std::map<tracing::TraceId, int> traces;
  const Calls of_spans = calls_of(shop.advance(kStart + minutes(5), true), &traces);
  EXPECT_EQ(of_spans, calls_of(shop));
  EXPECT_EQ(traces.size(), shop.visitor_count());
  EXPECT_GT(shop.visitor_count(), 40u * 300 / 3);
}

TEST(DemoShop, TheIncidentIsInPaymentsAndNowhereElse) {
  const auto failures = [](bool has_incident) {
    Shop shop({.seed = 5, .requests_per_second = 50}, kStart);
    if (has_incident) shop.plan_incident(kStart, kStart + hours(1));
    std::map<std::string, double> out;
    Calls calls = calls_of(shop.advance(kStart + minutes(10), true));
    for (const auto& [key, count] : calls) {
      const double all = static_cast<double>(calls[{key.first, 0}] + calls[{key.first, 1}]);
      if (key.second == 1) out[key.first] = static_cast<double>(count) / all;
    }
    return out;
  };
  std::map<std::string, double> usual = failures(false);
  std::map<std::string, double> incident = failures(true);
  EXPECT_LT(usual["payment"], 0.02);
  EXPECT_GT(incident["payment"], 0.2);
  EXPECT_GT(incident["checkout"], 0.2);
  EXPECT_LT(incident["catalog"], 0.01);
  EXPECT_LT(incident["cart"], 0.01);
}

TEST(DemoShop, ExposesWhatAScrapeReads) {
  Shop shop({.seed = 1}, kStart);
  static_cast<void>(shop.advance(kStart + minutes(5), false));
  const std::string text = shop.metrics("checkout");
  EXPECT_NE(text.find("http_requests_total{handler=\"/orders\",method=\"POST\",code=\"200\"} "),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("shop_orders_total{outcome=\"paid\"} "), std::string::npos);
  EXPECT_NE(text.find("_bucket{handler=\"/orders\",method=\"POST\",le=\"+Inf\"} "),
            std::string::npos);
  const std::string past = shop.metrics("checkout", "job=\"shop\",", "1000");
  EXPECT_NE(past.find("shop_revenue_euros_total{job=\"shop\"} "), std::string::npos) << past;
  EXPECT_NE(past.find(" 1000\n"), std::string::npos);
}

TEST(DemoShop, ItsConfigurationIsValid) {
  const auto files = make_posix_file_system();
  for (const char* const node_exporter : {"", "127.0.0.1:9100"}) {
    const std::string text = demo_config(
        {.server = "127.0.0.1:9090", .shop = "127.0.0.1:9464", .node_exporter = node_exporter});
    const Result<Config> config =
        parse_config(text, {.file = "/nowhere/demo.yml", .files = files.get(), .environment = {}});
    ASSERT_TRUE(config.ok()) << config.status().message() << "\n" << text;
    EXPECT_EQ(config->warnings.size(), 0u);
  }
}

}  // namespace
}  // namespace tarsier::server
