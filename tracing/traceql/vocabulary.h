#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

// The words of the language and what they mean.

/// `duration`, `span:duration`, `rootServiceName`...
std::optional<Intrinsic> intrinsic_named(std::string_view name);
/// The name an intrinsic is printed with: the older one where there are two.
std::string_view intrinsic_name(Intrinsic intrinsic);
/// `span`, `resource`...; kAny is the empty name.
std::optional<Scope> scope_named(std::string_view name);
std::string_view scope_name(Scope scope);
/// true, nil, ok, server, minInt...
std::optional<Static> keyword_literal(std::string_view word);
/// `error`, `ok`, `unset` of OTLP's number.
std::string_view status_text(std::int64_t status);
/// `server`... of OTLP's number.
std::string_view kind_text(std::int64_t kind);
std::string_view op_text(Op op);
std::string_view aggregate_name(Aggregate aggregate);
std::string_view function_name(MetricsFunction function);
std::optional<Aggregate> aggregate_named(std::string_view name);
std::optional<MetricsFunction> function_named(std::string_view name);
/// How Go prints a duration: `1.5s`, `1h2m3s`, `250µs`, `0s`.
std::string go_duration(std::int64_t nanoseconds);
/// Reads `1h30m`, `1.5s`, `10us`, `250ms`, `1d`; nothing if it is no duration or beyond 292 years.
std::optional<std::int64_t> parse_duration_ns(std::string_view text);
/// Whether a byte ends the name of an attribute.
bool ends_attribute_name(char c);
/// An attribute as it is written: `span.http.method`, `parent.resource."my name"`.
std::string attribute_text(const Attribute& attribute);
/// Reads what `attribute_text` writes, and nothing but it: for names of tags. Intrinsics too.
std::optional<Attribute> parse_attribute(std::string_view text);

}  // namespace tarsier::tracing::traceql
