#include "base/compression.h"

#include <functional>
#include <random>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tarsier
