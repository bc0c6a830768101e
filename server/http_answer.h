#pragma once

#include <string>
#include <string_view>

#include "base/http.h"
#include "base/time.h"

namespace tarsier::server {

// An HTTP/1.1 answer as text: its head, its date, its compression. No I/O, no state.

/// A plain-text answer.
HttpResponse text_response(int status, std::string body);

/// Whether answers with this status have a body, and headers that describe it.
bool status_has_body(int status);

enum class Persistence : unsigned char {
  kClose,         ///< The connection ends behind this answer.
  kKeep,          ///< It stays, as HTTP/1.1 takes for granted.
  kKeepAnnounced  ///< It stays, and an HTTP/1.0 client must be told so.
};

/// How the client learns where the body ends.
enum class BodyFraming : unsigned char {
  kLength,   ///< Content-Length: the body is all there.
  kChunked,  ///< Its pieces say how long they are.
  kNone      ///< It ends with the connection: for HTTP/1.0.
};

/// Status line and headers, up to and with the empty line. `date` is an `http_date`.
std::string render_head(const HttpResponse& response, std::string_view date,
                        Persistence persistence, BodyFraming framing = BodyFraming::kLength);

/// "Sun, 22 Nov 2026 09:50:29 GMT".
std::string http_date(Timestamp t);

enum class ContentCoding : unsigned char { kNone, kGzip, kDeflate };

/// How a client that sent this Accept-Encoding gets bodies. From left to right the first of gzip
/// and deflate decides, quality values are ignored: what Prometheus does.
ContentCoding preferred_coding(std::string_view accept_encoding);

/// Compresses the body and says so in the headers; nothing when the answer already has an encoding
/// or is too large for one stream. Of a streamed body each piece is compressed as it is made.
/// REQUIRES: not kNone.
void compress_body(HttpResponse& response, ContentCoding coding);

}  // namespace tarsier::server
