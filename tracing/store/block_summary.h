#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "tracing/store/span_rows.h"

namespace tarsier::tracing {

/// What is told of many traces without opening them: who ran what, who called whom, and which
/// attributes there are.
struct BlockSummary {
  /// By service, the names and kinds of its spans.
  std::map<std::string, std::set<std::pair<std::string, std::int32_t>>> operations;
  /// Spans of one service below a span of another.
  std::map<std::pair<std::string, std::string>, std::uint64_t> calls;
  std::set<traceql::Attribute> attributes;

  void add(SpanRows& rows);
  void add(const BlockSummary& other);
};

/// Names beyond this many of one service, or in all, are not listed: they are no names but values.
inline constexpr std::size_t kOperationsMax = 10'000;
inline constexpr std::size_t kAttributesMax = 10'000;

/// The service of a resource without one, as Jaeger calls it.
inline constexpr std::string_view kNoServiceName = "OTLPResourceNoServiceName";

void encode_summary(const BlockSummary& summary, std::string& out);
Result<BlockSummary> decode_summary(std::string_view bytes);

}  // namespace tarsier::tracing
