#pragma once

#include <optional>
#include <string>

#include "tracing/probability.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// The Span message with the `th` of OpenTelemetry's member of the trace state that the decision on
/// its trace gives it (OpenTelemetry: "TraceState: probability sampling"), so that whoever counts
/// kept spans knows how many each stands for. Nothing when the span says so already.
///
/// - No threshold (a budget decided, or it is not known how likely it was): the span's own is
///   erased, as it is no longer true.
/// - The span's own is the stricter one (it came late): it stays.
/// - Everything is kept: only spans whose senders take part in sampling by threshold say `th:0`.
/// Anything else in the trace state stays.
std::optional<std::string> stamped_span(const SpanRecord& span, std::optional<Threshold> threshold);

}  // namespace tarsier::tracing
