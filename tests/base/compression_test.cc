#include "base/compression.h"

#include <functional>
#include <random>

#include <gtest/gtest.h>

#include "base/snappy_block.h"

namespace tarsier {
namespace {

struct Codec {
  const char* name;
  std::function<void(Bytes, std::string&)> compress;
  std::function<Status(Bytes, std::size_t, std::string&)> decompress;
};

std::vector<Codec> codecs() {
  return {{"snappy", snappy_compress, snappy_decompress},
          {"gzip", gzip_compress, gzip_decompress},
          {"zstd", [](Bytes in, std::string& out) { zstd_compress(in, 1, out); }, zstd_decompress}};
}

std::vector<std::string> inputs() {
  std::mt19937 random(7);
  std::string noise(300'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return {"", "a", std::string(5'000'000, 'z'), noise};
}

TEST(Compression, RoundTripsAndHoldsTheLimitExactly) {
  for (const Codec& codec : codecs()) {
    for (const std::string& input : inputs()) {
      std::string packed;
      std::string out;
      codec.compress(as_bytes(input), packed);
      ASSERT_TRUE(codec.decompress(as_bytes(packed), input.size(), out).ok()) << codec.name;
      EXPECT_EQ(out, input) << codec.name;
      if (input.empty()) continue;
      EXPECT_EQ(codec.decompress(as_bytes(packed), input.size() - 1, out).code(), Code::kLimit)
          << codec.name;
    }
  }
}

TEST(Compression, TruncatedAndForeignBytesAreCorruption) {
  for (const Codec& codec : codecs()) {
    std::string packed;
    std::string out;
    codec.compress(as_bytes(std::string(10'000, 'x') + "tail"), packed);
    for (const std::size_t cut : {packed.size() / 2, packed.size() - 1}) {
      EXPECT_EQ(codec.decompress(as_bytes(packed.substr(0, cut)), 1 << 20, out).code(),
                Code::kCorruption)
          << codec.name;
    }
    EXPECT_FALSE(codec.decompress(as_bytes("\xff\xff\xff\xffnot compressed"), 1 << 20, out).ok())
        << codec.name;
  }
}

/// Elements one by one: kinds, offsets and sizes at their edges, near the end and far from it.
TEST(Compression, SnappyElementsOfEveryKindAreDecoded) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::string plain;
    std::string elements;
    const auto put = [&](std::size_t value, int bytes) {
      for (int i = 0; i < bytes; ++i) elements += static_cast<char>(value >> (8 * i));
    };
    const std::size_t size_wanted = random() % 2000;
    while (plain.size() < size_wanted) {
      const std::size_t kind = plain.empty() ? 0 : random() % 4;
      std::size_t size = 1 + random() % (random() % 4 == 0 ? 64 : 12);
      if (kind == 0) {
        if (random() % 20 == 0) size = 61 + random() % 400;
        if (size <= 60) {
          put((size - 1) << 2, 1);
        } else {
          const int width = size <= 256 ? 1 + static_cast<int>(random() % 4) : 2;
          put((59 + static_cast<std::size_t>(width)) << 2, 1);
          put(size - 1, width);
        }
        for (std::size_t i = 0; i < size; ++i) elements += static_cast<char>(random());
        plain += elements.substr(elements.size() - size);
        continue;
      }
      const std::size_t reach = random() % 3 == 0 ? 20 : plain.size();
      std::size_t offset = 1 + random() % std::min(plain.size(), reach);
      if (kind == 1) {
        size = 4 + size % 8;
        offset = std::min<std::size_t>(offset, 2047);
        put(1 | ((size - 4) << 2) | ((offset >> 8) << 5), 1);
        put(offset, 1);
      } else {
        put(kind | ((size - 1) << 2), 1);
        put(offset, kind == 2 ? 2 : 4);
      }
      for (std::size_t i = 0; i < size; ++i) plain += plain[plain.size() - offset];
    }
    std::string out(plain.size(), '?');
    ASSERT_TRUE(decode_snappy_elements(as_bytes(elements), std::as_writable_bytes(std::span(out))));
    EXPECT_EQ(out, plain);
    out.resize(out.size() + 1);
    EXPECT_FALSE(
        decode_snappy_elements(as_bytes(elements), std::as_writable_bytes(std::span(out))));
    if (plain.empty()) continue;
    out.resize(plain.size() - 1);
    EXPECT_FALSE(
        decode_snappy_elements(as_bytes(elements), std::as_writable_bytes(std::span(out))));
  }
}

}  // namespace
}  // namespace tarsier
