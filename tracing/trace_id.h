#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tarsier::tracing {

/// 128 bits that all spans of a trace share; `high` are the first eight bytes on the wire. All
/// zeros is no id (W3C trace context).
struct TraceId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const TraceId&) const = default;
  bool is_valid() const { return (high | low) != 0; }
};

/// 64 bits, unique within a trace but for the two halves of a Zipkin shared span. Zero: none, as
/// the parent of a root.
struct SpanId {
  std::uint64_t value = 0;
  auto operator<=>(const SpanId&) const = default;
  bool is_valid() const { return value != 0; }
};

/// 32 and 16 lower-case hex digits, leading zeros included.
std::string to_hex(TraceId id);
std::string to_hex(SpanId id);
/// 1-32 (1-16) hex digits of any case; what is missing on the left is zeros. Nothing for other text
/// and for zero.
std::optional<TraceId> parse_trace_id(std::string_view hex);
std::optional<SpanId> parse_span_id(std::string_view hex);

/// The 16 (8) big-endian bytes of the wire; nothing for another size. Zero comes back as zero.
std::optional<TraceId> trace_id_of_bytes(std::string_view bytes);
std::optional<SpanId> span_id_of_bytes(std::string_view bytes);
void append_bytes(std::string& out, TraceId id);
void append_bytes(std::string& out, SpanId id);

/// Spreads ids over shards and tables, also of senders whose ids are not random. No defence against
/// ids that were constructed to collide: what must be safe from them is bounded in size.
struct TraceIdHash {
  std::size_t operator()(TraceId id) const noexcept;
};

}  // namespace tarsier::tracing
