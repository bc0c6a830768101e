#include "tracing/trace_state.h"

#include "base/ascii.h"

namespace tarsier::tracing {
namespace {

constexpr std::size_t kDigitsMax = 14;

/// 1-14 lower-case hex digits, padded with zeros on the right to 56 bits.
std::optional<std::uint64_t> parse_digits(std::string_view text) {
  if (text.empty() || text.size() > kDigitsMax) return std::nullopt;
  std::uint64_t v = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      v = v << 4 | static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      v = v << 4 | (static_cast<std::uint64_t>(c - 'a') + 10);
    } else {
      return std::nullopt;
    }
  }
  return v << (4 * (kDigitsMax - text.size()));
}

/// Cuts `text` at the first `separator`: what is before it, and leaves the rest.
std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view first = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return first;
}

}  // namespace

std::optional<std::string_view> trace_state_member(std::string_view trace_state,
                                                   std::string_view key) {
  while (!trace_state.empty()) {
    std::string_view member = trimmed(cut(trace_state, ','));
    if (member.find('=') != std::string_view::npos && cut(member, '=') == key) return member;
  }
  return std::nullopt;
}

OtelTraceState parse_otel_trace_state(std::string_view trace_state) {
  OtelTraceState out;
  std::string_view rest = trace_state_member(trace_state, "ot").value_or("");
  while (!rest.empty()) {
    std::string_view field = cut(rest, ';');
    const std::string_view key = cut(field, ':');
    if (key == "th") {
      out.threshold = parse_digits(field);
      out.has_invalid_value |= !out.threshold;
    } else if (key == "rv") {
      out.randomness = field.size() == kDigitsMax ? parse_digits(field) : std::nullopt;
      out.has_invalid_value |= !out.randomness;
    }
  }
  return out;
}

double adjusted_count(std::uint64_t threshold) {
  return static_cast<double>(kSamplingScale) / static_cast<double>(kSamplingScale - threshold);
}

}  // namespace tarsier::tracing
