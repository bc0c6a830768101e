#include "base/deflate_stream.h"

#include <gtest/gtest.h>

#include "base/compression.h"

namespace tarsier {
namespace {

TEST(DeflateStream, ManyPiecesAreOneGzip) {
  DeflateStream gzip(DeflateFormat::kGzip);
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

TEST(DeflateStream, NothingIsAnEmptyGzip) {
  DeflateStream gzip(DeflateFormat::kGzip);
  std::string got = "x";
  ASSERT_TRUE(gzip_decompress(as_bytes(gzip.finish()), 100, got).ok());
  EXPECT_EQ(got, "");
}

TEST(DeflateStream, TheZlibFormatIsWhatAWholeOneWouldBe) {
  // The header names method and window: what tells it from gzip and from bare deflate.
  DeflateStream zlib(DeflateFormat::kZlib);
  const std::string text(10'000, 'x');
  std::string packed = zlib.compress(as_bytes(text));
  packed += zlib.finish();
  std::string whole;
  zlib_compress(as_bytes(text), whole);
  ASSERT_GE(packed.size(), 6u);
  EXPECT_EQ(packed.substr(0, 2), whole.substr(0, 2));
  EXPECT_EQ(packed.substr(packed.size() - 4), whole.substr(whole.size() - 4)) << "Adler-32";
}

}  // namespace
}  // namespace tarsier
