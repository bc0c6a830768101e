#include "tsdb/chunk/packed_column.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "base/check.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {
namespace {

// Stored: never renumber.
enum Transform : std::uint8_t {
  kConstant = 0,
  kFrame = 1,
  kDelta = 2,
  kDeltaOfDelta = 3,
  kXor = 4,
};
constexpr std::uint8_t kTransformMask = 7;
constexpr std::uint8_t kZigzagFlag = 8;  // Residuals are signed, around the base; else above it.
constexpr std::uint8_t kRangedFlag = 16;
constexpr std::uint8_t kFactorFlag = 32;
constexpr std::uint8_t kIntegerFlags = 63;

/// Arithmetic is modulo 2^64: it goes back the way it came, whatever it meets.
std::int64_t add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t subtract(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t multiply(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}
std::uint64_t magnitude(std::int64_t v) {
  return v < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
}

/// The greatest number that divides every difference to the first; 0 if there is none, 1 also if it
/// would not fit.
std::uint64_t common_factor(std::span<const std::int64_t> numbers) {
  std::uint64_t factor = 0;
  for (const std::int64_t v : numbers) {
    const std::uint64_t distance = magnitude(subtract(v, numbers.front()));
    if (factor == 0) {
      factor = distance;
    } else if (distance % factor != 0) {
      factor = std::gcd(distance, factor);
    }
    if (factor == 1) return 1;
  }
  return factor > static_cast<std::uint64_t>(INT64_MAX) ? 1 : factor;
}

/// One way to write the integers, and what it takes.
struct Trial {
  std::uint8_t tag = 0;
  std::int64_t base = 0;
  std::int64_t first_delta = 0;
  std::size_t bytes = SIZE_MAX;
  std::vector<std::uint64_t> residuals;
};

void consider(Trial&& trial, ColumnProfile profile, Trial& best) {
  const ResidualCost cost = estimate_residuals(trial.residuals);
  trial.bytes = cost.packed_bytes;
  if (profile == ColumnProfile::kSmallest && !trial.residuals.empty() &&
      cost.ranged_bytes < cost.packed_bytes) {
    trial.bytes = cost.ranged_bytes;
    trial.tag |= kRangedFlag;
  }
  if (trial.bytes < best.bytes) best = std::move(trial);
}

/// Tries `differences` both as distances above the least and as signed ones around the middle.
void consider_both(std::span<const std::int64_t> differences, Transform transform,
                   std::int64_t first_delta, ColumnProfile profile, Trial& best) {
  std::vector<std::int64_t> sorted(differences.begin(), differences.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  if (!sorted.empty()) std::nth_element(sorted.begin(), middle, sorted.end());
  const std::int64_t median = sorted.empty() ? 0 : *middle;
  const std::int64_t least =
      sorted.empty() ? 0 : *std::min_element(differences.begin(), differences.end());
  for (const bool is_signed : {false, true}) {
    Trial trial;
    trial.tag = static_cast<std::uint8_t>(transform | (is_signed ? kZigzagFlag : 0));
    trial.first_delta = first_delta;
    trial.base = is_signed ? median : least;
    trial.residuals.reserve(differences.size());
    for (const std::int64_t d : differences) {
      const std::int64_t distance = subtract(d, trial.base);
      trial.residuals.push_back(is_signed ? zigzag(distance)
                                          : static_cast<std::uint64_t>(distance));
    }
    consider(std::move(trial), profile, best);
  }
}

std::vector<std::int64_t> differences_of(std::span<const std::int64_t> numbers) {
  std::vector<std::int64_t> out;
  out.reserve(numbers.size());
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    out.push_back(subtract(numbers[i], numbers[i - 1]));
  }
  return out;
}

Trial best_trial(std::span<const std::int64_t> numbers, ColumnProfile profile) {
  Trial best;
  consider_both(numbers, kFrame, 0, profile, best);
  const std::vector<std::int64_t> deltas = differences_of(numbers);
  consider_both(deltas, kDelta, 0, profile, best);
  consider_both(differences_of(deltas), kDeltaOfDelta, deltas.front(), profile, best);
  Trial trial;
  trial.tag = kXor;
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    trial.residuals.push_back(static_cast<std::uint64_t>(numbers[i] ^ numbers[i - 1]));
  }
  consider(std::move(trial), profile, best);
  return best;
}

// Decoding, a pass each over at most 8 KiB.

void undo_signs(std::span<std::uint64_t> residuals) {
  for (std::uint64_t& r : residuals) r = static_cast<std::uint64_t>(unzigzag(r));
}
void undo_delta(std::span<const std::uint64_t> residuals, std::uint64_t base,
                std::span<std::int64_t> out) {
  std::uint64_t v = 0;
  out[0] = 0;
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    v += residuals[i] + base;
    out[i + 1] = static_cast<std::int64_t>(v);
  }
}
void undo_delta_of_delta(std::span<const std::uint64_t> residuals, std::uint64_t base,
                         std::uint64_t first_delta, std::span<std::int64_t> out) {
  std::uint64_t delta = first_delta;
  std::uint64_t v = first_delta;
  out[0] = 0;
  out[1] = static_cast<std::int64_t>(v);
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    delta += residuals[i] + base;
    v += delta;
    out[i + 2] = static_cast<std::int64_t>(v);
  }
}
void undo_xor(std::span<const std::uint64_t> residuals, std::span<std::int64_t> out) {
  std::uint64_t v = 0;
  out[0] = 0;
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    v ^= residuals[i];
    out[i + 1] = static_cast<std::int64_t>(v);
  }
}

// Numbers.

constexpr std::uint8_t kBitsFlag = 1;  // Integers are bit patterns; else decimals.
constexpr std::uint8_t kExceptionsFlag = 2;
constexpr unsigned kExponentShift = 2;
/// Powers of ten up to here are exact, so one division gives what reading the decimal would.
constexpr unsigned kExponentMax = 22;
constexpr std::array<double, kExponentMax + 1> kPowersOfTen = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr double kExactIntegerMax = 9007199254740992.0;  // 2^53
/// Longer decimals do not occur in what programs print with 17 digits and mean.
constexpr unsigned kExponentTriedMax = 17;

std::optional<std::int64_t> as_decimal(double v, unsigned exponent) {
  const double scaled = v * kPowersOfTen[exponent];
  if (!(std::fabs(scaled) < kExactIntegerMax)) return std::nullopt;  // NaN too.
  const auto integer = static_cast<std::int64_t>(std::nearbyint(scaled));
  const double back = static_cast<double>(integer) / kPowersOfTen[exponent];
  if (std::bit_cast<std::uint64_t>(back) != std::bit_cast<std::uint64_t>(v)) return std::nullopt;
  return integer;
}

/// Bits as integers in the order of the numbers.
std::int64_t ordered_bits(double v) {
  const auto bits = std::bit_cast<std::int64_t>(v);
  return bits ^ ((bits >> 63) & INT64_MAX);
}
double from_ordered_bits(std::int64_t v) {
  return std::bit_cast<double>(v ^ ((v >> 63) & INT64_MAX));
}

/// The least exponent all of some values have, or as many as can be had.
unsigned guess_exponent(std::span<const double> values) {
  constexpr std::size_t kTried = 32;
  const std::size_t stride = std::max<std::size_t>(1, values.size() / kTried);
  unsigned exponent = 0;
  for (std::size_t i = 0; i < values.size(); i += stride) {
    if (!std::isfinite(values[i]) || as_decimal(values[i], exponent)) continue;
    for (unsigned e = exponent + 1; e <= kExponentTriedMax; ++e) {
      if (!as_decimal(values[i], e)) continue;
      exponent = e;
      break;
    }
  }
  return exponent;
}

struct Decimals {
  unsigned exponent = 0;
  std::vector<std::int64_t> integers;
  std::vector<std::size_t> exceptions;  // Positions that did not come back.
};

/// Exceptions repeat their predecessor: that costs least.
Decimals as_decimals(std::span<const double> values, unsigned exponent) {
  Decimals out;
  out.exponent = exponent;
  out.integers.reserve(values.size());
  bool has_any = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (const auto integer = as_decimal(values[i], exponent)) {
      if (!has_any) std::fill(out.integers.begin(), out.integers.end(), *integer);
      has_any = true;
      out.integers.push_back(*integer);
    } else {
      out.exceptions.push_back(i);
      out.integers.push_back(out.integers.empty() ? 0 : out.integers.back());
    }
  }
  return out;
}

/// One more look at those that failed: a sample may have missed the longest.
Decimals find_decimals(std::span<const double> values) {
  Decimals found = as_decimals(values, guess_exponent(values));
  for (int round = 0; round < 3 && !found.exceptions.empty(); ++round) {
    unsigned exponent = found.exponent;
    for (const std::size_t i : found.exceptions) {
      for (unsigned e = exponent + 1; std::isfinite(values[i]) && e <= kExponentTriedMax; ++e) {
        if (!as_decimal(values[i], e)) continue;
        exponent = e;
        break;
      }
    }
    if (exponent == found.exponent) break;
    Decimals longer = as_decimals(values, exponent);
    if (longer.exceptions.size() >= found.exceptions.size()) break;
    found = std::move(longer);
  }
  return found;
}

void put_exceptions(std::span<const double> values, std::span<const std::size_t> positions,
                    std::string& out) {
  const bool all_stale = std::all_of(positions.begin(), positions.end(),
                                     [&](std::size_t i) { return is_stale_marker(values[i]); });
  put_uvarint(out, positions.size() << 1 | (all_stale ? 1u : 0u));
  std::size_t next = 0;
  for (const std::size_t i : positions) {
    put_uvarint(out, i - next);
    next = i + 1;
    if (!all_stale) put_f64(out, values[i]);
  }
}

}  // namespace

void encode_integers(std::span<const std::int64_t> numbers, ColumnProfile profile,
                     std::string& out) {
  CHECK(!numbers.empty() && numbers.size() <= kVectorSamplesMax);
  const std::uint64_t factor = common_factor(numbers);
  if (factor == 0) {
    put_u8(out, kConstant);
    put_varint(out, numbers.front());
    return;
  }
  std::vector<std::int64_t> scaled;
  scaled.reserve(numbers.size());
  for (const std::int64_t v : numbers) {
    scaled.push_back(subtract(v, numbers.front()) / static_cast<std::int64_t>(factor));
  }
  Trial best = best_trial(scaled, profile);
  if (factor != 1) best.tag |= kFactorFlag;
  put_u8(out, best.tag);
  put_varint(out, numbers.front());
  if (factor != 1) put_uvarint(out, factor);
  const auto transform = static_cast<std::uint8_t>(best.tag & kTransformMask);
  if (transform == kDeltaOfDelta) put_varint(out, best.first_delta);
  if (transform != kXor) put_varint(out, best.base);
  if ((best.tag & kRangedFlag) != 0) {
    encode_ranged(best.residuals, out);
  } else {
    encode_packed(best.residuals, out);
  }
}

bool decode_integers(ByteReader& in, std::span<std::int64_t> out) {
  CHECK(!out.empty() && out.size() <= kVectorSamplesMax);
  const std::uint8_t tag = in.u8();
  const auto transform = static_cast<std::uint8_t>(tag & kTransformMask);
  if (!in.ok() || tag > kIntegerFlags || transform > kXor) return false;
  const std::int64_t first = in.varint();
  if (transform == kConstant) {
    if (tag != kConstant || !in.ok()) return false;
    std::fill(out.begin(), out.end(), first);
    return true;
  }
  const std::uint64_t factor = (tag & kFactorFlag) != 0 ? in.uvarint() : 1;
  const std::int64_t first_delta = transform == kDeltaOfDelta ? in.varint() : 0;
  const std::int64_t base = transform != kXor ? in.varint() : 0;
  std::size_t count = out.size() - (transform == kFrame ? 0 : 1);
  if (out.size() < 2 || !in.ok()) return false;
  if (transform == kDeltaOfDelta) --count;
  std::array<std::uint64_t, kVectorSamplesMax> room;
  const std::span<std::uint64_t> residuals = std::span(room).first(count);
  const bool is_ranged = (tag & kRangedFlag) != 0;
  if (is_ranged && count == 0) return false;
  if (!(is_ranged ? decode_ranged(in, residuals) : decode_packed(in, residuals))) return false;
  if ((tag & kZigzagFlag) != 0) undo_signs(residuals);
  const auto wide_base = static_cast<std::uint64_t>(base);
  switch (transform) {
    case kFrame:
      for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<std::int64_t>(residuals[i] + wide_base);
      }
      break;
    case kDelta: undo_delta(residuals, wide_base, out); break;
    case kDeltaOfDelta:
      undo_delta_of_delta(residuals, wide_base, static_cast<std::uint64_t>(first_delta), out);
      break;
    default: undo_xor(residuals, out);
  }
  if (factor == 1) {
    for (std::int64_t& v : out) v = add(v, first);
  } else {
    for (std::int64_t& v : out) v = add(multiply(v, static_cast<std::int64_t>(factor)), first);
  }
  return true;
}

void encode_values(std::span<const double> values, ColumnProfile profile, std::string& out) {
  CHECK(!values.empty() && values.size() <= kVectorSamplesMax);
  const Decimals decimals = find_decimals(values);
  const std::size_t begin = out.size();
  // With more exceptions than this the bits are sure to be shorter.
  const bool is_decimal = decimals.exceptions.size() * 4 <= values.size();
  if (is_decimal) {
    const bool has_exceptions = !decimals.exceptions.empty();
    put_u8(out, static_cast<std::uint8_t>(decimals.exponent << kExponentShift |
                                          (has_exceptions ? kExceptionsFlag : 0u)));
    if (has_exceptions) put_exceptions(values, decimals.exceptions, out);
    encode_integers(decimals.integers, profile, out);
    const bool is_doubtful =
        decimals.exceptions.size() * 32 > values.size() || out.size() - begin > values.size() * 5;
    if (!is_doubtful) return;
  }
  std::vector<std::int64_t> bits;
  bits.reserve(values.size());
  for (const double v : values) bits.push_back(ordered_bits(v));
  std::string other;
  put_u8(other, kBitsFlag);
  encode_integers(bits, profile, other);
  if (is_decimal && out.size() - begin <= other.size()) return;
  out.resize(begin);
  out += other;
}

bool decode_values(ByteReader& in, std::span<double> out) {
  CHECK(!out.empty() && out.size() <= kVectorSamplesMax);
  const std::uint8_t tag = in.u8();
  const unsigned exponent = tag >> kExponentShift;
  const bool is_bits = (tag & kBitsFlag) != 0;
  const bool has_exceptions = (tag & kExceptionsFlag) != 0;
  if (!in.ok() || exponent > kExponentMax || (is_bits && tag != kBitsFlag)) return false;
  struct Exception {
    std::size_t position;
    double value;
  };
  std::array<Exception, kVectorSamplesMax> exceptions;
  std::size_t exception_count = 0;
  if (has_exceptions) {
    const std::uint64_t head = in.uvarint();
    if ((head >> 1) > out.size()) return false;
    std::uint64_t position = 0;
    for (std::uint64_t i = 0; i < head >> 1; ++i) {
      const std::uint64_t gap = in.uvarint();
      if (!in.ok() || gap >= out.size() || position + gap >= out.size()) return false;
      position += gap;
      const double value = (head & 1) != 0 ? stale_marker() : in.f64();
      exceptions[exception_count++] = {static_cast<std::size_t>(position), value};
      ++position;
    }
  }
  std::array<std::int64_t, kVectorSamplesMax> room;
  const std::span<std::int64_t> integers = std::span(room).first(out.size());
  if (!decode_integers(in, integers)) return false;
  if (is_bits) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = from_ordered_bits(integers[i]);
    return true;
  }
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(integers[i]);
  if (exponent > 0) {
    const double scale = kPowersOfTen[exponent];
    for (double& v : out) v /= scale;
  }
  for (std::size_t i = 0; i < exception_count; ++i) {
    out[exceptions[i].position] = exceptions[i].value;
  }
  return true;
}

}  // namespace tarsier::tsdb
