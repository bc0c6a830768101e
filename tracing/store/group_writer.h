#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tracing/store/group_format.h"
#include "tracing/store/span_rows.h"

namespace tarsier::tracing {

/// A group in memory: what lies in a block file, at offset 0.
struct EncodedGroup {
  std::string bytes;
  GroupInfo info;
};

/// Encodes traces of `rows` (indexes into its traces, each once). Traces of one root service and
/// root name are put side by side, which is what makes their columns small. kCorruption when a
/// span's bytes are damaged. REQUIRES: traces with at most kGroupRowsMax spans in all.
Result<EncodedGroup> encode_group(SpanRows& rows, std::span<const std::uint32_t> traces);

}  // namespace tarsier::tracing
