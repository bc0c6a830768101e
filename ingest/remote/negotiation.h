#pragma once

#include <optional>
#include <string>

#include "base/http.h"

namespace tarsier::ingest {

enum class WriteCodec : unsigned char { kSnappy, kZstd };
enum class WriteVersion : unsigned char { k1, k2 };

/// What the headers of a write request say before its body is looked at: senders and the public
/// suite send damaged bodies with wrong headers and must hear of the headers.
struct WriteNegotiation {
  WriteCodec codec = WriteCodec::kSnappy;
  WriteVersion version = WriteVersion::k1;
  int status = 0;  ///< 0: go on. Else 405 or 415, with `error`.
  std::string error;
};

WriteNegotiation negotiate_write(const HttpRequest& request);

}  // namespace tarsier::ingest
