#include "base/otlp_http.h"

#include <gtest/gtest.h>

#include "base/compression.h"
#include "base/proto_json.h"
#include "base/protobuf_reader.h"

namespace tarsier {
namespace {

HttpRequest request_of(std::string type, std::string coding, std::string body) {
  HttpRequest request;
  request.headers = {{"Content-Type", std::move(type)}, {"Content-Encoding", std::move(coding)}};
  request.body = std::move(body);
  return request;
}

TEST(OtlpHttp, UnpacksWhatSendersPack) {
  std::string zipped;
  gzip_compress(as_bytes("hello"), zipped);
  std::string zstd;
  zstd_compress(as_bytes("hello"), 1, zstd);
  for (const auto& [coding, body] :
       {std::pair<std::string, std::string>{"", "hello"}, {"gzip", zipped}, {"zstd", zstd}}) {
    HttpRequest request = request_of("application/json; charset=utf-8", coding, body);
    const OtlpHttpBody unpacked = unpack_otlp(request, 100);
    EXPECT_EQ(unpacked.status, 0) << coding;
    EXPECT_EQ(unpacked.body, "hello") << coding;
    EXPECT_EQ(unpacked.encoding, OtlpEncoding::kJson);
  }
}

TEST(OtlpHttp, SaysWhatIsWrongWithARequest) {
  std::string bomb;
  gzip_compress(as_bytes(std::string(1000, 'x')), bomb);
  const auto status_of = [](HttpRequest request) { return unpack_otlp(request, 100).status; };
  EXPECT_EQ(status_of(request_of("text/plain", "", "x")), 415);
  EXPECT_EQ(status_of(request_of("application/json", "br", "x")), 415);
  EXPECT_EQ(status_of(request_of("application/json", "gzip", "no gzip")), 400);
  EXPECT_EQ(status_of(request_of("application/json", "gzip", bomb)), 413);
  EXPECT_EQ(status_of(request_of("application/x-protobuf", "", std::string(101, 'x'))), 413);
}

TEST(OtlpHttp, AnErrorComesInTheEncodingOfTheRequest) {
  const HttpResponse json = otlp_error(OtlpEncoding::kJson, 503, "later", milliseconds(1200));
  EXPECT_EQ(json.status, 503);
  EXPECT_EQ(json.content_type, "application/json");
  EXPECT_EQ(json.body, R"({"code":14,"message":"later"})");
  EXPECT_EQ(json.headers, (HttpHeaders{{"Retry-After", "2"}}));
  const HttpResponse binary = otlp_error(OtlpEncoding::kProtobuf, 400, "no");
  EXPECT_EQ(binary.content_type, "application/x-protobuf");
  EXPECT_EQ(binary.body, std::string("\x08\x03\x12\x02no", 6));
  EXPECT_EQ(otlp_error(std::nullopt, 415, "what?").body, "what?\n");
}

TEST(OtlpHttp, SuccessIsEmptyAndPartialSuccessIsNot) {
  EXPECT_EQ(otlp_success(OtlpEncoding::kProtobuf, "rejectedSpans").body, "");
  EXPECT_EQ(otlp_success(OtlpEncoding::kJson, "rejectedSpans").body, "{}");
  EXPECT_EQ(otlp_success(OtlpEncoding::kJson, "rejectedSpans", 3, "bad").body,
            R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad"}})");
  EXPECT_EQ(otlp_success(OtlpEncoding::kProtobuf, "rejectedSpans", 3, "bad").body,
            std::string("\x0A\x07\x08\x03\x12\x03"
                        "bad",
                        9));
}

TEST(OtlpHttp, AStatusCarriesItsRetryDelay) {
  const std::string wire = rpc_status_wire(RpcCode::kUnavailable, "busy", milliseconds(2500));
  ProtobufReader status(wire);
  std::string_view any;
  while (status.next()) {
    if (status.field() == 3) any = status.bytes();
  }
  ASSERT_TRUE(status.ok());
  EXPECT_NE(any.find("type.googleapis.com/google.rpc.RetryInfo"), std::string_view::npos);
  // Duration{seconds: 2, nanos: 500000000} in RetryInfo.retry_delay.
  EXPECT_TRUE(any.ends_with(std::string_view("\x0A\x08\x08\x02\x10\x80\xCA\xB5\xEE\x01", 10)));
}

TEST(ProtoJson, IntegersAreNumbersOrText) {
  const JsonValue root =
      *parse_json(R"({"a":"12","b":12,"c":"x","d":1.5,"e":null,"f":5000000000})");
  std::int64_t v = 0;
  EXPECT_TRUE(read_json_integer(root.find("a"), "a", v).ok());
  EXPECT_EQ(v, 12);
  EXPECT_TRUE(read_json_integer(root.find("b"), "b", v).ok());
  EXPECT_FALSE(read_json_integer(root.find("c"), "c", v).ok());
  EXPECT_EQ(read_json_integer(root.find("d"), "d", v).message(), "JSON: d is not an integer");
  EXPECT_TRUE(read_json_integer(root.find("e"), "e", v).ok());
  EXPECT_TRUE(read_json_integer(root.find("missing"), "missing", v).ok());
  EXPECT_EQ(v, 12);
  std::int32_t narrow = 0;
  EXPECT_FALSE(read_json_integer(root.find("f"), "f", narrow).ok());
}

}  // namespace
}  // namespace tarsier
