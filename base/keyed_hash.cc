#include "base/keyed_hash.h"

#include <cstddef>
#include <cstring>

#include <immintrin.h>
#include <unistd.h>

#include "base/check.h"

// The state is sixteen 64-bit lanes: v0, v1 (mixed every step) and mul0, mul1 (fed by 32x32-bit
// multiplications), four lanes each. A step takes 32 bytes. Lanes 0-1 and 2-3 never mix within a
// step, so the baseline keeps each vector as two independent 128-bit halves, and AVX2 as one.

namespace tarsier {
namespace {

constexpr std::size_t kPacketBytes = 32;
constexpr int kFinalRounds = 6;  // The number the 128-bit variant prescribes.

alignas(32) constexpr std::uint64_t kInitialMul0[4] = {0xdbe6d5d5fe4cce2f, 0xa4093822299f31d0,
                                                       0x13198a2e03707344, 0x243f6a8885a308d3};
alignas(32) constexpr std::uint64_t kInitialMul1[4] = {0x3bd39e10cb0ef593, 0xc0acf169b5f18a8c,
                                                       0xbe5466cf34e90c6c, 0x452821e638d01377};

// The byte order of the "zipper merge" within 128 bits, and the halves of a 64-bit lane swapped.
constexpr long long kZipperLow = 0x000F010E05020C03;
constexpr long long kZipperHigh = 0x070806090D0A040B;
constexpr int kSwapHalves = 0xB1;

/// The last `size` < 32 bytes, laid out so that inputs of different lengths never look alike.
void make_last_packet(const char* bytes, std::size_t size, char* packet) {
  std::memset(packet, 0, kPacketBytes);
  const std::size_t odd = size & 3;
  const std::size_t whole = size - odd;
  if (whole != 0) std::memcpy(packet, bytes, whole);
  if ((size & 16) != 0) {
    std::memcpy(packet + 28, bytes + size - 4, 4);
  } else if (odd != 0) {
    packet[16] = bytes[whole];
    packet[17] = bytes[whole + (odd >> 1)];
    packet[18] = bytes[size - 1];
  }
}

struct HalfState {
  __m128i v0, v1, mul0, mul1;
};

inline __m128i load_half(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

inline HalfState start_half(const HashKey& key, std::size_t lane) {
  const __m128i k = load_half(key.words.data() + lane);
  HalfState s;
  s.mul0 = load_half(kInitialMul0 + lane);
  s.mul1 = load_half(kInitialMul1 + lane);
  s.v0 = _mm_xor_si128(s.mul0, k);
  s.v1 = _mm_xor_si128(s.mul1, _mm_shuffle_epi32(k, kSwapHalves));
  return s;
}

inline void step_half(HalfState& s, __m128i packet) {
  const __m128i zipper = _mm_set_epi64x(kZipperHigh, kZipperLow);
  s.v1 = _mm_add_epi64(s.v1, _mm_add_epi64(s.mul0, packet));
  s.mul0 = _mm_xor_si128(s.mul0, _mm_mul_epu32(s.v1, _mm_srli_epi64(s.v0, 32)));
  s.v0 = _mm_add_epi64(s.v0, s.mul1);
  s.mul1 = _mm_xor_si128(s.mul1, _mm_mul_epu32(s.v0, _mm_srli_epi64(s.v1, 32)));
  s.v0 = _mm_add_epi64(s.v0, _mm_shuffle_epi8(s.v1, zipper));
  s.v1 = _mm_add_epi64(s.v1, _mm_shuffle_epi8(s.v0, zipper));
}

inline void mix_size_half(HalfState& s, std::size_t size) {
  const int n = static_cast<int>(size);
  s.v0 = _mm_add_epi64(s.v0, _mm_set1_epi32(n));
  s.v1 = _mm_or_si128(_mm_sll_epi32(s.v1, _mm_cvtsi32_si128(n)),
                      _mm_srl_epi32(s.v1, _mm_cvtsi32_si128(32 - n)));
}

Hash128 hash_baseline(const HashKey& key, std::string_view bytes) {
  HalfState low = start_half(key, 0);
  HalfState high = start_half(key, 2);
  const char* p = bytes.data();
  std::size_t rest = bytes.size();
  for (; rest >= kPacketBytes; rest -= kPacketBytes, p += kPacketBytes) {
    step_half(low, load_half(p));
    step_half(high, load_half(p + 16));
  }
  if (rest != 0) {
    alignas(16) char packet[kPacketBytes];
    make_last_packet(p, rest, packet);
    mix_size_half(low, rest);
    mix_size_half(high, rest);
    step_half(low, load_half(packet));
    step_half(high, load_half(packet + 16));
  }
  for (int round = 0; round < kFinalRounds; ++round) {
    const __m128i to_low = _mm_shuffle_epi32(high.v0, kSwapHalves);
    const __m128i to_high = _mm_shuffle_epi32(low.v0, kSwapHalves);
    step_half(low, to_low);
    step_half(high, to_high);
  }
  const __m128i sum =
      _mm_add_epi64(_mm_add_epi64(low.v0, low.mul0), _mm_add_epi64(high.v1, high.mul1));
  Hash128 out;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&out), sum);
  return out;
}

void hash_two_baseline(const HashKey& key, std::string_view a, std::string_view b, Hash128* out) {
  out[0] = hash_baseline(key, a);  // Two states do not fit the sixteen 128-bit registers.
  out[1] = hash_baseline(key, b);
}

// AVX2 below. The attribute sits on every function: a lambda or template would not inherit it.
#define TARSIER_AVX2 __attribute__((target("avx2")))
#define TARSIER_AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

struct WideState {
  __m256i v0, v1, mul0, mul1;
};

TARSIER_AVX2_INLINE __m256i load_wide(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

TARSIER_AVX2_INLINE void start_wide(WideState& s, const HashKey& key) {
  const __m256i k = load_wide(key.words.data());
  s.mul0 = load_wide(kInitialMul0);
  s.mul1 = load_wide(kInitialMul1);
  s.v0 = _mm256_xor_si256(s.mul0, k);
  s.v1 = _mm256_xor_si256(s.mul1, _mm256_shuffle_epi32(k, kSwapHalves));
}

TARSIER_AVX2_INLINE void step_wide(WideState& s, __m256i packet) {
  const __m256i zipper = _mm256_set_epi64x(kZipperHigh, kZipperLow, kZipperHigh, kZipperLow);
  s.v1 = _mm256_add_epi64(s.v1, _mm256_add_epi64(s.mul0, packet));
  s.mul0 = _mm256_xor_si256(s.mul0, _mm256_mul_epu32(s.v1, _mm256_srli_epi64(s.v0, 32)));
  s.v0 = _mm256_add_epi64(s.v0, s.mul1);
  s.mul1 = _mm256_xor_si256(s.mul1, _mm256_mul_epu32(s.v0, _mm256_srli_epi64(s.v1, 32)));
  s.v0 = _mm256_add_epi64(s.v0, _mm256_shuffle_epi8(s.v1, zipper));
  s.v1 = _mm256_add_epi64(s.v1, _mm256_shuffle_epi8(s.v0, zipper));
}

TARSIER_AVX2_INLINE void last_step_wide(WideState& s, const char* p, std::size_t size) {
  if (size == 0) return;
  alignas(32) char packet[kPacketBytes];
  make_last_packet(p, size, packet);
  const int n = static_cast<int>(size);
  s.v0 = _mm256_add_epi64(s.v0, _mm256_set1_epi32(n));
  s.v1 = _mm256_or_si256(_mm256_sll_epi32(s.v1, _mm_cvtsi32_si128(n)),
                         _mm256_srl_epi32(s.v1, _mm_cvtsi32_si128(32 - n)));
  step_wide(s, load_wide(packet));
}

TARSIER_AVX2_INLINE void final_step_wide(WideState& s) {
  const __m256i swapped = _mm256_permute4x64_epi64(s.v0, 0x4E);
  step_wide(s, _mm256_shuffle_epi32(swapped, kSwapHalves));
}

TARSIER_AVX2_INLINE void finish_wide(const WideState& s, Hash128* out) {
  const __m256i low = _mm256_add_epi64(s.v0, s.mul0);
  const __m256i high = _mm256_add_epi64(s.v1, s.mul1);
  const __m128i sum = _mm_add_epi64(_mm256_castsi256_si128(low), _mm256_extracti128_si256(high, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sum);
}

TARSIER_AVX2 Hash128 hash_avx2(const HashKey& key, std::string_view bytes) {
  WideState s;
  start_wide(s, key);
  const char* p = bytes.data();
  std::size_t rest = bytes.size();
  for (; rest >= kPacketBytes; rest -= kPacketBytes, p += kPacketBytes) step_wide(s, load_wide(p));
  last_step_wide(s, p, rest);
  for (int round = 0; round < kFinalRounds; ++round) final_step_wide(s);
  Hash128 out;
  finish_wide(s, &out);
  return out;
}

TARSIER_AVX2 void hash_two_avx2(const HashKey& key, std::string_view a, std::string_view b,
                                Hash128* out) {
  WideState s;
  WideState t;
  start_wide(s, key);
  start_wide(t, key);
  const char* p = a.data();
  const char* q = b.data();
  std::size_t p_rest = a.size();
  std::size_t q_rest = b.size();
  while (p_rest >= kPacketBytes && q_rest >= kPacketBytes) {
    step_wide(s, load_wide(p));
    step_wide(t, load_wide(q));
    p += kPacketBytes;
    q += kPacketBytes;
    p_rest -= kPacketBytes;
    q_rest -= kPacketBytes;
  }
  for (; p_rest >= kPacketBytes; p_rest -= kPacketBytes, p += kPacketBytes)
    step_wide(s, load_wide(p));
  for (; q_rest >= kPacketBytes; q_rest -= kPacketBytes, q += kPacketBytes)
    step_wide(t, load_wide(q));
  last_step_wide(s, p, p_rest);
  last_step_wide(t, q, q_rest);
  for (int round = 0; round < kFinalRounds; ++round) {
    final_step_wide(s);
    final_step_wide(t);
  }
  finish_wide(s, out);
  finish_wide(t, out + 1);
}

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}

}  // namespace

HashKey draw_hash_key() {
  HashKey key;
  // Only an old kernel without the call or a request above 256 bytes can make it fail.
  CHECK(::getentropy(key.words.data(), sizeof key.words) == 0);
  return key;
}

KeyedHash::KeyedHash(const HashKey& key, Path path) : key_(key) {
  const bool wide = path == Path::kFastest && has_avx2();
  one_ = wide ? hash_avx2 : hash_baseline;
  two_ = wide ? hash_two_avx2 : hash_two_baseline;
}

void KeyedHash::hash_batch(std::span<const std::string_view> inputs,
                           std::span<Hash128> hashes) const {
  CHECK(inputs.size() == hashes.size());
  std::size_t i = 0;
  for (; i + 2 <= inputs.size(); i += 2) two_(key_, inputs[i], inputs[i + 1], &hashes[i]);
  if (i < inputs.size()) hashes[i] = one_(key_, inputs[i]);
}

}  // namespace tarsier
