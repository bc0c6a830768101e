#include "tracing/service_graph.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/table_appender.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {
namespace {

using tsdb::Labels;

constexpr Timestamp kStart{1'700'000'000'000};
constexpr TraceId kTrace{1, 2};
constexpr std::uint64_t kMs = 1'000'000;

class ServiceGraphTest : public ::testing::Test {
 protected:
  std::unique_ptr<ServiceGraph> graph(ServiceGraphOptions options = {}) {
    return std::make_unique<ServiceGraph>(
        std::move(options),
        ServiceGraph::Doors{.make_appender = [this] { return head_.appender(); },
                            .hash_key = {{1, 2, 3, 4}},
                            .log = &log_},
        kStart);
  }
  static SpanWriter span(std::uint64_t id, std::uint64_t parent, SpanKind kind,
                         std::uint64_t took_ms = 100) {
    SpanWriter out(kTrace, SpanId{id});
    out.parent(SpanId{parent}).kind(kind).times(1'000 * kMs, (1'000 + took_ms) * kMs);
    return out;
  }
  static void send(ServiceGraph& graph, const std::string& service, const SpanWriter& span,
                   Timestamp now = kStart) {
    RequestWriter request;
    request.resource(ResourceWriter().attribute("service.name", service).wire());
    request.span(span.wire());
    graph.observe(**SpanBatch::decode(request.take()), {}, now);
  }
  double value(std::string_view metric, std::string_view client, std::string_view server,
               std::string_view type = "", std::string_view le = "") const {
    const auto* series =
        head_.find({{"__name__", "traces_service_graph_request_" + std::string(metric)},
                    {"client", client},
                    {"server", server},
                    {"connection_type", type},
                    {"le", le}});
    return series == nullptr || series->samples.empty() ? -1 : series->samples.back().v;
  }

  testing::TableHead head_;
  testing::CapturingLogger log_;
};

TEST_F(ServiceGraphTest, PairsClientAndServerInAnyOrder) {
  for (const bool is_client_first : {true, false}) {
    const auto edges = graph();
    const auto client = [&] { send(*edges, "front", span(2, 1, SpanKind::kClient, 300)); };
    const auto server = [&] { send(*edges, "cart", span(3, 2, SpanKind::kServer, 150)); };
    if (is_client_first) client();
    server();
    if (!is_client_first) client();
    edges->write(kStart + seconds(is_client_first ? 15 : 30));
    EXPECT_EQ(value("total", "front", "cart"), 1);
    EXPECT_EQ(value("failed_total", "front", "cart"), 0);
    EXPECT_EQ(value("client_seconds_sum", "front", "cart"), 0.3);
    EXPECT_EQ(value("server_seconds_sum", "front", "cart"), 0.15);
    EXPECT_EQ(value("server_seconds_bucket", "front", "cart", "", "0.2"), 1);
    EXPECT_EQ(value("server_seconds_bucket", "front", "cart", "", "0.1"), 0);
  }
}

TEST_F(ServiceGraphTest, AnErrorOfEitherHalfIsAFailure) {
  const auto edges = graph();
  SpanWriter failed = span(2, 1, SpanKind::kClient);
  failed.status(StatusCode::kError);
  send(*edges, "front", failed);
  send(*edges, "cart", span(3, 2, SpanKind::kServer));
  edges->write(kStart + seconds(15));
  EXPECT_EQ(value("failed_total", "front", "cart"), 1);
}

TEST_F(ServiceGraphTest, ADatabaseNeedsNoServerSpan) {
  const auto edges = graph();
  SpanWriter named = span(2, 1, SpanKind::kClient);
  named.attribute("db.system", "postgresql").attribute("db.name", "orders");
  send(*edges, "cart", named);
  SpanWriter addressed = span(4, 1, SpanKind::kClient);
  addressed.attribute("db.system", "redis").attribute("server.address", "cache.local");
  send(*edges, "cart", addressed);
  edges->write(kStart + seconds(15));
  EXPECT_EQ(value("total", "cart", "orders", "database"), 1);
  EXPECT_EQ(value("total", "cart", "cache.local", "database"), 1);
  EXPECT_EQ(value("server_seconds_sum", "cart", "orders", "database"), 0.1);
}

TEST_F(ServiceGraphTest, MessagingMeasuresTheTimeBetween) {
  const auto edges = graph({.enable_messaging_system_latency_histogram = true});
  send(*edges, "shop", span(2, 1, SpanKind::kProducer, 10));
  SpanWriter consumer(kTrace, SpanId{3});
  consumer.parent(SpanId{2}).kind(SpanKind::kConsumer).times(1'510 * kMs, 1'600 * kMs);
  send(*edges, "mailer", consumer);
  edges->write(kStart + seconds(15));
  EXPECT_EQ(value("total", "shop", "mailer", "messaging_system"), 1);
  EXPECT_EQ(value("messaging_system_seconds_sum", "shop", "mailer", "messaging_system"), 0.5);
}

TEST_F(ServiceGraphTest, RootsAndUnansweredCallsHaveVirtualNodes) {
  const auto edges = graph();
  send(*edges, "front", span(1, 0, SpanKind::kServer));
  SpanWriter outward = span(2, 1, SpanKind::kClient);
  outward.attribute("peer.service", "bank");
  send(*edges, "front", outward);
  send(*edges, "front", span(5, 1, SpanKind::kClient));  // Says nothing of its peer.
  EXPECT_EQ(edges->run_due(kStart + seconds(9)), kStart + seconds(10));
  edges->run_due(kStart + seconds(10));
  edges->run_due(kStart + seconds(15));
  EXPECT_EQ(value("total", "user", "front", "virtual_node"), 1);
  EXPECT_EQ(value("total", "front", "bank", "virtual_node"), 1);
  MetricWriter metrics;
  edges->collect(metrics);
  const std::string text = metrics.take();
  EXPECT_NE(text.find("traces_service_graph_unpaired_spans_total 1\n"), std::string::npos) << text;
}

TEST_F(ServiceGraphTest, AZipkinServerSharesItsClientsId) {
  const auto edges = graph();
  send(*edges, "front", span(2, 1, SpanKind::kClient));
  SpanWriter shared = span(2, 1, SpanKind::kServer);
  shared.attribute("zipkin.shared", true);
  send(*edges, "cart", shared);
  edges->write(kStart + seconds(15));
  EXPECT_EQ(value("total", "front", "cart"), 1);
}

TEST_F(ServiceGraphTest, AnEdgeHasTheWeightThatIsKnown) {
  const auto edges = graph();
  SpanWriter client = span(2, 1, SpanKind::kClient);
  client.trace_state("ot=th:c");
  send(*edges, "front", client);
  send(*edges, "cart", span(3, 2, SpanKind::kServer));
  edges->write(kStart + seconds(15));
  EXPECT_EQ(value("total", "front", "cart"), 4);
}

TEST_F(ServiceGraphTest, HalvesAndSeriesAreBounded) {
  const auto edges = graph({.max_items = 1, .active_series_max = 1});
  send(*edges, "a", span(2, 1, SpanKind::kClient));
  send(*edges, "b", span(4, 1, SpanKind::kClient));  // Dropped.
  send(*edges, "c", span(3, 2, SpanKind::kServer));
  send(*edges, "a", span(6, 1, SpanKind::kClient));
  send(*edges, "d", span(7, 6, SpanKind::kServer));
  edges->write(kStart + seconds(15));
  EXPECT_EQ(value("total", "a", "c"), 1);
  EXPECT_EQ(value("total", "__other__", "__other__"), 1);
  MetricWriter metrics;
  edges->collect(metrics);
  EXPECT_NE(metrics.take().find("traces_service_graph_dropped_spans_total 1\n"), std::string::npos);
}

TEST_F(ServiceGraphTest, DimensionsTellTheHalvesApartOnRequest) {
  const auto edges = graph({.dimensions = {"zone"}, .enable_client_server_prefix = true});
  SpanWriter client = span(2, 1, SpanKind::kClient);
  client.attribute("zone", "east");
  send(*edges, "front", client);
  SpanWriter server = span(3, 2, SpanKind::kServer);
  server.attribute("zone", "west");
  send(*edges, "cart", server);
  edges->write(kStart + seconds(15));
  const auto* series = head_.find({{"__name__", "traces_service_graph_request_total"},
                                   {"client", "front"},
                                   {"server", "cart"},
                                   {"client_zone", "east"},
                                   {"server_zone", "west"}});
  ASSERT_NE(series, nullptr);
}

}  // namespace
}  // namespace tarsier::tracing
