#include "tracing/span.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/protobuf_reader.h"

namespace tarsier::tracing {
namespace {

bool is_bytes(const ProtobufReader& f) { return f.type() == ProtobufReader::kBytes; }

bool read_status(std::string_view wire, SpanRecord& out) {
  ProtobufReader fields(wire);
  while (fields.next()) {
    if (fields.field() == 2) {
      if (!is_bytes(fields)) return false;
      out.status_message = fields.bytes();
    } else if (fields.field() == 3) {
      if (fields.type() != ProtobufReader::kVarint) return false;
      out.status = static_cast<StatusCode>(static_cast<std::int32_t>(fields.number()));
    }
  }
  return fields.ok();
}

bool are_whole_attributes(std::string_view message, std::uint32_t field) {
  return attribute_detail::walk(
      message, field, [](std::string_view wire) { return is_whole_attribute(wire) ? 1 : -1; });
}

bool is_whole_detail(const ProtobufReader& f) {
  switch (f.field()) {
    case 9: return is_bytes(f) && is_whole_attribute(f.bytes());
    case 11: {
      SpanEvent event;
      return is_bytes(f) && read_event(f.bytes(), event) && are_whole_attributes(f.bytes(), 3);
    }
    case 13: {
      SpanLink link;
      return is_bytes(f) && read_link(f.bytes(), link) && are_whole_attributes(f.bytes(), 4);
    }
    default: return true;
  }
}

/// What a walk over a Span looks at beside the fields of the record.
enum class Details : unsigned char { kSkip, kCheck };

template <Details kDetails>
bool read_span_fields(std::string_view wire, SpanRecord& out) {
  out.wire = wire;
  ProtobufReader fields(wire);
  while (fields.next()) {
    switch (fields.field()) {
      case 1:
        if (!is_bytes(fields)) return false;
        out.trace_id = trace_id_of_bytes(fields.bytes()).value_or(TraceId{});
        break;
      case 2:
        if (!is_bytes(fields)) return false;
        out.span_id = span_id_of_bytes(fields.bytes()).value_or(SpanId{});
        break;
      case 3:
        if (!is_bytes(fields)) return false;
        out.trace_state = fields.bytes();
        break;
      case 4:
        if (!is_bytes(fields)) return false;
        out.parent_id = span_id_of_bytes(fields.bytes()).value_or(SpanId{});
        break;
      case 5:
        if (!is_bytes(fields)) return false;
        out.name = fields.bytes();
        break;
      case 6:
        if (fields.type() != ProtobufReader::kVarint) return false;
        out.kind = static_cast<SpanKind>(static_cast<std::int32_t>(fields.number()));
        break;
      case 7:
        if (fields.type() != ProtobufReader::kFixed64) return false;
        out.start_ns = fields.number();
        break;
      case 8:
        if (fields.type() != ProtobufReader::kFixed64) return false;
        out.end_ns = fields.number();
        break;
      case 15:
        if (!is_bytes(fields) || !read_status(fields.bytes(), out)) return false;
        break;
      case 16:
        if (fields.type() != ProtobufReader::kFixed32) return false;
        out.flags = static_cast<std::uint32_t>(fields.number());
        break;
      default:
        if constexpr (kDetails == Details::kCheck) {
          if (!is_whole_detail(fields)) return false;
        }
        break;
    }
  }
  return fields.ok();
}

}  // namespace

std::string_view kind_name(SpanKind kind) {
  static constexpr std::array<std::string_view, 6> kNames = {
      "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
      "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};
  const auto i = static_cast<std::size_t>(kind);
  return kNames[i < kNames.size() ? i : 0];
}

std::string_view status_name(StatusCode status) {
  switch (status) {
    case StatusCode::kOk: return "STATUS_CODE_OK";
    case StatusCode::kError: return "STATUS_CODE_ERROR";
    default: return "STATUS_CODE_UNSET";
  }
}

bool read_span(std::string_view wire, SpanRecord& out) {
  return read_span_fields<Details::kSkip>(wire, out);
}

bool read_event(std::string_view wire, SpanEvent& out) {
  out.wire = wire;
  ProtobufReader fields(wire);
  while (fields.next()) {
    if (fields.field() == 1) {
      if (fields.type() != ProtobufReader::kFixed64) return false;
      out.time_ns = fields.number();
    } else if (fields.field() == 2) {
      if (!is_bytes(fields)) return false;
      out.name = fields.bytes();
    }
  }
  return fields.ok();
}

bool read_link(std::string_view wire, SpanLink& out) {
  out.wire = wire;
  ProtobufReader fields(wire);
  while (fields.next()) {
    if (fields.field() >= 1 && fields.field() <= 3) {
      if (!is_bytes(fields)) return false;
      if (fields.field() == 1) {
        out.trace_id = trace_id_of_bytes(fields.bytes()).value_or(TraceId{});
      } else if (fields.field() == 2) {
        out.span_id = span_id_of_bytes(fields.bytes()).value_or(SpanId{});
      } else {
        out.trace_state = fields.bytes();
      }
    } else if (fields.field() == 6) {
      if (fields.type() != ProtobufReader::kFixed32) return false;
      out.flags = static_cast<std::uint32_t>(fields.number());
    }
  }
  return fields.ok();
}

/// Fills the index of one batch. Fields of a message may come in any order, so each envelope is
/// stepped through twice: for what describes it, then for what is in it. Only its field headers are
/// read for that, not its contents.
class SpanBatchDecoder final {
 public:
  SpanBatchDecoder(SpanBatch& batch, const SpanLimits& limits) : batch_(batch), limits_(limits) {}

  bool read() {
    return attribute_detail::walk_strictly(
        batch_.wire_, 1, [&](std::string_view wire) { return resource_spans(wire); });
  }
  bool is_over_limit() const { return is_over_limit_; }

 private:
  bool resource_spans(std::string_view wire) {
    SpanResource resource;
    if (!envelope(wire, resource.wire, resource.schema_url)) return false;
    if (!are_whole_attributes(resource.wire, 1)) return false;
    for_each_resource_attribute(resource.wire,
                                [&](std::string_view key, const AttributeValue& value) {
                                  if (key != "service.name") return true;
                                  if (value.is_string()) resource.service_name = value.bytes;
                                  return false;
                                });
    const std::size_t spans_before = batch_.spans_.size();
    batch_.resources_.push_back(resource);
    if (!attribute_detail::walk_strictly(
            wire, 2, [&](std::string_view scope) { return scope_spans(scope); })) {
      return false;
    }
    if (batch_.spans_.size() == spans_before) batch_.resources_.pop_back();
    return true;
  }

  bool scope_spans(std::string_view wire) {
    SpanScope scope{.resource_index = static_cast<std::uint32_t>(batch_.resources_.size() - 1)};
    if (!envelope(wire, scope.wire, scope.schema_url)) return false;
    ProtobufReader fields(scope.wire);
    while (fields.next()) {
      if (fields.field() != 1 && fields.field() != 2) continue;
      if (!is_bytes(fields)) return false;
      (fields.field() == 1 ? scope.name : scope.version) = fields.bytes();
    }
    if (!fields.ok() || !are_whole_attributes(scope.wire, 3)) return false;
    const std::size_t spans_before = batch_.spans_.size();
    batch_.scopes_.push_back(scope);
    if (!attribute_detail::walk_strictly(wire, 2,
                                         [&](std::string_view message) { return span(message); })) {
      return false;
    }
    if (batch_.spans_.size() == spans_before) batch_.scopes_.pop_back();
    return true;
  }

  bool span(std::string_view wire) {
    SpanRecord record;
    if (!read_span_fields<Details::kCheck>(wire, record)) return false;
    if (!record.trace_id.is_valid() || !record.span_id.is_valid()) {
      leave_out(record);
      return true;
    }
    if (batch_.spans_.size() == limits_.spans_max) {
      is_over_limit_ = true;
      return false;
    }
    record.resource_index = static_cast<std::uint32_t>(batch_.resources_.size() - 1);
    record.scope_index = static_cast<std::uint32_t>(batch_.scopes_.size() - 1);
    batch_.spans_.push_back(record);
    return true;
  }

  void leave_out(const SpanRecord& record) {
    if (batch_.invalid_count_++ > 0) return;
    batch_.first_invalid_ =
        fmt::format("span \"{}\" has an invalid {} id: it must be {} bytes, not all zero",
                    record.name.substr(0, 100), record.trace_id.is_valid() ? "span" : "trace",
                    record.trace_id.is_valid() ? 8 : 16);
  }

  /// What ResourceSpans and ScopeSpans say of their contents.
  static bool envelope(std::string_view wire, std::string_view& described,
                       std::string_view& schema_url) {
    ProtobufReader fields(wire);
    while (fields.next()) {
      if (fields.field() != 1 && fields.field() != 3) continue;
      if (!is_bytes(fields)) return false;
      (fields.field() == 1 ? described : schema_url) = fields.bytes();
    }
    return fields.ok();
  }

  SpanBatch& batch_;
  const SpanLimits& limits_;
  bool is_over_limit_ = false;
};

Result<std::shared_ptr<const SpanBatch>> SpanBatch::decode(std::string request,
                                                           const SpanLimits& limits) {
  const std::shared_ptr<SpanBatch> batch(new SpanBatch(std::move(request)));
  SpanBatchDecoder decoder(*batch, limits);
  if (!decoder.read()) {
    if (decoder.is_over_limit()) {
      return limit_exceeded(fmt::format("more than {} spans in one request", limits.spans_max));
    }
    return corruption(fmt::format("protobuf: damaged ExportTraceServiceRequest of {} bytes",
                                  batch->wire_.size()));
  }
  return std::shared_ptr<const SpanBatch>(batch);
}

std::size_t SpanBatch::memory_bytes() const {
  return sizeof *this + wire_.capacity() + spans_.capacity() * sizeof(SpanRecord) +
         resources_.capacity() * sizeof(SpanResource) + scopes_.capacity() * sizeof(SpanScope);
}

}  // namespace tarsier::tracing
