#include "base/gzip_stream.h"

#include <gtest/gtest.h>

#include "base/compression.h"

namespace tarsier {
namespace {

TEST(GzipStream, ManyPiecesAreOneGzip) {
  GzipStream gzip;
  std::string want;
  std::string packed;
  for (int i = 0; i < 100; ++i) {
    const std::string piece(static_cast<std::size_t>(i * 97), static_cast<char>('a' + i % 26));
    want += piece;
    packed += gzip.compress(as_bytes(piece));
  }
  packed += gzip.finish();
  std::string got;
  ASSERT_TRUE(gzip_decompress(as_bytes(packed), 10 << 20, got).ok());
  EXPECT_EQ(got, want);
}

TEST(GzipStream, NothingIsAnEmptyGzip) {
  GzipStream gzip;
  std::string got = "x";
  ASSERT_TRUE(gzip_decompress(as_bytes(gzip.finish()), 100, got).ok());
  EXPECT_EQ(got, "");
}

}  // namespace
}  // namespace tarsier
