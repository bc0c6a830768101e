#include "tracing/span.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/protobuf_writer.h"
#include "tracing/span_sink.h"
#include "tracing/span_writer.h"
#include "tracing/trace_pins.h"

namespace tarsier::tracing {
namespace {

constexpr TraceId kTrace{0x0102030405060708, 0x090A0B0C0D0E0F10};
constexpr SpanId kSpan{0x1112131415161718};

std::shared_ptr<const SpanBatch> decoded(std::string wire) {
  Result<std::shared_ptr<const SpanBatch>> batch = SpanBatch::decode(std::move(wire));
  EXPECT_TRUE(batch.ok()) << batch.status().message();
  return batch.ok() ? *batch : nullptr;
}

std::string rich_request() {
  SpanWriter span(kTrace, kSpan);
  span.parent(SpanId{7}).name("GET /cart").kind(SpanKind::kServer).times(1'000, 4'500);
  span.status(StatusCode::kError, "boom").trace_state("ot=th:c").flags(0x301);
  span.attribute("http.route", "/cart").attribute("retries", 3).attribute("ratio", 0.25);
  span.attribute("cached", true)
      .attribute_wire("raw", ValueWriter::of_bytes(std::string_view("\x00\xFF", 2)));
  std::string elements;
  ValueWriter::append_array_element(elements, ValueWriter::of("a"));
  ValueWriter::append_array_element(elements, ValueWriter::of(-1));
  span.attribute_wire("list", ValueWriter::of_array(elements));
  std::string members;
  ValueWriter::append_map_member(members, "k", ValueWriter::of("v"));
  span.attribute_wire("map", ValueWriter::of_map(members));
  span.event(EventWriter(2'000, "exception").attribute("exception.type", "E"));
  span.link(LinkWriter(TraceId{0, 9}, SpanId{10}).flags(1).attribute("why", "retry"));
  RequestWriter request;
  request.resource(
      ResourceWriter().attribute("host.name", "h").attribute("service.name", "shop").wire(),
      "https://schema");
  request.scope(ScopeWriter().name("http").version("1.2").wire());
  request.span(span.wire());
  return request.take();
}

TEST(SpanBatch, ReadsEveryFieldOfASpan) {
  const auto batch = decoded(rich_request());
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->spans().size(), 1u);
  const SpanRecord& span = batch->spans()[0];
  EXPECT_EQ(span.trace_id, kTrace);
  EXPECT_EQ(span.span_id, kSpan);
  EXPECT_EQ(span.parent_id, SpanId{7});
  EXPECT_EQ(span.name, "GET /cart");
  EXPECT_EQ(span.kind, SpanKind::kServer);
  EXPECT_EQ(span.duration_ns(), 3'500u);
  EXPECT_EQ(span.status, StatusCode::kError);
  EXPECT_EQ(span.status_message, "boom");
  EXPECT_EQ(span.trace_state, "ot=th:c");
  EXPECT_EQ(span.flags, 0x301u);
  EXPECT_FALSE(span.is_root());
  EXPECT_EQ(batch->resource_of(span).service_name, "shop");
  EXPECT_EQ(batch->resource_of(span).schema_url, "https://schema");
  EXPECT_EQ(batch->scope_of(span).name, "http");
  EXPECT_EQ(batch->scope_of(span).version, "1.2");
}

TEST(SpanBatch, ReadsAttributesEventsAndLinksOnDemand) {
  const auto batch = decoded(rich_request());
  ASSERT_TRUE(batch);
  const std::string_view wire = batch->spans()[0].wire;
  std::string text;
  EXPECT_TRUE(for_each_span_attribute(wire, [&](std::string_view key, const AttributeValue& value) {
    text += std::string(key) + "=";
    append_text(value, text);
    text += ' ';
  }));
  EXPECT_EQ(text,
            "http.route=/cart retries=3 ratio=0.25 cached=true raw=AP8= list=[\"a\",-1] "
            "map={\"k\":\"v\"} ");
  int events = 0;
  EXPECT_TRUE(for_each_event(wire, [&](const SpanEvent& event) {
    ++events;
    EXPECT_EQ(event.time_ns, 2'000u);
    EXPECT_EQ(event.name, "exception");
    for_each_event_attribute(event.wire, [&](std::string_view key, const AttributeValue& value) {
      EXPECT_EQ(key, "exception.type");
      EXPECT_EQ(value.bytes, "E");
    });
  }));
  EXPECT_EQ(events, 1);
  int links = 0;
  EXPECT_TRUE(for_each_link(wire, [&](const SpanLink& link) {
    ++links;
    EXPECT_EQ(link.trace_id, (TraceId{0, 9}));
    EXPECT_EQ(link.span_id, SpanId{10});
    EXPECT_EQ(link.flags, 1u);
  }));
  EXPECT_EQ(links, 1);
}

TEST(SpanBatch, AWalkStopsWhereItIsToldTo) {
  const auto batch = decoded(rich_request());
  ASSERT_TRUE(batch);
  int seen = 0;
  EXPECT_TRUE(for_each_span_attribute(batch->spans()[0].wire,
                                      [&](std::string_view key, const AttributeValue&) {
                                        ++seen;
                                        return key != "retries";
                                      }));
  EXPECT_EQ(seen, 2);
}

TEST(SpanBatch, RejectsASpanWithABadIdAlone) {
  RequestWriter request;
  request.span(SpanWriter(kTrace, kSpan).name("good").wire());
  request.span(SpanWriter(TraceId{}, kSpan).name("no trace").wire());
  request.span(SpanWriter(kTrace, SpanId{}).name("no span").wire());
  request.span(std::string_view("\x0A\x02\x01\x01", 4));  // A trace id of two bytes.
  const auto batch = decoded(request.take());
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->spans().size(), 1u);
  EXPECT_EQ(batch->spans()[0].name, "good");
  EXPECT_EQ(batch->invalid_count(), 3u);
  EXPECT_EQ(batch->first_invalid(),
            "span \"no trace\" has an invalid trace id: it must be 16 bytes, not all zero");
}

TEST(SpanBatch, AParentOfZerosIsARoot) {
  std::string wire = SpanWriter(kTrace, kSpan).wire();
  wire += std::string("\x22\x08\0\0\0\0\0\0\0\0", 10);
  RequestWriter request;
  request.span(wire);
  EXPECT_TRUE(decoded(request.take())->spans()[0].is_root());
}

TEST(SpanBatch, ReadsEnvelopesInAnyOrderAndLeavesEmptyOnesOut) {
  std::string scope_spans;
  ProtobufWriter(scope_spans).bytes(2, SpanWriter(kTrace, kSpan).name("x").wire());
  std::string resource_spans;
  ProtobufWriter(resource_spans).bytes(2, std::string_view());
  ProtobufWriter(resource_spans).bytes(2, scope_spans);
  ProtobufWriter(resource_spans)
      .bytes(1, ResourceWriter().attribute("service.name", "late").wire());
  std::string request;
  ProtobufWriter(request).bytes(1, std::string_view());
  ProtobufWriter(request).bytes(1, resource_spans);
  const auto batch = decoded(request);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->resources().size(), 1u);
  EXPECT_EQ(batch->scopes().size(), 1u);
  ASSERT_EQ(batch->spans().size(), 1u);
  EXPECT_EQ(batch->resource_of(batch->spans()[0]).service_name, "late");
}

TEST(SpanBatch, KeepsNumbersOfKindsItDoesNotKnow) {
  RequestWriter request;
  request.span(SpanWriter(kTrace, kSpan).kind(static_cast<SpanKind>(77)).wire());
  const auto batch = decoded(request.take());
  EXPECT_EQ(static_cast<int>(batch->spans()[0].kind), 77);
  EXPECT_EQ(kind_name(batch->spans()[0].kind), "SPAN_KIND_UNSPECIFIED");
}

TEST(SpanBatch, EveryCutOfARequestIsDamageOrARequest) {
  const std::string whole = rich_request();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const auto batch = SpanBatch::decode(whole.substr(0, size));
    EXPECT_FALSE(batch.ok()) << size;  // One resource: no cut of it is whole.
    EXPECT_EQ(batch.status().code(), Code::kCorruption);
  }
  EXPECT_TRUE(decoded("")->spans().empty());
}

TEST(SpanBatch, RefusesMoreSpansThanAllowedAndTooDeepValues) {
  RequestWriter request;
  for (int i = 0; i < 3; ++i) request.span(SpanWriter(kTrace, kSpan).wire());
  const auto many = SpanBatch::decode(request.take(), {.spans_max = 2});
  EXPECT_EQ(many.status().code(), Code::kLimit);
  EXPECT_EQ(many.status().message(), "more than 2 spans in one request");

  const auto nested = [&](int depth) {
    std::string value = ValueWriter::of("leaf");
    for (int i = 0; i < depth; ++i) {
      std::string elements;
      ValueWriter::append_array_element(elements, value);
      value = ValueWriter::of_array(elements);
    }
    request.span(SpanWriter(kTrace, kSpan).attribute_wire("deep", value).wire());
    return SpanBatch::decode(request.take());
  };
  EXPECT_TRUE(nested(kAttributeDepthMax).ok());
  EXPECT_FALSE(nested(kAttributeDepthMax + 1).ok());
}

TEST(TraceIds, GoToHexAndBack) {
  EXPECT_EQ(to_hex(kTrace), "0102030405060708090a0b0c0d0e0f10");
  EXPECT_EQ(to_hex(kSpan), "1112131415161718");
  EXPECT_EQ(parse_trace_id("0102030405060708090A0b0c0D0e0f10"), kTrace);
  EXPECT_EQ(parse_trace_id("f"), (TraceId{0, 15}));
  EXPECT_EQ(parse_trace_id("10000000000000000"), (TraceId{1, 0}));
  for (const char* bad :
       {"", "0", "xyz", "00000000000000000000000000000000", "010203040506070809010203040506070"}) {
    EXPECT_EQ(parse_trace_id(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(parse_span_id("1112131415161718"), kSpan);
  EXPECT_EQ(parse_span_id("11121314151617180"), std::nullopt);
}

/// What a sink and the pins look like to those who implement them.
class KeepsEverything final : public SpanSink, public TracePins {
 public:
  SpanAdmission accept(std::shared_ptr<const SpanBatch> batch) override {
    batches.push_back(std::move(batch));
    return {};
  }
  void when_accepted(SpanLogPosition, std::function<void(Status)> done) override { done({}); }
  void pin(std::span<const TraceId> traces, std::span<PinOutcome> outcomes) override {
    for (std::size_t i = 0; i < traces.size(); ++i) outcomes[i] = PinOutcome::kKept;
  }
  std::vector<std::shared_ptr<const SpanBatch>> batches;
};

TEST(SpanSink, HoldsViewsAsLongAsItHoldsTheBatch) {
  KeepsEverything sink;
  EXPECT_FALSE(sink.accept(decoded(rich_request())).retry_after);
  EXPECT_EQ(sink.batches[0]->spans()[0].name, "GET /cart");
}

}  // namespace
}  // namespace tarsier::tracing
