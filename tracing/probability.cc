#include "tracing/probability.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tarsier::tracing {
namespace {

constexpr unsigned kDigitsMax = 14;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The next piece of `rest` before `separator`, which is taken off together with it.
std::string_view next_piece(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view piece = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return piece;
}

}  // namespace

Threshold threshold_of(double probability, unsigned digits) {
  if (!(probability < 1)) return kKeepAll;
  const double kept = std::ldexp(probability, 56);
  if (!(kept >= 1)) return kKeepNone;
  const auto exact = kRandomnessEnd - static_cast<std::uint64_t>(std::llround(kept));
  // Leading f digits carry no precision: 0.001 is ffbe77, with four digits behind "ff".
  unsigned leading = 0;
  while (leading < kDigitsMax && ((exact >> (52 - 4 * leading)) & 0xF) == 0xF) ++leading;
  const unsigned count = leading + digits;
  if (count >= kDigitsMax) return {std::min(exact, kRandomnessEnd - 1)};
  const unsigned dropped_bits = 4 * (kDigitsMax - count);
  const std::uint64_t half = std::uint64_t{1} << (dropped_bits - 1);
  const std::uint64_t rounded = (exact + half) >> dropped_bits << dropped_bits;
  return {rounded >= kRandomnessEnd ? exact : rounded};
}

std::string encode_threshold(Threshold threshold) {
  CHECK(threshold.value < kRandomnessEnd);
  std::string out;
  for (unsigned i = 0; i < kDigitsMax; ++i) {
    out += "0123456789abcdef"[(threshold.value >> (52 - 4 * i)) & 0xF];
  }
  while (out.size() > 1 && out.back() == '0') out.pop_back();
  return out;
}

std::string with_threshold(std::string_view trace_state, std::optional<Threshold> threshold) {
  std::string ours;
  if (threshold) ours = "th:" + encode_threshold(*threshold);
  std::string others;
  while (!trace_state.empty()) {
    const std::string_view member = trim(next_piece(trace_state, ','));
    if (member.empty()) continue;
    if (!member.starts_with("ot=")) {
      if (!others.empty()) others += ',';
      others += member;
      continue;
    }
    for (std::string_view rest = member.substr(3); !rest.empty();) {
      const std::string_view pair = next_piece(rest, ';');
      if (pair.empty() || pair.starts_with("th:")) continue;
      if (!ours.empty()) ours += ';';
      ours += pair;
    }
  }
  if (ours.empty()) return others;
  return others.empty() ? "ot=" + ours : "ot=" + ours + "," + others;
}

}  // namespace tarsier::tracing
