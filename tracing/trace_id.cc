#include "tracing/trace_id.h"

#include "base/bytes.h"

namespace tarsier::tracing {
namespace {

void append_hex(std::string& out, std::uint64_t v) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  for (unsigned shift = 64; shift > 0; shift -= 4) out += kDigits[(v >> (shift - 4)) & 0xF];
}

/// At most 16 digits.
std::optional<std::uint64_t> parse_hex(std::string_view hex) {
  std::uint64_t v = 0;
  for (const char c : hex) {
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<unsigned>(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    v = v << 4 | digit;
  }
  return v;
}

std::uint64_t load(std::string_view bytes) {
  return load_be<std::uint64_t>(as_bytes(bytes).data());
}

}  // namespace

std::string to_hex(TraceId id) {
  std::string out;
  append_hex(out, id.high);
  append_hex(out, id.low);
  return out;
}

std::string to_hex(SpanId id) {
  std::string out;
  append_hex(out, id.value);
  return out;
}

std::optional<TraceId> parse_trace_id(std::string_view hex) {
  if (hex.empty() || hex.size() > 32) return std::nullopt;
  const std::size_t high_size = hex.size() > 16 ? hex.size() - 16 : 0;
  const std::optional<std::uint64_t> high = parse_hex(hex.substr(0, high_size));
  const std::optional<std::uint64_t> low = parse_hex(hex.substr(high_size));
  if (!high || !low) return std::nullopt;
  const TraceId id{*high, *low};
  return id.is_valid() ? std::optional(id) : std::nullopt;
}

std::optional<SpanId> parse_span_id(std::string_view hex) {
  if (hex.empty() || hex.size() > 16) return std::nullopt;
  const std::optional<std::uint64_t> value = parse_hex(hex);
  return value && *value != 0 ? std::optional(SpanId{*value}) : std::nullopt;
}

std::optional<TraceId> trace_id_of_bytes(std::string_view bytes) {
  if (bytes.size() != 16) return std::nullopt;
  return TraceId{load(bytes), load(bytes.substr(8))};
}

std::optional<SpanId> span_id_of_bytes(std::string_view bytes) {
  if (bytes.size() != 8) return std::nullopt;
  return SpanId{load(bytes)};
}

void append_bytes(std::string& out, TraceId id) {
  put_be64(out, id.high);
  put_be64(out, id.low);
}

void append_bytes(std::string& out, SpanId id) { put_be64(out, id.value); }

std::size_t TraceIdHash::operator()(TraceId id) const noexcept {
  // The finaliser of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
  // generators", 2014).
  std::uint64_t v = id.high ^ id.low;
  v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9;
  v = (v ^ (v >> 27)) * 0x94D049BB133111EB;
  return static_cast<std::size_t>(v ^ (v >> 31));
}

}  // namespace tarsier::tracing
