#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tracing/attribute.h"
#include "tracing/trace_id.h"

namespace tarsier::tracing {

/// As OTLP numbers them; numbers it may get later survive. Stored and sent: never renumber.
enum class SpanKind : std::int32_t {
  kUnspecified = 0,  ///< Means internal.
  kInternal = 1,
  kServer = 2,
  kClient = 3,
  kProducer = 4,
  kConsumer = 5,
};
enum class StatusCode : std::int32_t { kUnset = 0, kOk = 1, kError = 2 };

/// "SPAN_KIND_SERVER", "STATUS_CODE_ERROR"; numbers without a name are the unspecified ones.
std::string_view kind_name(SpanKind kind);
std::string_view status_name(StatusCode status);

/// Nanoseconds since 1970-01-01 UTC, as spans carry them.
using UnixNanos = std::uint64_t;

/// What everybody asks of a span, taken from its wire bytes; the rest is read from `wire` on demand
/// (for_each_span_attribute, for_each_event, for_each_link). Every view borrows from the batch.
struct SpanRecord {
  TraceId trace_id;
  SpanId span_id;
  SpanId parent_id;  ///< Zero: a root.
  UnixNanos start_ns = 0;
  UnixNanos end_ns = 0;  ///< May lie before the start: clocks step.
  SpanKind kind = SpanKind::kUnspecified;
  StatusCode status = StatusCode::kUnset;
  std::uint32_t flags = 0;           ///< W3C flags in bits 0-7; 0 may mean unknown.
  std::uint32_t resource_index = 0;  ///< Into SpanBatch::resources().
  std::uint32_t scope_index = 0;     ///< Into SpanBatch::scopes().
  std::string_view name;
  std::string_view trace_state;
  std::string_view status_message;
  std::string_view wire;  ///< The Span message.

  bool is_root() const { return !parent_id.is_valid(); }
  /// Zero when the end lies before the start.
  std::uint64_t duration_ns() const { return end_ns > start_ns ? end_ns - start_ns : 0; }
};

struct SpanResource {
  std::string_view wire;  ///< The Resource message; empty if there was none.
  std::string_view schema_url;
  std::string_view service_name;  ///< The attribute `service.name`; empty if there is none.
};

struct SpanScope {
  std::string_view wire;  ///< The InstrumentationScope message; empty if there was none.
  std::string_view schema_url;
  std::string_view name;
  std::string_view version;
  std::uint32_t resource_index = 0;
};

struct SpanEvent {
  UnixNanos time_ns = 0;
  std::string_view name;
  std::string_view wire;  ///< For for_each_event_attribute().
};

struct SpanLink {
  TraceId trace_id;
  SpanId span_id;
  std::string_view trace_state;
  std::uint32_t flags = 0;
  std::string_view wire;  ///< For for_each_link_attribute().
};

/// Reads one Span message without its attributes, events and links, which stay unchecked. False
/// when the bytes are damaged. An id of a wrong size comes back as zero.
bool read_span(std::string_view wire, SpanRecord& out);
bool read_event(std::string_view wire, SpanEvent& out);
bool read_link(std::string_view wire, SpanLink& out);

/// `visit(const SpanEvent&)`; otherwise as for_each_attribute().
template <typename Visit>
bool for_each_event(std::string_view span, Visit visit) {
  return attribute_detail::walk(span, 11, [&](std::string_view wire) {
    SpanEvent event;
    if (!read_event(wire, event)) return -1;
    return attribute_detail::go_on([&] { return visit(event); });
  });
}
/// `visit(const SpanLink&)`.
template <typename Visit>
bool for_each_link(std::string_view span, Visit visit) {
  return attribute_detail::walk(span, 13, [&](std::string_view wire) {
    SpanLink link;
    if (!read_link(wire, link)) return -1;
    return attribute_detail::go_on([&] { return visit(link); });
  });
}

struct SpanLimits {
  /// A span takes 30 bytes of wire at least and 160 of ours beside it.
  std::size_t spans_max = 1'000'000;
};

/// The spans of one request: one immutable buffer of OTLP protobuf (an ExportTraceServiceRequest,
/// which has the layout of TracesData and of Tempo's Trace), and an index of views into it.
/// Whatever form spans arrive in, they are this from the door on, so nothing behind it decodes
/// twice or copies. Every message in it was found whole. Envelopes without a valid span are left
/// out of the index. Shared and immutable: any number of threads; views live as long as the batch.
class SpanBatch final {
 public:
  /// kCorruption for bytes that are no request, kLimit beyond the limits. A span whose trace or
  /// span id has a wrong size or is zero is left out and counted.
  static Result<std::shared_ptr<const SpanBatch>> decode(std::string request,
                                                         const SpanLimits& limits = {});

  SpanBatch(const SpanBatch&) = delete;
  SpanBatch& operator=(const SpanBatch&) = delete;

  const std::vector<SpanRecord>& spans() const { return spans_; }
  const std::vector<SpanResource>& resources() const { return resources_; }
  const std::vector<SpanScope>& scopes() const { return scopes_; }
  const SpanResource& resource_of(const SpanRecord& span) const {
    return resources_[span.resource_index];
  }
  const SpanScope& scope_of(const SpanRecord& span) const { return scopes_[span.scope_index]; }

  /// The whole request as it was decoded.
  std::string_view wire() const { return wire_; }
  /// Spans left out, and why the first one was.
  std::uint64_t invalid_count() const { return invalid_count_; }
  const std::string& first_invalid() const { return first_invalid_; }
  /// Memory this holds, the buffer included.
  std::size_t memory_bytes() const;

 private:
  friend class SpanBatchDecoder;
  explicit SpanBatch(std::string wire) : wire_(std::move(wire)) {}

  const std::string wire_;
  std::vector<SpanRecord> spans_;
  std::vector<SpanResource> resources_;
  std::vector<SpanScope> scopes_;
  std::uint64_t invalid_count_ = 0;
  std::string first_invalid_;
};

}  // namespace tarsier::tracing
