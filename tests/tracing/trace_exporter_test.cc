#include "tracing/trace_exporter.h"

#include <deque>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/compression.h"
#include "base/otlp_http.h"
#include "tests/support/faulty_file_system.h"
#include "tests/tracing/memory_sink.h"
#include "tracing/span.h"
#include "tracing/span_writer.h"

namespace tarsier::tracing {
namespace {

using tarsier::testing::FaultyFileSystem;
using testing::MemorySink;

constexpr Timestamp kStart{1'700'000'000'000};

/// The other side: remembers what it was sent and answers when told to.
class OtherSide final : public HttpClient {
 public:
  void fetch(HttpFetch request, std::function<void(Result<HttpResponse>)> done) override {
    requests.push_back(std::move(request));
    waiting.push_back(std::move(done));
  }
  void answer(Result<HttpResponse> response) {
    ASSERT_FALSE(waiting.empty());
    auto done = std::move(waiting.front());
    waiting.pop_front();
    done(std::move(response));
  }
  void answer(int status, HttpHeaders headers = {}, std::string body = {}) {
    answer(HttpResponse{.status = status, .body = std::move(body), .headers = std::move(headers)});
  }

  std::vector<HttpFetch> requests;
  std::deque<std::function<void(Result<HttpResponse>)>> waiting;
};

std::string request_of(std::uint64_t first_trace, int trace_count, std::string_view service) {
  RequestWriter request;
  request.resource(ResourceWriter().attribute("service.name", service).wire(), "schema");
  request.scope(ScopeWriter().name("lib").wire());
  for (int i = 0; i < trace_count; ++i) {
    const std::uint64_t id = first_trace + static_cast<std::uint64_t>(i);
    SpanWriter span(TraceId{1, id}, SpanId{id});
    span.name("GET /").kind(SpanKind::kServer).times(1000, 2000);
    request.span(span.attribute("filler", std::string(200, 'x')).wire());
  }
  return request.take();
}

class TraceExporterTest : public ::testing::Test {
 protected:
  void open(const TraceExportOptions& options) {
    exporter_.reset();
    client_ = std::make_unique<OtherSide>();
    exporter_ = std::make_unique<TraceExporter>(
        TraceExporter::Doors{*files_, *client_, sink_, [this] { ++wakes_; }, logger_}, "export");
    ASSERT_TRUE(exporter_->apply(options).ok());
  }
  /// Hands over every span of a request as if its traces were kept.
  Status keep(const std::string& request) {
    const auto batch = SpanBatch::decode(request).value();
    std::map<TraceId, std::vector<KeptSpan>> spans;
    for (const SpanRecord& span : batch->spans()) {
      const SpanResource& resource = batch->resource_of(span);
      const SpanScope& scope = batch->scope_of(span);
      spans[span.trace_id].push_back({.resource = resource.wire,
                                      .resource_schema_url = resource.schema_url,
                                      .scope = scope.wire,
                                      .scope_schema_url = scope.schema_url,
                                      .span = span.wire});
    }
    std::vector<KeptTrace> traces;
    for (const auto& [id, of_trace] : spans) traces.push_back({.trace_id = id, .spans = of_trace});
    return exporter_->keep(traces, now_);
  }
  Timestamp run_for(Duration length) {
    now_ = now_ + length;
    return exporter_->run_due(now_);
  }
  /// Spans of the request the other side got last, each with its service.
  std::vector<std::string> last_spans() {
    const HttpFetch& request = client_->requests.back();
    std::string body = request.body;
    for (const auto& [name, value] : request.headers) {
      std::string plain;
      if (name != "Content-Encoding") continue;
      EXPECT_TRUE((value == "gzip" ? gzip_decompress(as_bytes(body), 1 << 24, plain)
                                   : zstd_decompress(as_bytes(body), 1 << 24, plain))
                      .ok());
      body = std::move(plain);
    }
    std::vector<std::string> out;
    const auto batch = SpanBatch::decode(body).value();
    for (const SpanRecord& span : batch->spans()) {
      out.push_back(std::string(batch->resource_of(span).service_name) + "/" +
                    to_hex(span.span_id).substr(14));
    }
    return out;
  }
  double metric(std::string_view name) {
    MetricWriter writer;
    exporter_->collect(writer);
    const std::string text = writer.take();
    const std::size_t at = text.find("\n" + std::string(name) + " ");
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(at + name.size() + 2));
  }

  std::unique_ptr<FaultyFileSystem> files_ = std::make_unique<FaultyFileSystem>();
  MemorySink sink_;
  NullLogger logger_;
  std::unique_ptr<OtherSide> client_;
  std::unique_ptr<TraceExporter> exporter_;
  Timestamp now_ = kStart;
  int wakes_ = 0;
};

using Spans = std::vector<std::string>;

TEST_F(TraceExporterTest, SendsKeptTracesInTheirOrder) {
  for (const ExportCompression compression :
       {ExportCompression::kNone, ExportCompression::kGzip, ExportCompression::kZstd}) {
    files_ = std::make_unique<FaultyFileSystem>();
    open({.url = "http://tempo:4318/v1/traces", .compression = compression});
    ASSERT_TRUE(keep(request_of(1, 2, "shop")).ok());
    ASSERT_TRUE(keep(request_of(3, 1, "bank")).ok());
    EXPECT_GE(wakes_, 2);
    run_for(seconds(0));
    ASSERT_EQ(client_->requests.size(), 1u);  // One at a time.
    EXPECT_EQ(client_->requests[0].url, "http://tempo:4318/v1/traces");
    EXPECT_EQ(last_spans(), (Spans{"shop/01", "shop/02"}));
    client_->answer(200);
    run_for(seconds(0));
    EXPECT_EQ(last_spans(), (Spans{"bank/03"}));
    client_->answer(200);
    run_for(seconds(2));
    EXPECT_EQ(client_->requests.size(), 2u);
    EXPECT_TRUE(sink_.has({1, 1}) && sink_.has({1, 3}));
    EXPECT_EQ(metric("tarsier_trace_export_sent_spans_total"), 3);
    EXPECT_EQ(metric("tarsier_trace_export_queue_requests"), 0);
    EXPECT_EQ(metric("tarsier_trace_export_queue_bytes"), 0);
  }
}

TEST_F(TraceExporterTest, RepeatsWhatMayPassAndNotWhatWillNot) {
  open({.url = "http://x/v1/traces"});
  ASSERT_TRUE(keep(request_of(1, 1, "shop")).ok());
  ASSERT_TRUE(keep(request_of(2, 2, "shop")).ok());
  run_for(seconds(0));
  client_->answer(503, {{"retry-after", "20"}});
  run_for(seconds(0));
  const Timestamp next = run_for(seconds(19));
  EXPECT_EQ(next.ms, (now_ + seconds(1)).ms);
  EXPECT_EQ(client_->requests.size(), 1u);
  run_for(seconds(1));
  ASSERT_EQ(client_->requests.size(), 2u);
  EXPECT_EQ(last_spans(), (Spans{"shop/01"}));
  // Pauses grow up to half a minute.
  for (int i = 0; i < 8; ++i) {
    client_->answer(unavailable("dial tcp: connection refused"));
    run_for(seconds(0));
    run_for(seconds(31));
  }
  ASSERT_EQ(client_->requests.size(), 10u);
  client_->answer(400);
  run_for(seconds(0));
  EXPECT_EQ(last_spans(), (Spans{"shop/02", "shop/03"}));
  // One of the two is rejected.
  client_->answer(200, {}, otlp_success_wire(1, "too old"));
  run_for(seconds(0));
  EXPECT_EQ(metric("tarsier_trace_export_refused_spans_total"), 2);
  EXPECT_EQ(metric("tarsier_trace_export_sent_spans_total"), 1);
  EXPECT_EQ(metric("tarsier_trace_export_retries_total"), 9);
}

TEST_F(TraceExporterTest, GoesOnAfterARestart) {
  open({.url = "http://x/v1/traces"});
  for (std::uint64_t i = 1; i <= 5; ++i) ASSERT_TRUE(keep(request_of(i, 1, "shop")).ok());
  run_for(seconds(0));
  client_->answer(200);
  run_for(seconds(0));
  ASSERT_EQ(client_->requests.size(), 2u);
  // Killed while the second is on its way. What was sent of a segment may come again.
  open({.url = "http://y/v1/traces"});
  Spans sent;
  for (int i = 0; i < 10; ++i) {
    run_for(seconds(0));
    if (client_->waiting.empty()) break;
    for (const std::string& span : last_spans()) sent.push_back(span);
    client_->answer(200);
  }
  ASSERT_GE(sent.size(), 4u);
  EXPECT_EQ(Spans(sent.end() - 4, sent.end()), (Spans{"shop/02", "shop/03", "shop/04", "shop/05"}));
  run_for(seconds(2));
  EXPECT_EQ(metric("tarsier_trace_export_queue_bytes"), 0);
}

// Whoever syncs forgets the spans next, and cannot hand them over again.
TEST_F(TraceExporterTest, WhatWasSyncedSurvivesAPowerCut) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    exporter_.reset();
    files_ = std::make_unique<FaultyFileSystem>();
    open({.url = "http://x/v1/traces"});
    ASSERT_TRUE(keep(request_of(1, 2, "shop")).ok());
    ASSERT_TRUE(exporter_->sync().ok());
    ASSERT_TRUE(keep(request_of(3, 1, "shop")).ok());  // May be lost.
    auto after = files_->after_power_cut(seed);
    exporter_.reset();
    files_ = std::move(after);
    open({.url = "http://x/v1/traces"});
    run_for(seconds(0));
    ASSERT_EQ(client_->requests.size(), 1u);
    EXPECT_EQ(last_spans(), (Spans{"shop/01", "shop/02"}));
  }
}

TEST_F(TraceExporterTest, AFullQueueKeepsNobodyFromStoring) {
  open({.url = "http://x/v1/traces",
        .compression = ExportCompression::kNone,
        .queue_bytes_max = 2'000});
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(keep(request_of(1 + i * 10, 10, "shop")).ok());
  }
  EXPECT_TRUE(sink_.has({1, 1000}));
  EXPECT_GT(metric("tarsier_trace_export_dropped_spans_total"), 0);
  EXPECT_LT(metric("tarsier_trace_export_queue_bytes"), 4'000);
  // Without a place to send to nothing is added.
  ASSERT_TRUE(exporter_->apply(std::nullopt).ok());
  const double before = metric("tarsier_trace_export_queue_requests");
  ASSERT_TRUE(keep(request_of(5000, 1, "shop")).ok());
  EXPECT_EQ(metric("tarsier_trace_export_queue_requests"), before);
}

TEST_F(TraceExporterTest, SendsNothingTheStoreDoesNotHave) {
  open({.url = "http://x/v1/traces"});
  sink_.fail(true);
  EXPECT_FALSE(keep(request_of(1, 1, "shop")).ok());
  sink_.fail(false);
  run_for(seconds(5));
  EXPECT_TRUE(client_->requests.empty());
}

TEST_F(TraceExporterTest, SendsAllThatIsReceivedButDuplicates) {
  open({.url = "http://x/v1/traces", .is_all = true});
  ASSERT_TRUE(keep(request_of(1, 1, "kept")).ok());  // Came through the door before.
  const auto batch = SpanBatch::decode(request_of(10, 3, "shop")).value();
  exporter_->observe(*batch, {}, now_);
  SpanAdmission admission;
  admission.duplicates = {1};
  exporter_->observe(*batch, admission, now_);
  run_for(seconds(0));
  EXPECT_EQ(last_spans(), (Spans{"shop/0a", "shop/0b", "shop/0c"}));
  client_->answer(202);
  run_for(seconds(0));
  EXPECT_EQ(last_spans(), (Spans{"shop/0a", "shop/0c"}));
}

TEST_F(TraceExporterTest, ADiskThatFailsKeepsNobodyFromStoring) {
  open({.url = "http://x/v1/traces"});
  files_->fail_append(1);
  ASSERT_TRUE(keep(request_of(1, 1, "shop")).ok());
  run_for(seconds(1));
  EXPECT_TRUE(sink_.has({1, 1}));
  ASSERT_TRUE(keep(request_of(2, 1, "shop")).ok());
  run_for(seconds(1));
  EXPECT_EQ(last_spans(), (Spans{"shop/01"}));
}

}  // namespace
}  // namespace tarsier::tracing
