// Whatever goes into a packed column comes out the same, to the bit.

#include "tsdb/chunk/packed_column.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tsdb/sample.h"

namespace tarsier::tsdb {
namespace {

constexpr ColumnProfile kProfiles[] = {ColumnProfile::kPacked, ColumnProfile::kSmallest};

std::vector<std::uint64_t> bits_of(const std::vector<double>& values) {
  std::vector<std::uint64_t> bits;
  for (const double v : values) bits.push_back(std::bit_cast<std::uint64_t>(v));
  return bits;
}

/// Returns the bytes taken.
std::size_t expect_values_back(const std::vector<double>& values, ColumnProfile profile) {
  std::string bytes = "before";
  encode_values(values, profile, bytes);
  const std::size_t size = bytes.size() - 6;
  for (const std::string_view after : {"", "what follows it and is no business of its own"}) {
    const std::string all = bytes + std::string(after);
    ByteReader in(as_bytes(all).subspan(6));
    std::vector<double> out(values.size());
    EXPECT_TRUE(decode_values(in, out));
    EXPECT_EQ(in.remaining(), after.size());
    EXPECT_EQ(bits_of(out), bits_of(values));
  }
  return size;
}

std::size_t expect_integers_back(const std::vector<std::int64_t>& numbers, ColumnProfile profile) {
  std::string bytes;
  encode_integers(numbers, profile, bytes);
  ByteReader in(as_bytes(bytes));
  std::vector<std::int64_t> out(numbers.size());
  EXPECT_TRUE(decode_integers(in, out));
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(out, numbers);
  return bytes.size();
}

double some_value(std::mt19937_64& random, unsigned kind, double last) {
  switch (kind) {
    case 0: return last + static_cast<double>(random() % 100);            // Counter.
    case 1: return static_cast<double>(random() % 100'000) / 100;         // Two decimals.
    case 2: return std::bit_cast<double>(random());                       // Anything at all.
    case 3: return std::nextafter(last, 1e300);                           // The next number.
    case 4: return static_cast<double>(random() % 1'000'000) * 4096;      // Pages.
    case 5: return static_cast<double>(random()) / 1e3;                   // Noise.
    case 6: return static_cast<double>(random() % 1'000'000'000) * 1e-9;  // Nanoseconds.
    case 7: return std::bit_cast<double>(random() % 1000);                // Denormals.
    case 8: return static_cast<double>((random() % 2000) + 9'007'199'254'740'000);  // About 2^53.
    case 9: return last + static_cast<double>(random() % 1000) / 1000;  // Rounding errors.
    default: return last;
  }
}

double odd_value(std::mt19937_64& random) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (random() % 8) {
    case 0: return stale_marker();
    case 1: return std::bit_cast<double>(kNormalNanBits);
    case 2: return std::bit_cast<double>(0xFFF8'0000'0000'0123 ^ random() % 256);
    case 3: return -0.0;
    case 4: return kInfinity;
    case 5: return -kInfinity;
    case 6: return std::numeric_limits<double>::max();
    default: return std::bit_cast<double>(random());
  }
}

TEST(PackedColumn, GivesEveryBitBack) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::size_t count = seed % 3 == 0 ? kVectorSamplesMax : 1 + random() % kVectorSamplesMax;
    const auto kind = static_cast<unsigned>(seed % 11);
    const std::uint64_t odd_one_in = seed % 4 == 0 ? 0 : std::uint64_t{1} << (random() % 10);
    std::vector<double> values;
    double last = static_cast<double>(random() % 1000);
    for (std::size_t i = 0; i < count; ++i) {
      last = some_value(random, kind, last);
      const bool is_odd = odd_one_in > 0 && random() % (1 + odd_one_in) == 0;
      values.push_back(is_odd ? odd_value(random) : last);
    }
    for (const ColumnProfile profile : kProfiles) {
      EXPECT_LE(expect_values_back(values, profile), 8 * count + count / 4 + 64);
    }
  }
}

TEST(PackedColumn, GivesEveryIntegerBack) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::size_t count = 1 + random() % kVectorSamplesMax;
    const std::uint64_t mask = ~std::uint64_t{0} >> (seed % 64);
    std::vector<std::int64_t> numbers;
    std::int64_t sum = static_cast<std::int64_t>(random());
    for (std::size_t i = 0; i < count; ++i) {
      // Overflow is part of the promise.
      sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) +
                                      (random() & mask) * (1 + seed % 5));
      numbers.push_back(seed % 2 == 0 ? sum : static_cast<std::int64_t>(random() & mask));
    }
    for (const ColumnProfile profile : kProfiles) {
      EXPECT_LE(expect_integers_back(numbers, profile), 8 * count + count / 4 + 64);
    }
  }
  expect_integers_back({INT64_MIN, INT64_MAX, 0, -1, 1}, ColumnProfile::kPacked);
  expect_integers_back({INT64_MAX, INT64_MIN}, ColumnProfile::kSmallest);
}

TEST(PackedColumn, TakesLittleForWhatIsRegular) {
  std::vector<double> constant(1000, 0.25);
  std::vector<double> steps;
  std::vector<double> pages;
  std::vector<double> ended;
  std::vector<std::int64_t> times;
  std::vector<std::int64_t> jitter;
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    steps.push_back(1e6 + i * 0.25);
    pages.push_back(static_cast<double>(random() % 16) * 4096 + 8192);
    ended.push_back(i < 999 ? 17.0 : stale_marker());
    times.push_back(1'700'000'000'000 + i * 15'000);
    jitter.push_back(times.back() + (random() % 10 == 0 ? static_cast<int>(random() % 6) : 0));
  }
  for (const ColumnProfile profile : kProfiles) {
    EXPECT_LE(expect_values_back(constant, profile), 8u);
    EXPECT_LE(expect_values_back(steps, profile), 16u);
    EXPECT_LE(expect_values_back(pages, profile), 540u) << "four bits each";
    EXPECT_LE(expect_values_back(ended, profile), 12u);
    EXPECT_LE(expect_integers_back(times, profile), 20u);
    EXPECT_LE(expect_integers_back(jitter, profile), 700u);
  }
}

TEST(PackedColumn, RangeCodingIsSmallerWhereNumbersAreUneven) {
  std::mt19937_64 random(7);
  std::geometric_distribution<int> small(0.4);
  std::vector<double> values;
  double sum = 0;
  for (int i = 0; i < 1024; ++i) values.push_back(sum += small(random));
  const std::size_t packed = expect_values_back(values, ColumnProfile::kPacked);
  const std::size_t ranged = expect_values_back(values, ColumnProfile::kSmallest);
  EXPECT_LT(static_cast<double>(ranged), 0.85 * static_cast<double>(packed));
}

TEST(PackedColumn, DamageIsFoundOrHarmless) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::vector<double> values;
    for (std::size_t i = 0; i < 600; ++i) {
      values.push_back(some_value(random, static_cast<unsigned>(seed % 11), 3));
    }
    std::string bytes;
    encode_values(values, kProfiles[seed % 2], bytes);
    if (seed % 3 == 0) bytes.resize(random() % bytes.size());
    for (int n = 0; n < 3 && !bytes.empty(); ++n) {
      bytes[random() % std::min<std::size_t>(bytes.size(), 40)] = static_cast<char>(random());
    }
    const std::vector<std::byte> exact(as_bytes(bytes).begin(), as_bytes(bytes).end());
    ByteReader in(exact);
    decode_values(in, values);
  }
}

}  // namespace
}  // namespace tarsier::tsdb
