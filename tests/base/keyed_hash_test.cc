#include "base/keyed_hash.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tarsier {
namespace {

constexpr HashKey kPublishedKey = {
    {0x0706050403020100, 0x0F0E0D0C0B0A0908, 0x1716151413121110, 0x1F1E1D1C1B1A1918}};

std::string counting_bytes(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST(KeyedHash, GivesThePublishedVectorsOnBothPaths) {
  struct Vector {
    std::size_t size;
    Hash128 hash;
  };
  // Inputs 00, 00 01, 00 01 02, ... from the test vectors published with HighwayHash.
  const std::vector<Vector> vectors = {
      {0, {0x0FED268F9D8FFEC7, 0x33565E767F093E6F}},
      {1, {0xD6B0A8893681E7A8, 0xDC291DF9EB9CDCB4}},
      {2, {0x3D15AD265A16DA04, 0x78085638DC32E868}},
      {3, {0x0607621B295F0BEB, 0xBFE69A0FD9CEDD79}},
      {4, {0x26399EB46DACE49E, 0x2E922AD039319208}},
      {15, {0x142237A52BC4AF54, 0xE0796C0B6E26BCD7}},
      {16, {0x414460FFD5A401AD, 0x029EA3D5019F18C8}},
      {17, {0xC52A4B96C51C9962, 0xECB878B1169B5EA0}},
      {31, {0x06E7B465E8A57C29, 0x52415E3A07F5D446}},
      {32, {0x1984DF66C1434AAA, 0x16FC1958F9B3E4B9}},
      {33, {0x111678AFE0C6C36C, 0xF958B59DE5A2849D}},
      {63, {0x74BD7018022F3EF0, 0x3AEA94A8AD5F4BCB}},
  };
  for (const KeyedHash::Path path : {KeyedHash::Path::kFastest, KeyedHash::Path::kBaseline}) {
    const KeyedHash hash(kPublishedKey, path);
    for (const Vector& vector : vectors) {
      EXPECT_EQ(hash.hash(counting_bytes(vector.size)), vector.hash) << vector.size << " bytes";
    }
  }
}

TEST(KeyedHash, BatchesEqualSingleHashesOnBothPaths) {
  const unsigned seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<std::string> owners;
  for (int i = 0; i < 301; ++i) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    owners.push_back(std::move(bytes));
  }
  const std::vector<std::string_view> inputs(owners.begin(), owners.end());
  const KeyedHash fast(kPublishedKey);
  const KeyedHash baseline(kPublishedKey, KeyedHash::Path::kBaseline);
  std::vector<Hash128> fast_hashes(inputs.size());
  std::vector<Hash128> baseline_hashes(inputs.size());
  fast.hash_batch(inputs, fast_hashes);
  baseline.hash_batch(inputs, baseline_hashes);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(fast_hashes[i], fast.hash(inputs[i])) << i;
    EXPECT_EQ(fast_hashes[i], baseline_hashes[i]) << i;
  }
}

TEST(KeyedHash, DependsOnEveryWordOfTheKey) {
  const Hash128 expected = KeyedHash(kPublishedKey).hash("up");
  for (std::size_t word = 0; word < 4; ++word) {
    HashKey other = kPublishedKey;
    other.words[word] ^= 1;
    EXPECT_FALSE(KeyedHash(other).hash("up") == expected) << word;
  }
}

TEST(KeyedHash, DrawsAnotherKeyEachTime) {
  EXPECT_NE(draw_hash_key().words, draw_hash_key().words);
}

}  // namespace
}  // namespace tarsier
