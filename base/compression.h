#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace tarsier {

// Every decoder takes the largest output it may make: kLimit beyond it, found before the memory is
// spent, and kCorruption for bytes that are not the format. `out` is replaced; undefined on error.

/// Snappy block format, as in remote write and the WAL.
void snappy_compress(Bytes input, std::string& out);
Status snappy_decompress(Bytes input, std::size_t size_max, std::string& out);

/// gzip members (RFC 1952), as in Content-Encoding: gzip.
void gzip_compress(Bytes input, std::string& out);
/// The same in the zlib format (RFC 1950), which HTTP calls `deflate`.
void zlib_compress(Bytes input, std::string& out);
Status gzip_decompress(Bytes input, std::size_t size_max, std::string& out);

void zstd_compress(Bytes input, int level, std::string& out);
Status zstd_decompress(Bytes input, std::size_t size_max, std::string& out);

}  // namespace tarsier
