#include "server/config_traces.h"

#include <gtest/gtest.h>

#include "server/config.h"
#include "server/flags.h"
#include "server/otlp_listener.h"

namespace tarsier::server {
namespace {

Result<Config> parsed(std::string_view text) { return parse_config(text, {.file = "p.yml"}); }

constexpr std::string_view kFull = R"(traces:
  receivers:
    otlp_grpc: false
    zipkin: false
    max_request_bytes: 1048576B
    max_request_spans: 5000
  span_metrics:
    names: connector
    namespace: ""
    unit: s
    dimensions:
    - http.route
    - deployment.environment
    intrinsic_dimensions:
      service: true
      span_name: true
      span_kind: false
      status_code: true
      status_message: true
    histograms: classic
    histogram_buckets:
    - 0.1
    - 1
    - 10
    span_multiplier_key: SampleRate
    interval: 30s
    stale_after: 5m
    exemplars: false
    exemplar_label: traceID
    max_span_names_per_service: 10
    max_active_series: 500
  service_graph:
    wait: 2s
    dimensions:
    - zone
    enable_client_server_prefix: true
    enable_virtual_node_label: true
    histograms: both
)";

TEST(ConfigTraces, ReadsEverythingAndShowsItAgain) {
  const Result<Config> config = parsed(kFull);
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_TRUE(config->traces);
  const TracesConfig& traces = *config->traces;
  EXPECT_TRUE(traces.receivers.has_otlp_http);
  EXPECT_FALSE(traces.receivers.has_otlp_grpc);
  EXPECT_EQ(traces.receivers.request_bytes_max, 1U << 20);
  EXPECT_EQ(traces.span_metrics.names, tracing::SpanMetricNames::kConnector);
  EXPECT_TRUE(traces.span_metrics.in_seconds);
  EXPECT_FALSE(traces.span_metrics.has_span_kind);
  EXPECT_FALSE(traces.span_metrics.has_native_histograms);
  EXPECT_EQ(traces.span_metrics.histogram_buckets, (std::vector<double>{0.1, 1, 10}));
  EXPECT_EQ(traces.span_metrics.interval, seconds(30));
  EXPECT_EQ(traces.service_graph.wait, seconds(2));
  EXPECT_TRUE(traces.service_graph.has_native_histograms);
  const std::string shown = render_config(*config);
  const Result<Config> again = parsed(shown);
  ASSERT_TRUE(again.ok()) << again.status().message() << shown;
  ASSERT_TRUE(again->traces);
  EXPECT_EQ(again->traces->receivers, traces.receivers);
  EXPECT_EQ(again->traces->span_metrics, traces.span_metrics);
  EXPECT_EQ(again->traces->service_graph, traces.service_graph);
}

TEST(ConfigTraces, ReadsHowLongTracesAreKept) {
  const Result<Config> config = parsed("traces:\n  storage: {retention: 3d, max_bytes: 20GB}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->traces->storage.retention, days(3));
  EXPECT_EQ(config->traces->storage.max_bytes, std::uint64_t{20} << 30);
  const Result<Config> again = parsed(render_config(*config));
  ASSERT_TRUE(again.ok() && again->traces) << render_config(*config);
  EXPECT_EQ(again->traces->storage, config->traces->storage);
}

TEST(ConfigTraces, ReadsWhereTracesAreSentOn) {
  const Result<Config> config = parsed(
      "traces:\n  export: {endpoint: 'http://tempo:4318/', traces: all, compression: zstd, "
      "timeout: 3s, max_queue_bytes: 5MB, basic_auth: {username: u, password: p}}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_TRUE(config->traces->export_to);
  const tracing::TraceExportOptions& options = *config->traces->export_to;
  EXPECT_EQ(options.url, "http://tempo:4318/v1/traces");
  EXPECT_TRUE(options.is_all);
  EXPECT_EQ(options.compression, tracing::ExportCompression::kZstd);
  EXPECT_EQ(options.timeout, seconds(3));
  EXPECT_EQ(options.queue_bytes_max, std::uint64_t{5} << 20);
  EXPECT_EQ(options.http.credentials.user.text, "u");
  const std::string shown = render_config(*config);
  EXPECT_EQ(shown.find("password: p\n"), std::string::npos) << shown;
  const Result<Config> again = parsed(shown);
  ASSERT_TRUE(again.ok() && again->traces) << shown;
  EXPECT_EQ(again->traces->export_to->url, options.url);
  EXPECT_EQ(again->traces->export_to->queue_bytes_max, options.queue_bytes_max);
  const Result<Config> exact =
      parsed("traces: {export: {traces_endpoint: 'https://x/api/otlp'}}\n");
  ASSERT_TRUE(exact.ok()) << exact.status().message();
  EXPECT_EQ(exact->traces->export_to->url, "https://x/api/otlp");
  EXPECT_FALSE(exact->traces->export_to->is_all);
}

TEST(ConfigTraces, ShowsNothingOfDefaults) {
  const Result<Config> config = parsed("traces:\n  span_metrics: {enabled: true}\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(render_config(*config).find("traces:"), std::string::npos);
}

TEST(ConfigTraces, SaysWhatIsWrong) {
  const auto error_of = [](std::string_view text) { return parsed(text).status().message(); };
  EXPECT_NE(error_of("traces: {span_metric: {}}").find("field span_metric not found in traces"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {span_metrics: {names: jaeger}}").find("must be tempo or connector"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {span_metrics: {histogram_buckets: [1, 1]}}").find("ascending"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {span_metrics: {histograms: none}}").find("classic, native or both"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {service_graph: {interval: 0s}}").find("must be above zero"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {export: {traces: all}}").find("endpoint is missing"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {export: {endpoint: 'tempo:4318'}}").find("http://"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {export: {endpoint: 'http://t', traces: some}}").find("kept or all"),
            std::string::npos);
  EXPECT_NE(error_of("traces: {receivers: {max_request_spans: 0}}").find("must be above zero"),
            std::string::npos);
}

TEST(ConfigTraces, ReceiversListenBesideTheMainPort) {
  const auto address = [](const std::vector<std::string>& arguments) {
    const Flags flags = *Flags::parse(arguments);
    const ReceiverAddress out = receiver_address(flags, "otlp.http-address", 4318);
    return out.address + (out.is_explicit ? " explicit" : "");
  };
  EXPECT_EQ(address({}), "0.0.0.0:4318");
  EXPECT_EQ(address({"--web.listen-address=127.0.0.1:9091"}), "127.0.0.1:4318");
  EXPECT_EQ(address({"--web.listen-address=[::1]:9090"}), "[::1]:4318");
  EXPECT_EQ(address({"--web.listen-address=127.0.0.1:0"}), "");
  EXPECT_EQ(address({"--otlp.http-address=127.0.0.1:5"}), "127.0.0.1:5 explicit");
  EXPECT_EQ(address({"--otlp.http-address="}), " explicit");
}

}  // namespace
}  // namespace tarsier::server
