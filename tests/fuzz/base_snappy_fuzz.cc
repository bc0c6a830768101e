#include <string>

#include "base/check.h"
#include "base/compression.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Whatever is decoded comes back from its compressed form, and nothing is read or written beyond
/// the edges.
void fuzz_one(Bytes input) {
  constexpr std::size_t kSizeMax = 1 << 20;
  // Memory of exactly the size, so that a sanitizer sees one byte too far.
  const std::string copy(as_text(input));
  std::string out;
  if (!snappy_decompress(as_bytes(copy), kSizeMax, out).ok()) return;
  std::string packed;
  snappy_compress(as_bytes(out), packed);
  std::string again;
  CHECK(snappy_decompress(as_bytes(packed), kSizeMax, again).ok());
  CHECK(again == out);
}

}  // namespace tarsier
