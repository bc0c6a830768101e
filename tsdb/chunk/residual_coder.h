#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"

namespace tarsier::tsdb {

/// How many samples a vector of a sealed block holds at most: what both coders below are made for.
inline constexpr std::size_t kVectorSamplesMax = 1024;

// Two ways to write small unsigned numbers, the residuals of a packed column (FORMAT.md, "packed
// column"). Both append, take at most kVectorSamplesMax numbers, and are told how many there are
// when decoding; a decoder that meets damage returns false and leaves `out` undefined.

/// What encoding would take, without doing it.
struct ResidualCost {
  std::size_t packed_bytes = 0;
  std::size_t ranged_bytes = 0;
};
ResidualCost estimate_residuals(std::span<const std::uint64_t> residuals);

/// One width for all, chosen so that few are wider; those are patched. Decodes at memory speed.
void encode_packed(std::span<const std::uint64_t> residuals, std::string& out);
bool decode_packed(ByteReader& in, std::span<std::uint64_t> out);

/// Range coding (two interleaved states of rANS; J. Duda, "Asymmetric numeral systems", 2013) of
/// the numbers' magnitudes under the vector's own frequencies, the lower bits as they are. What old
/// data is kept in: a quarter smaller, a few times slower.
void encode_ranged(std::span<const std::uint64_t> residuals, std::string& out);
bool decode_ranged(ByteReader& in, std::span<std::uint64_t> out);

}  // namespace tarsier::tsdb
