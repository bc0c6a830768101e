#include "tsdb/chunk/residual_coder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

static_assert(std::endian::native == std::endian::little, "bits are loaded as words");

/// Words are loaded whole, so what they come from is padded with this much.
constexpr std::size_t kPaddingBytes = 16;

std::uint64_t load_word(const std::byte* p) {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
std::uint64_t mask_of(unsigned width) {
  return width == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1;
}

/// Appends bits, the least significant first.
class LowBitWriter final {
 public:
  explicit LowBitWriter(std::string& out) : out_(out) {}
  /// REQUIRES: v < 2^count, count <= 64.
  void put(std::uint64_t v, unsigned count) {
    if (count > 32) {
      put(v & 0xFFFFFFFFu, 32);
      v >>= 32;
      count -= 32;
    }
    pending_ |= v << filled_;
    filled_ += count;
    while (filled_ >= 8) {
      out_.push_back(static_cast<char>(pending_ & 0xff));
      pending_ >>= 8;
      filled_ -= 8;
    }
  }
  void finish() {
    if (filled_ > 0) out_.push_back(static_cast<char>(pending_ & 0xff));
    pending_ = 0;
    filled_ = 0;
  }

 private:
  std::string& out_;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

/// `count` numbers of `width` bits from padded bytes.
void unpack(const std::byte* from, unsigned width, std::span<std::uint64_t> out) {
  if (width == 0) {
    std::fill(out.begin(), out.end(), 0);
    return;
  }
  const std::uint64_t mask = mask_of(width);
  std::size_t bit = 0;
  if (width <= 57) {  // Together with the 7 bits before it, in one word.
    for (std::uint64_t& v : out) {
      v = load_word(from + bit / 8) >> (bit % 8) & mask;
      bit += width;
    }
    return;
  }
  for (std::uint64_t& v : out) {
    const unsigned shift = bit % 8;
    const std::uint64_t low = load_word(from + bit / 8) >> shift;
    const auto next = static_cast<std::uint64_t>(from[bit / 8 + 8]);
    v = (shift == 0 ? low : low | next << (64 - shift)) & mask;
    bit += width;
  }
}

struct Width {
  unsigned bits = 0;
  std::size_t bytes = 0;
};

unsigned width_of(std::uint64_t v) { return static_cast<unsigned>(std::bit_width(v)); }

/// The width that costs least, from how many numbers have which.
Width cheapest_width(const std::array<std::uint32_t, 65>& counts, std::size_t count) {
  Width best{64, SIZE_MAX};
  for (unsigned bits = 0; bits <= 64; ++bits) {
    std::size_t bytes = 2 + (count * bits + 7) / 8;
    for (unsigned wider = bits + 1; wider <= 64; ++wider) {
      bytes += counts[wider] * (1 + (wider - bits + 6) / 7);
    }
    if (bytes < best.bytes) best = {bits, bytes};
  }
  return best;
}

std::array<std::uint32_t, 65> count_widths(std::span<const std::uint64_t> residuals) {
  std::array<std::uint32_t, 65> counts{};
  for (const std::uint64_t v : residuals) ++counts[width_of(v)];
  return counts;
}

// Tokens: numbers below 16 are themselves; above, the width and the bit below the highest.

constexpr unsigned kLiteralTokens = 16;
constexpr unsigned kLiteralWidth = 4;
constexpr std::size_t kTokenCount = kLiteralTokens + 2 * (64 - kLiteralWidth);

unsigned token_of(std::uint64_t v) {
  if (v < kLiteralTokens) return static_cast<unsigned>(v);
  const unsigned top = width_of(v) - 1;
  return kLiteralTokens + (top - kLiteralWidth) * 2 + static_cast<unsigned>(v >> (top - 1) & 1);
}
constexpr unsigned extra_bits_of(unsigned token) {
  return token < kLiteralTokens ? 0 : (token - kLiteralTokens) / 2 + kLiteralWidth - 1;
}
constexpr std::uint64_t base_of(unsigned token) {
  if (token < kLiteralTokens) return token;
  return std::uint64_t{2 + (token & 1)} << extra_bits_of(token);
}

using Counts = std::array<std::uint32_t, kTokenCount>;

constexpr unsigned kScaleBits = 10;
constexpr std::uint32_t kScale = 1u << kScaleBits;
/// States stay in [kStateMin, kStateMin << 16).
constexpr std::uint32_t kStateMin = 1u << 16;
/// Short vectors have one state: its four bytes count.
constexpr std::size_t kTwoStatesFrom = 512;

/// Frequencies that add up to kScale, none of a used token 0.
Counts scaled(const Counts& counts, std::size_t total) {
  Counts frequencies{};
  std::uint32_t sum = 0;
  for (std::size_t token = 0; token < kTokenCount; ++token) {
    if (counts[token] == 0) continue;
    const std::uint64_t exact = std::uint64_t{counts[token]} * kScale;
    frequencies[token] =
        std::max<std::uint32_t>(1, static_cast<std::uint32_t>((exact + total / 2) / total));
    sum += frequencies[token];
  }
  // What rounding left over or took too much goes where it hurts least: the greatest.
  while (sum != kScale) {
    auto greatest = std::max_element(frequencies.begin(), frequencies.end());
    if (sum < kScale) {
      *greatest += kScale - sum;
      sum = kScale;
    } else {
      const std::uint32_t step = std::min(sum - kScale, std::max(1u, *greatest / 8));
      *greatest -= step;
      sum -= step;
    }
  }
  return frequencies;
}

/// Elias gamma of v + 1.
void put_gamma(LowBitWriter& out, std::uint32_t v) {
  const unsigned top = width_of(v + 1) - 1;
  out.put(std::uint64_t{1} << top, top + 1);
  if (top > 0) out.put((v + 1) & mask_of(top), top);
}

}  // namespace

ResidualCost estimate_residuals(std::span<const std::uint64_t> residuals) {
  std::array<std::uint32_t, 65> widths{};
  Counts tokens{};
  std::uint64_t extra_bits = 0;
  for (const std::uint64_t v : residuals) {
    ++widths[width_of(v)];
    const unsigned token = token_of(v);
    ++tokens[token];
    extra_bits += extra_bits_of(token);
  }
  ResidualCost cost;
  cost.packed_bytes = cheapest_width(widths, residuals.size()).bytes;
  const auto total = static_cast<double>(residuals.size());
  double bits = 0;
  std::size_t header_bits = 0;
  std::size_t last = 0;
  for (std::size_t token = 0; token < kTokenCount; ++token) {
    if (tokens[token] == 0) continue;
    const auto count = static_cast<double>(tokens[token]);
    bits += count * std::log2(total / count);
    header_bits += 2 * width_of(static_cast<std::uint64_t>(count * kScale / total));
    header_bits += token - last;
    last = token;
  }
  cost.ranged_bytes = 4 + static_cast<std::size_t>(bits + static_cast<double>(extra_bits)) / 8 +
                      header_bits / 8 + (residuals.size() < kTwoStatesFrom ? 4 : 8);
  return cost;
}

void encode_packed(std::span<const std::uint64_t> residuals, std::string& out) {
  CHECK(residuals.size() <= kVectorSamplesMax);
  const unsigned width = cheapest_width(count_widths(residuals), residuals.size()).bits;
  put_u8(out, static_cast<std::uint8_t>(width));
  const std::uint64_t mask = mask_of(width);
  const auto is_patched = [&](std::uint64_t v) { return (v & ~mask) != 0; };
  put_uvarint(out, static_cast<std::uint64_t>(
                       std::count_if(residuals.begin(), residuals.end(), is_patched)));
  std::size_t next = 0;
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    if (!is_patched(residuals[i])) continue;
    put_uvarint(out, i - next);
    put_uvarint(out, residuals[i] >> width);
    next = i + 1;
  }
  LowBitWriter bits(out);
  for (const std::uint64_t v : residuals) bits.put(v & mask, width);
  bits.finish();
}

bool decode_packed(ByteReader& in, std::span<std::uint64_t> out) {
  CHECK(out.size() <= kVectorSamplesMax);
  const unsigned width = in.u8();
  const std::uint64_t patch_count = in.uvarint();
  if (!in.ok() || width > 64 || patch_count > out.size()) return false;
  std::array<std::pair<std::uint32_t, std::uint64_t>, kVectorSamplesMax> patches;
  std::uint64_t position = 0;
  for (std::uint64_t i = 0; i < patch_count; ++i) {
    const std::uint64_t gap = in.uvarint();
    const std::uint64_t high = in.uvarint();
    if (gap >= out.size() || position + gap >= out.size() || width >= 64) return false;
    position += gap;
    patches[i] = {static_cast<std::uint32_t>(position), high << width};
    ++position;
  }
  const std::size_t bytes = (out.size() * width + 7) / 8;
  const Bytes packed = in.take(bytes);
  if (!in.ok()) return false;
  if (in.remaining() >= kPaddingBytes) {
    unpack(packed.data(), width, out);
  } else {
    std::array<std::byte, kVectorSamplesMax * 8 + kPaddingBytes> padded;
    if (bytes > 0) std::memcpy(padded.data(), packed.data(), bytes);
    std::fill_n(padded.begin() + static_cast<std::ptrdiff_t>(bytes), kPaddingBytes, std::byte{0});
    unpack(padded.data(), width, out);
  }
  for (std::uint64_t i = 0; i < patch_count; ++i) out[patches[i].first] |= patches[i].second;
  return true;
}

void encode_ranged(std::span<const std::uint64_t> residuals, std::string& out) {
  CHECK(!residuals.empty() && residuals.size() <= kVectorSamplesMax);
  Counts counts{};
  unsigned last_token = 0;
  for (const std::uint64_t v : residuals) {
    const unsigned token = token_of(v);
    ++counts[token];
    last_token = std::max(last_token, token);
  }
  const Counts frequencies = scaled(counts, residuals.size());
  Counts starts{};
  std::uint32_t start = 0;
  for (std::size_t token = 0; token < kTokenCount; ++token) {
    starts[token] = start;
    start += frequencies[token];
  }
  put_u8(out, static_cast<std::uint8_t>(last_token));
  LowBitWriter bits(out);
  for (unsigned token = 0; token <= last_token; ++token) put_gamma(bits, frequencies[token]);
  bits.finish();

  // Backwards, so that the decoder goes forwards.
  const bool has_two = residuals.size() >= kTwoStatesFrom;
  std::array<std::uint32_t, 2> states{kStateMin, kStateMin};
  std::vector<std::uint16_t> words;
  for (std::size_t i = residuals.size(); i-- > 0;) {
    const unsigned token = token_of(residuals[i]);
    std::uint32_t& state = states[has_two ? i % 2 : 0];
    const std::uint32_t frequency = frequencies[token];
    if (frequency == kScale) continue;  // The only one: costs nothing.
    if (state >= frequency << (32 - kScaleBits)) {
      words.push_back(static_cast<std::uint16_t>(state & 0xffff));
      state >>= 16;
    }
    state = ((state / frequency) << kScaleBits) + state % frequency + starts[token];
  }
  put_uvarint(out, words.size());
  for (std::size_t s = 0; s < (has_two ? 2u : 1u); ++s) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      put_u8(out, static_cast<std::uint8_t>(states[s] >> shift));
    }
  }
  for (std::size_t w = words.size(); w-- > 0;) {
    put_u8(out, static_cast<std::uint8_t>(words[w]));
    put_u8(out, static_cast<std::uint8_t>(words[w] >> 8));
  }
  for (const std::uint64_t v : residuals) {
    const unsigned width = extra_bits_of(token_of(v));
    if (width > 0) bits.put(v & mask_of(width), width);
  }
  bits.finish();
}

namespace {

/// What a decoder looks up. Tokens by slot, everything else by token.
struct RangedTable {
  struct Entry {
    std::uint64_t base;
    std::uint16_t frequency;
    std::uint16_t start;
    std::uint8_t extra_bits;
  };
  std::array<std::uint8_t, kScale> tokens;
  std::array<Entry, kTokenCount> entries;
};

/// Reads the frequencies. False if they do not add up.
bool read_table(ByteReader& in, RangedTable& table) {
  const unsigned last_token = in.u8();
  if (!in.ok() || last_token >= kTokenCount) return false;
  std::uint32_t sum = 0;
  std::uint64_t pending = 0;
  unsigned filled = 0;
  const auto bit = [&] {
    if (filled == 0) {
      pending = in.u8();
      filled = 8;
    }
    const std::uint32_t b = pending & 1;
    pending >>= 1;
    --filled;
    return b;
  };
  for (unsigned token = 0; token <= last_token; ++token) {
    unsigned top = 0;
    while (bit() == 0) {
      if (++top > kScaleBits || !in.ok()) return false;
    }
    std::uint32_t v = 1u << top;
    for (unsigned b = 0; b < top; ++b) v |= bit() << b;
    const std::uint32_t frequency = v - 1;
    if (!in.ok() || sum + frequency > kScale) return false;
    std::memset(table.tokens.data() + sum, static_cast<int>(token), frequency);
    table.entries[token] = {base_of(token), static_cast<std::uint16_t>(frequency),
                            static_cast<std::uint16_t>(sum),
                            static_cast<std::uint8_t>(extra_bits_of(token))};
    sum += frequency;
  }
  return sum == kScale;
}

/// `size` bytes of input that may be read a word at a time.
struct PaddedInput {
  const std::byte* p;
  std::size_t size;
};

/// Copies what a decoder may read beyond if too little follows it.
PaddedInput pad(Bytes bytes, std::size_t following, std::string& copy) {
  if (following >= kPaddingBytes) return {bytes.data(), bytes.size()};
  copy.assign(as_text(bytes));
  copy.append(kPaddingBytes, '\0');
  return {as_bytes(copy).data(), bytes.size()};
}

template <int kStates>
void decode_tokens(const RangedTable& table, std::array<std::uint32_t, 2> states,
                   const std::byte* word, const std::byte* words_end,
                   std::span<std::uint8_t> tokens) {
  const auto step = [&](std::uint32_t& state, std::uint8_t& token) {
    const std::uint32_t slot = state & (kScale - 1);
    token = table.tokens[slot];
    const RangedTable::Entry& entry = table.entries[token];
    state = entry.frequency * (state >> kScaleBits) + slot - entry.start;
    std::uint16_t next;
    std::memcpy(&next, word, sizeof next);
    // Without a branch: whether a word is taken cannot be foreseen.
    const bool takes = state < kStateMin && word < words_end;
    state = takes ? state << 16 | next : state;
    word += takes ? sizeof next : 0;
  };
  std::size_t i = 0;
  if constexpr (kStates == 2) {
    for (; i + 2 <= tokens.size(); i += 2) {
      step(states[0], tokens[i]);
      step(states[1], tokens[i + 1]);
    }
  }
  for (; i < tokens.size(); ++i) step(states[0], tokens[i]);
}

}  // namespace

bool decode_ranged(ByteReader& in, std::span<std::uint64_t> out) {
  CHECK(!out.empty() && out.size() <= kVectorSamplesMax);
  RangedTable table;
  if (!read_table(in, table)) return false;
  const std::uint64_t word_count = in.uvarint();
  const bool has_two = out.size() >= kTwoStatesFrom;
  std::array<std::uint32_t, 2> states{};
  for (std::size_t s = 0; s < (has_two ? 2u : 1u); ++s) {
    states[s] = __builtin_bswap32(in.be32());
  }
  if (!in.ok() || word_count > out.size()) return false;
  const Bytes words = in.take(word_count * 2);
  if (!in.ok()) return false;
  std::array<std::uint8_t, kVectorSamplesMax> token_room;
  const std::span<std::uint8_t> tokens = std::span(token_room).first(out.size());
  std::string word_copy;
  const PaddedInput padded_words = pad(words, in.remaining(), word_copy);
  const std::byte* const words_end = padded_words.p + padded_words.size;
  if (has_two) {
    decode_tokens<2>(table, states, padded_words.p, words_end, tokens);
  } else {
    decode_tokens<1>(table, states, padded_words.p, words_end, tokens);
  }
  std::size_t extra_bits = 0;
  for (const std::uint8_t token : tokens) extra_bits += table.entries[token].extra_bits;
  const Bytes extra = in.take((extra_bits + 7) / 8);
  if (!in.ok()) return false;
  if (extra_bits == 0) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = table.entries[tokens[i]].base;
    return true;
  }
  std::string extra_copy;
  const PaddedInput padded = pad(extra, in.remaining(), extra_copy);
  std::size_t bit = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const RangedTable::Entry& entry = table.entries[tokens[i]];
    const unsigned width = entry.extra_bits;
    const std::byte* const p = padded.p + bit / 8;
    std::uint64_t word = load_word(p) >> (bit % 8);
    if (width > 57) [[unlikely]] {
      const auto next = static_cast<std::uint64_t>(p[8]);
      word = bit % 8 == 0 ? word : word | next << (64 - bit % 8);
    }
    out[i] = entry.base + (word & mask_of(width));
    bit += width;
  }
  return true;
}

}  // namespace tarsier::tsdb
