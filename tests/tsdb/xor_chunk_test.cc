#include "tsdb/chunk/xor_chunk.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tarsier::tsdb {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  std::string digits;
  for (const char c : hex) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    out += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  return out;
}

std::string encode(const std::vector<Sample>& samples) {
  XorEncoder encoder;
  for (const Sample& sample : samples) encoder.append(sample);
  return std::string(as_text(encoder.bytes()));
}

/// Decodes in both ways, which must agree.
std::vector<Sample> decode(std::string_view chunk) {
  std::vector<Sample> samples;
  XorIterator it(as_bytes(chunk));
  while (it.next()) samples.push_back(it.sample());
  EXPECT_TRUE(it.status().ok()) << it.status().message();
  SampleColumns columns;
  EXPECT_TRUE(decode_xor_chunk(as_bytes(chunk), {}, columns).ok());
  EXPECT_EQ(columns.size(), samples.size());
  for (std::size_t i = 0; i < columns.size() && i < samples.size(); ++i) {
    EXPECT_EQ((Sample{Timestamp{columns.times_ms[i]}, columns.values[i]}), samples[i]) << i;
  }
  return samples;
}

void expect_round_trip(const std::vector<Sample>& samples) {
  const std::string chunk = encode(samples);
  EXPECT_EQ(decode(chunk), samples);
  EXPECT_LE(chunk.size(), kXorHeaderBytes + kXorSampleBytesMax * samples.size());
}

std::vector<Sample> at_times(const std::vector<std::int64_t>& times) {
  std::vector<Sample> samples;
  for (const std::int64_t t : times) samples.push_back({Timestamp{t}, 1.5});
  return samples;
}

std::vector<Sample> with_values(const std::vector<double>& values) {
  std::vector<Sample> samples;
  for (const double v : values) {
    samples.push_back({Timestamp{1000 + 15 * static_cast<std::int64_t>(samples.size())}, v});
  }
  return samples;
}

double from_bits(std::uint64_t bits) { return std::bit_cast<double>(bits); }

std::vector<Sample> random_samples(std::mt19937_64& random, std::size_t count) {
  std::vector<Sample> samples;
  std::int64_t t = static_cast<std::int64_t>(random() % 2'000'000'000'000) - 1'000'000'000'000;
  double v = 0;
  for (std::size_t i = 0; i < count; ++i) {
    switch (random() % 8) {
      case 0: t += static_cast<std::int64_t>(random() % 2'000'000); break;
      case 1: t += static_cast<std::int64_t>(random() % 20'000); break;
      case 2: t += static_cast<std::int64_t>(random() % (std::uint64_t{1} << 40)); break;
      default: t += 15'000;
    }
    ++t;
    switch (random() % 8) {
      case 0: v = from_bits(random()); break;
      case 1: v = stale_marker(); break;
      case 2: v = -v; break;
      case 3: break;
      default: v = std::floor(static_cast<double>(random() % 100'000)) / 100;
    }
    samples.push_back({Timestamp{t}, v});
  }
  return samples;
}

// The worked example of FORMAT.md, "XOR chunk".
const std::vector<Sample> kExample = {
    {Timestamp{1700000000000}, 1.0},  {Timestamp{1700000015000}, 1.0},
    {Timestamp{1700000030000}, 2.5},  {Timestamp{1700000045003}, 2.5},
    {Timestamp{1700000060000}, -0.1}, {Timestamp{1700000083192}, stale_marker()},
};
const std::string kExampleBytes = from_hex(
    "0006 80a0abfef962 3ff0000000000000 9875 309bffd80035ffd60fffef666666666666e1001d8093333333"
    "333330");

TEST(XorChunk, EncodesTheWorkedExampleBitForBit) {
  EXPECT_EQ(encode(kExample), kExampleBytes);
  EXPECT_EQ(decode(kExampleBytes), kExample);
}

TEST(XorChunk, FormatPageShowsTheWorkedExample) {
  std::ifstream page(std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md");
  std::string hex;
  bool in_section = false;
  bool in_block = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) in_section = line == "## XOR chunk";
    if (line.starts_with("```")) {
      in_block = in_section && line == "```hex";
    } else if (in_block) {
      hex += line.substr(0, line.find("   ")) + ' ';
    }
  }
  EXPECT_EQ(from_hex(hex), kExampleBytes);
}

TEST(XorChunk, KeepsEveryBitPattern) {
  expect_round_trip(with_values(
      {0.0, -0.0, 0.0, from_bits(kNormalNanBits), stale_marker(), from_bits(0x7FF8DEADBEEF0001),
       from_bits(0xFFF0000000000001), std::numeric_limits<double>::infinity(),
       -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::denorm_min(),
       from_bits(~0ull), from_bits(0)}));
}

TEST(XorChunk, StoresSixtyFourSignificantBitsAsZero) {
  const std::string chunk =
      encode({{Timestamp{0}, from_bits(0)}, {Timestamp{1}, from_bits(0x8000000000000001)}});
  // 1-byte t0, v0, 1-byte step, then 11 00000 000000 and 64 bits: 13 + 64 = 77 bits, 10 bytes.
  EXPECT_EQ(chunk, from_hex("0002 00 0000000000000000 01 c00400000000000000 08"));
}

TEST(XorChunk, ClampsLeadingZerosToThirtyOne) {
  // 63 leading zeros are stored as 31, so the payload has 33 bits.
  const std::string chunk = encode({{Timestamp{0}, from_bits(0)}, {Timestamp{1}, from_bits(1)}});
  EXPECT_EQ(chunk.size(), 2u + 1 + 8 + 1 + (13 + 33 + 7) / 8);
  EXPECT_EQ(static_cast<unsigned char>(chunk[12]), 0b11'11111'1u);
  EXPECT_EQ(static_cast<unsigned char>(chunk[13]), 0b00001'000u);
}

TEST(XorChunk, ReusesTheWindowWheneverItCan) {
  // A wide window is kept although a narrow one would be cheaper: 1 + 1 + 64 bits for the last.
  const std::string wide = encode({{Timestamp{0}, from_bits(0)},
                                   {Timestamp{1}, from_bits(0x8000000000000001)},
                                   {Timestamp{2}, from_bits(0x8000000000000003)}});
  EXPECT_EQ(wide.size(), 2u + 1 + 8 + 1 + (77 + 1 + 2 + 64 + 7) / 8);
}

TEST(XorChunk, PicksTheTimeCodeByAnAsymmetricRange) {
  struct Case {
    std::int64_t dod;
    unsigned bits;
  };
  for (const auto& [dod, bits] : {Case{0, 1},
                                  {1, 16},
                                  {-1, 16},
                                  {8191, 16},
                                  {8192, 16},
                                  {-8191, 16},
                                  {-8192, 20},
                                  {8193, 20},
                                  {65535, 20},
                                  {65536, 20},
                                  {-65535, 20},
                                  {-65536, 24},
                                  {65537, 24},
                                  {524287, 24},
                                  {524288, 24},
                                  {-524287, 24},
                                  {-524288, 68},
                                  {524289, 68}}) {
    SCOPED_TRACE(dod);
    const std::vector<Sample> samples = at_times({0, 1'000'000, 2'000'000 + dod});
    XorEncoder encoder;
    encoder.append(samples[0]);
    encoder.append(samples[1]);
    const std::uint32_t before = encoder.state().bit_count;
    encoder.append(samples[2]);
    EXPECT_EQ(encoder.state().bit_count - before, bits + 1);
    EXPECT_EQ(decode(as_text(encoder.bytes())), samples);
  }
}

TEST(XorChunk, ReachesFromOneEndOfTimeToTheOther) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  expect_round_trip(at_times({kMin, kMax}));
  expect_round_trip(at_times({kMin, kMin + 1, kMax - 1, kMax}));
  expect_round_trip(at_times({-5, -3, -2, 0, 7}));
}

TEST(XorChunk, HoldsSixtyFiveThousandSamples) {
  std::mt19937_64 random(1);
  expect_round_trip(random_samples(random, kChunkSamplesMax));
}

TEST(XorChunk, AConstantSeriesTakesFortyEightBytes) {
  XorEncoder encoder;
  for (int i = 0; i < 120; ++i) encoder.append({Timestamp{1700000000000 + i * 15'000}, 42});
  EXPECT_EQ(encoder.bytes().size(), 48u);
}

TEST(XorChunk, AnySamplesComeBack) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    expect_round_trip(random_samples(random, 1 + random() % 300));
  }
}

TEST(XorChunk, ARunIsWhatItsSamplesAreOneByOne) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::vector<Sample> samples;
    std::int64_t t = static_cast<std::int64_t>(random() % 1000) - 500;
    double v = 1;
    for (int i = 0; i < 150; ++i) {
      t += 1 + static_cast<std::int64_t>(random() % (random() % 3 == 0 ? 3'000'000 : 15));
      if (random() % 3 != 0) v = random() % 2 == 0 ? v + 1 : std::bit_cast<double>(random());
      samples.push_back({Timestamp{t}, v});
    }
    XorState state;
    std::string chunk(kXorHeaderBytes, '\0');
    const XorLimits limits{samples[140].t.ms, 130, 1000};
    XorTails tails;
    for (std::span<const Sample> rest = samples;;) {
      append_xor_run(state, rest.first(std::min<std::size_t>(rest.size(), 1 + random() % 20)),
                     limits, static_cast<std::byte>(chunk.back()), tails);
      if (tails.count == 0) break;
      chunk.resize(tails.offset);
      chunk += as_text(Bytes(tails.bytes).first(tails.size));
      rest = rest.subspan(tails.count);
    }
    ASSERT_GT(state.sample_count, 40u);
    write_xor_count(std::as_writable_bytes(std::span(chunk)), state.sample_count);
    EXPECT_EQ(chunk, encode({samples.begin(), samples.begin() + state.sample_count}));
    EXPECT_EQ(state.byte_count(), chunk.size());
    const bool is_at_a_limit = state.sample_count == 130 || chunk.size() > 1000;
    EXPECT_TRUE(is_at_a_limit);
    // What is not later stops a run too.
    append_xor_run(state, std::span(samples).first(1), {INT64_MAX, 1000, 1200}, {}, tails);
    EXPECT_EQ(tails.count, 0u);
  }
}

TEST(XorChunk, IsContinuedFromItsBytes) {
  std::mt19937_64 random(7);
  const std::vector<Sample> samples = random_samples(random, 200);
  const std::string whole = encode(samples);
  for (std::size_t cut = 1; cut < samples.size(); cut += 13) {
    std::string chunk =
        encode({samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(cut)});
    XorIterator it(as_bytes(chunk));
    while (it.next()) {
    }
    ASSERT_TRUE(it.status().ok());
    XorState state = it.state();
    for (std::size_t i = cut; i < samples.size(); ++i) {
      const XorTail tail = state.append(samples[i], static_cast<std::byte>(chunk.back()));
      chunk.resize(tail.offset);
      chunk += as_text(Bytes(tail.bytes).first(tail.size));
    }
    write_xor_count(std::as_writable_bytes(std::span(chunk)), state.sample_count);
    EXPECT_EQ(chunk, whole) << cut;
  }
}

TEST(XorChunk, ReadsOnlyTheRangeAndTheCountAskedFor) {
  std::mt19937_64 random(3);
  const std::vector<Sample> samples = random_samples(random, 120);
  const std::string chunk = encode(samples);
  for (std::size_t from = 0; from < samples.size(); from += 7) {
    for (std::size_t to = from; to < samples.size(); to += 11) {
      SampleColumns out;
      out.push_back(Timestamp{-1}, -1);
      ASSERT_TRUE(decode_xor_chunk(as_bytes(chunk), {samples[from].t, samples[to].t}, out).ok());
      ASSERT_EQ(out.size(), 1 + to - from + 1);
      EXPECT_EQ(out.times_ms[0], -1);
      EXPECT_EQ(out.times_ms[1], samples[from].t.ms);
      EXPECT_EQ(out.times_ms.back(), samples[to].t.ms);
    }
    SampleColumns first;
    ASSERT_TRUE(decode_xor_chunk(as_bytes(chunk), {}, first, from).ok());
    EXPECT_EQ(first.size(), from);
  }
}

TEST(XorChunk, ToleratesSurplusBytes) {
  EXPECT_EQ(decode(kExampleBytes + '\0'), kExample);
  EXPECT_EQ(decode(kExampleBytes + std::string(100, '\xff')), kExample);
}

TEST(XorChunk, ReportsWhereItIsDamaged) {
  for (std::size_t size = 0; size < kExampleBytes.size(); ++size) {
    // A copy of its own, so that the sanitizers see a read past the end.
    const std::vector<std::byte> cut(
        as_bytes(kExampleBytes).begin(),
        as_bytes(kExampleBytes).begin() + static_cast<std::ptrdiff_t>(size));
    SampleColumns out;
    const Status status = decode_xor_chunk(cut, {}, out);
    EXPECT_EQ(status.code(), Code::kCorruption) << size;
    EXPECT_NE(status.message().find("bit"), std::string::npos);
    for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out.times_ms[i], kExample[i].t.ms);
  }
  const std::string windowless = from_hex("0002 00 0000000000000000 01 a0 0000000000000000");
  SampleColumns out;
  EXPECT_EQ(decode_xor_chunk(as_bytes(windowless), {}, out).code(), Code::kCorruption);
  const std::string backwards = from_hex("0002 00 0000000000000000 00 00");
  EXPECT_EQ(decode_xor_chunk(as_bytes(backwards), {}, out).code(), Code::kCorruption);
}

}  // namespace
}  // namespace tarsier::tsdb
