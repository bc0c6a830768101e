#include "tracing/decisions/packed_decision.h"

#include <algorithm>
#include <cmath>

namespace tarsier::tracing {
namespace {

/// Cuts `width` bits off the low end of `bits`.
std::uint32_t take(std::uint64_t& bits, unsigned width) {
  const auto out = static_cast<std::uint32_t>(bits & ((std::uint64_t{1} << width) - 1));
  bits >>= width;
  return out;
}

/// `steps` to an octave; 0 is for 0.
std::uint32_t to_log(std::uint64_t v, unsigned steps, std::uint32_t max) {
  if (v == 0) return 0;
  const double octaves = std::log2(static_cast<double>(v)) * steps;
  return std::min(static_cast<std::uint32_t>(std::lround(octaves)) + 1, max);
}
std::uint64_t from_log(std::uint32_t code, unsigned steps) {
  if (code == 0) return 0;
  return static_cast<std::uint64_t>(std::llround(std::exp2((code - 1.0) / steps)));
}

/// Leading f digits (4 bits) and the 16 bits behind them: exact for thresholds of four digits.
std::uint32_t encode(Threshold threshold) {
  std::uint32_t leading = 0;
  while (leading < 10 && ((threshold.value >> (52 - 4 * leading)) & 0xF) == 0xF) ++leading;
  const auto digits = static_cast<std::uint32_t>((threshold.value >> (40 - 4 * leading)) & 0xFFFF);
  return leading << 16 | digits;
}
Threshold decode(std::uint32_t code) {
  const std::uint32_t leading = std::min(code >> 16, 10u);
  const std::uint64_t fs = leading == 0 ? 0 : kRandomnessEnd - (kRandomnessEnd >> (4 * leading));
  return {fs | (std::uint64_t{code & 0xFFFF} << (40 - 4 * leading))};
}

constexpr unsigned kDurationSteps = 4;
constexpr unsigned kCountSteps = 2;

}  // namespace

TraceFingerprint fingerprint_of(TraceId id) {
  std::uint64_t v = id.high * 0x9E3779B97F4A7C15 ^ id.low;
  v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9;
  v = (v ^ (v >> 27)) * 0x94d049bb133111eb;
  v = (v ^ (v >> 31) ^ id.high) * 0xff51afd7ed558ccd;
  return {(v ^ (v >> 33)) >> 8};
}

PackedDecision PackedDecision::pack(const Parts& parts) {
  std::uint64_t bits = 0;
  unsigned at = 0;
  const auto put = [&](std::uint64_t v, unsigned width) {
    bits |= v << at;
    at += width;
  };
  put(parts.is_kept, 1);
  put(static_cast<std::uint64_t>(parts.trigger), 3);
  put(parts.inputs.has_error, 1);
  put(parts.inputs.has_root, 1);
  put(parts.threshold.has_value(), 1);
  put(std::min(parts.policy_number, kPolicyNumberMax), 10);
  put(parts.threshold ? encode(*parts.threshold) : 0, 20);
  put(std::min(parts.seconds, kSegmentSecondsMax), 12);
  put(to_log(parts.inputs.duration_ns, kDurationSteps, 255), 8);
  put(to_log(parts.inputs.span_count, kCountSteps, 127), 7);
  return {bits};
}

PackedDecision::Parts PackedDecision::unpack() const {
  std::uint64_t rest = bits;
  Parts out;
  out.is_kept = take(rest, 1) != 0;
  out.trigger = static_cast<DecisionTrigger>(take(rest, 3));
  out.inputs.has_error = take(rest, 1) != 0;
  out.inputs.has_root = take(rest, 1) != 0;
  const bool has_threshold = take(rest, 1) != 0;
  out.policy_number = take(rest, 10);
  const Threshold threshold = decode(take(rest, 20));
  if (has_threshold) out.threshold = threshold;
  out.seconds = take(rest, 12);
  out.inputs.duration_ns = from_log(take(rest, 8), kDurationSteps);
  out.inputs.span_count = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(from_log(take(rest, 7), kCountSteps), UINT32_MAX));
  return out;
}

}  // namespace tarsier::tracing
