#include "server/http_answer.h"

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

TEST(HttpAnswer, RendersAHead) {
  HttpResponse response = text_response(404, "no\n");
  response.headers.emplace_back("X-A", "b");
  EXPECT_EQ(render_head(response, "DATE", Persistence::kKeep),
            "HTTP/1.1 404 Not Found\r\nDate: DATE\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 3\r\nX-A: b\r\n\r\n");
}

TEST(HttpAnswer, SaysWhatBecomesOfTheConnection) {
  const HttpResponse empty{.status = 204};
  EXPECT_EQ(render_head(empty, "D", Persistence::kClose),
            "HTTP/1.1 204 No Content\r\nDate: D\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(render_head(empty, "D", Persistence::kKeepAnnounced),
            "HTTP/1.1 204 No Content\r\nDate: D\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpAnswer, WritesDatesAsTheProtocolWantsThem) {
  EXPECT_EQ(http_date(Timestamp{784111777000}), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(HttpAnswer, ReadsAcceptEncodingAsPrometheusDoes) {
  using enum ContentCoding;
  const std::pair<const char*, ContentCoding> cases[] = {
      {"", kNone},
      {"gzip", kGzip},
      {"identity", kNone},
      {"br, gzip", kGzip},
      {"deflate, gzip", kDeflate},
      {"gzip;q=0.5, deflate", kGzip},
      {" \tgzip ,br", kGzip},
      {"*", kNone},
  };
  for (const auto& [header, wanted] : cases) EXPECT_EQ(preferred_coding(header), wanted) << header;
}

TEST(HttpAnswer, CompressesOnceAndSaysSo) {
  HttpResponse response = text_response(200, std::string(10'000, 'a'));
  compress_body(response, ContentCoding::kGzip);
  EXPECT_LT(response.body.size(), 200u);
  const HttpHeaders headers = {{"Content-Encoding", "gzip"}, {"Vary", "Accept-Encoding"}};
  EXPECT_EQ(response.headers, headers);
  const std::string compressed = response.body;
  compress_body(response, ContentCoding::kGzip);
  EXPECT_EQ(response.body, compressed);
}

}  // namespace
}  // namespace tarsier::server
