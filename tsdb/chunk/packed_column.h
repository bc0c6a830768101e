#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "tsdb/chunk/residual_coder.h"

namespace tarsier::tsdb {

// The codec of sealed blocks: vectors of up to kVectorSamplesMax times or values of one series,
// lossless to the bit (FORMAT.md, "packed column"). Every vector is tried in several ways and says
// which one it is in:
//   numbers  decimals become integers by one power of ten for all (after ALP: A. Afroozeh, L.
//   Kuffo,
//            P. Boncz, "ALP: Adaptive Lossless floating-Point Compression", 2023); what does not
//            come back to the bit is kept beside, or all of them as the integers of their bits;
//   integers less the first, divided by what is common to all, then themselves, their differences,
//            differences of those, or what changed bitwise;
//   residuals packed or range coded (residual_coder.h).
// Encoders append to `out` and never clear it. Decoders are told the count, append nothing beyond
// it and return false on damage, `out` then undefined. Any number of threads.

/// What is weighed against bytes.
enum class ColumnProfile : unsigned char {
  kPacked,   ///< For data that is read often: about a nanosecond a sample.
  kSmallest  ///< For old data: range coded where that is smaller.
};

/// REQUIRES: 1 to kVectorSamplesMax numbers.
void encode_integers(std::span<const std::int64_t> numbers, ColumnProfile profile,
                     std::string& out);
/// REQUIRES: as above.
bool decode_integers(ByteReader& in, std::span<std::int64_t> out);

/// REQUIRES: as above. NaNs of every kind, infinities and negative zeros are values like others.
void encode_values(std::span<const double> values, ColumnProfile profile, std::string& out);
bool decode_values(ByteReader& in, std::span<double> out);

}  // namespace tarsier::tsdb
