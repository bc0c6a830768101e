#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tracing/span.h"

namespace tarsier::tracing {

// Builders of OTLP wire bytes: for what arrives in another form, for parts of batches that are put
// together anew, and for tests. Each is filled once and its bytes are taken; they append in the
// order told and check nothing.

/// One AnyValue.
class ValueWriter final {
 public:
  static std::string of(std::string_view text);
  static std::string of(const char* text) { return of(std::string_view(text)); }
  static std::string of(bool v);
  static std::string of(std::int64_t v);
  static std::string of(int v) { return of(static_cast<std::int64_t>(v)); }
  static std::string of(double v);
  static std::string of_bytes(std::string_view bytes);
  /// `elements`: AnyValue messages, each made by append_array_element().
  static std::string of_array(std::string_view elements);
  /// `members`: KeyValue messages, each made by append_map_member().
  static std::string of_map(std::string_view members);
  static void append_array_element(std::string& elements, std::string_view value);
  static void append_map_member(std::string& members, std::string_view key, std::string_view value);
};

/// A Resource, InstrumentationScope, Event or Link: what it has, then its attributes.
class ResourceWriter final {
 public:
  template <typename T>
  ResourceWriter& attribute(std::string_view key, const T& v) {
    return attribute_wire(key, ValueWriter::of(v));
  }
  /// `value` is an AnyValue.
  ResourceWriter& attribute_wire(std::string_view key, std::string_view value);
  ResourceWriter& dropped_attributes(std::uint32_t count);
  const std::string& wire() const { return wire_; }

 private:
  std::string wire_;
};

class ScopeWriter final {
 public:
  ScopeWriter& name(std::string_view text);
  ScopeWriter& version(std::string_view text);
  template <typename T>
  ScopeWriter& attribute(std::string_view key, const T& v) {
    return attribute_wire(key, ValueWriter::of(v));
  }
  ScopeWriter& attribute_wire(std::string_view key, std::string_view value);
  ScopeWriter& dropped_attributes(std::uint32_t count);
  const std::string& wire() const { return wire_; }

 private:
  std::string wire_;
};

class EventWriter final {
 public:
  EventWriter(UnixNanos time_ns, std::string_view name);
  template <typename T>
  EventWriter& attribute(std::string_view key, const T& v) {
    return attribute_wire(key, ValueWriter::of(v));
  }
  EventWriter& attribute_wire(std::string_view key, std::string_view value);
  EventWriter& dropped_attributes(std::uint32_t count);
  const std::string& wire() const { return wire_; }

 private:
  std::string wire_;
};

class LinkWriter final {
 public:
  LinkWriter(TraceId trace_id, SpanId span_id);
  LinkWriter& trace_state(std::string_view text);
  LinkWriter& flags(std::uint32_t bits);
  template <typename T>
  LinkWriter& attribute(std::string_view key, const T& v) {
    return attribute_wire(key, ValueWriter::of(v));
  }
  LinkWriter& attribute_wire(std::string_view key, std::string_view value);
  LinkWriter& dropped_attributes(std::uint32_t count);
  const std::string& wire() const { return wire_; }

 private:
  std::string wire_;
};

/// One Span message:
///
///   SpanWriter span(trace_id, span_id);
///   span.parent(root).name("GET /").kind(SpanKind::kServer).times(start_ns, end_ns);
///   span.attribute("http.response.status_code", 200).status(StatusCode::kError, "boom");
class SpanWriter final {
 public:
  SpanWriter(TraceId trace_id, SpanId span_id);

  SpanWriter& parent(SpanId id);
  SpanWriter& name(std::string_view text);
  SpanWriter& kind(SpanKind kind);
  SpanWriter& times(UnixNanos start_ns, UnixNanos end_ns);
  SpanWriter& status(StatusCode code, std::string_view message = {});
  SpanWriter& trace_state(std::string_view text);
  SpanWriter& flags(std::uint32_t bits);
  template <typename T>
  SpanWriter& attribute(std::string_view key, const T& v) {
    return attribute_wire(key, ValueWriter::of(v));
  }
  SpanWriter& attribute_wire(std::string_view key, std::string_view value);
  SpanWriter& event(const EventWriter& event);
  SpanWriter& link(const LinkWriter& link);
  SpanWriter& dropped_attributes(std::uint32_t count);
  SpanWriter& dropped_events(std::uint32_t count);
  SpanWriter& dropped_links(std::uint32_t count);
  const std::string& wire() const { return wire_; }

 private:
  std::string wire_;
};

/// A whole request (or TracesData, or Tempo's Trace): resources hold scopes, scopes hold spans, in
/// the order told.
///
///   RequestWriter request;
///   request.resource(ResourceWriter().attribute("service.name", "shop").wire());
///   request.scope(ScopeWriter().name("http").wire());
///   request.span(span.wire());
///   SpanBatch::decode(request.take());
class RequestWriter final {
 public:
  /// Begins a resource: a Resource message, or empty for none.
  RequestWriter& resource(std::string_view wire, std::string_view schema_url = {});
  /// Begins a scope of the resource: an InstrumentationScope message, or empty for none.
  RequestWriter& scope(std::string_view wire, std::string_view schema_url = {});
  /// Adds a Span message to the scope; begins a resource and a scope where there is none.
  RequestWriter& span(std::string_view wire);
  /// The request; the writer is empty afterwards.
  std::string take();

 private:
  void end_scope();
  void end_resource();

  std::string request_;
  std::string resource_;
  std::string scope_;
  bool has_resource_ = false;
  bool has_scope_ = false;
};

}  // namespace tarsier::tracing
