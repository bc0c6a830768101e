#include "server/http_answer.h"

#include <algorithm>
#include <ctime>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/check.h"
#include "base/compression.h"
#include "base/deflate_stream.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kCompressedBytesMax = std::size_t{1} << 30;

bool has_header(const HttpResponse& response, std::string_view name) {
  return std::any_of(response.headers.begin(), response.headers.end(),
                     [&](const auto& header) { return header.first == name; });
}

/// Another body's pieces, compressed where they are made.
class CompressedBody final : public BodyStream,
                             public std::enable_shared_from_this<CompressedBody> {
 public:
  CompressedBody(std::string first, std::shared_ptr<BodyStream> rest, DeflateFormat format)
      : first_(std::move(first)), rest_(std::move(rest)), deflate_(format) {}

  void next(std::function<void(Result<std::string>)> done) override {
    if (ended_) return done(std::string());
    if (!first_.empty()) {
      const std::string first = std::exchange(first_, {});
      return done(deflate_.compress(as_bytes(first)));
    }
    rest_->next([self = shared_from_this(), done = std::move(done)](Result<std::string> piece) {
      if (!piece.ok()) return done(std::move(piece));
      self->ended_ = piece->empty();
      done(self->ended_ ? self->deflate_.finish() : self->deflate_.compress(as_bytes(*piece)));
    });
  }

 private:
  std::string first_;
  const std::shared_ptr<BodyStream> rest_;
  DeflateStream deflate_;
  bool ended_ = false;
};

}  // namespace

HttpResponse text_response(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

bool status_has_body(int status) { return status != 204 && status != 304; }

std::string render_head(const HttpResponse& response, std::string_view date,
                        Persistence persistence, BodyFraming framing) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 http_reason_phrase(response.status), date);
  const bool has_body = status_has_body(response.status);
  if (has_body && !response.content_type.empty()) {
    head += fmt::format("Content-Type: {}\r\n", response.content_type);
  }
  if (has_body && framing == BodyFraming::kLength) {
    head += fmt::format("Content-Length: {}\r\n", response.body.size());
  }
  if (has_body && framing == BodyFraming::kChunked) head += "Transfer-Encoding: chunked\r\n";
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (persistence == Persistence::kClose) head += "Connection: close\r\n";
  if (persistence == Persistence::kKeepAnnounced) head += "Connection: keep-alive\r\n";
  return head += "\r\n";
}

std::string http_date(Timestamp t) {
  const std::time_t whole_seconds = t.ms / 1000;
  std::tm utc{};
  ::gmtime_r(&whole_seconds, &utc);
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc));
}

ContentCoding preferred_coding(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const std::size_t size = std::min(accept_encoding.find(','), accept_encoding.size());
    std::string_view name = accept_encoding.substr(0, size);
    accept_encoding.remove_prefix(std::min(size + 1, accept_encoding.size()));
    name = trimmed(name.substr(0, name.find(';')));
    if (name == "gzip") return ContentCoding::kGzip;
    if (name == "deflate") return ContentCoding::kDeflate;
  }
  return ContentCoding::kNone;
}

void compress_body(HttpResponse& response, ContentCoding coding) {
  CHECK(coding != ContentCoding::kNone);
  if (response.body.size() > kCompressedBytesMax || has_header(response, "Content-Encoding")) {
    return;
  }
  const bool is_gzip = coding == ContentCoding::kGzip;
  if (response.stream) {
    response.stream =
        std::make_shared<CompressedBody>(std::move(response.body), std::move(response.stream),
                                         is_gzip ? DeflateFormat::kGzip : DeflateFormat::kZlib);
    response.body.clear();
  } else {
    std::string compressed;
    (is_gzip ? gzip_compress : zlib_compress)(as_bytes(response.body), compressed);
    response.body = std::move(compressed);
  }
  response.headers.emplace_back("Content-Encoding", is_gzip ? "gzip" : "deflate");
  const std::pair<std::string, std::string> varies("Vary", "Accept-Encoding");
  if (std::find(response.headers.begin(), response.headers.end(), varies) ==
      response.headers.end()) {
    response.headers.push_back(varies);
  }
}

}  // namespace tarsier::server
