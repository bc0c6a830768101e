#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tracing/traceql/syntax.h"
#include "tracing/traceql/value.h"

namespace tarsier::tracing::traceql {

inline constexpr std::uint32_t kNoRow = std::numeric_limits<std::uint32_t>::max();

/// One trace's spans, which lie side by side.
struct TraceRows {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

/// Pre-order numbers from 1 in each trace; `parent` is the left of the parent, -1 for a root. All
/// zero for a span that hangs on no root: it takes no part in structural operators.
struct NestedSet {
  std::int32_t left = 0;
  std::int32_t right = 0;
  std::int32_t parent = 0;
};

/// The values of one field, a row per span; empty when no span has it.
struct FieldColumn {
  std::vector<Value> values;
  Value at(std::uint32_t row) const { return row < values.size() ? values[row] : Value(); }
};

/// Spans as rows, whole traces side by side, with the values of a field as a column: what TraceQL
/// is evaluated over, whether the spans come from a block, the open block or the buffer. Columns
/// are made when they are first asked for. One thread at a time.
class SpanSource {
 public:
  virtual ~SpanSource() = default;
  virtual std::span<const TraceRows> traces() const = 0;
  /// `of_parent` is not looked at. Everything returned lives as long as the source.
  virtual const FieldColumn& column(const Attribute& attribute) = 0;
  /// The row of each span's parent, kNoRow where it is not held.
  virtual std::span<const std::uint32_t> parents() = 0;
  virtual std::span<const NestedSet> nested_sets() = 0;
  virtual std::span<const std::uint64_t> starts_ns() = 0;
  /// Every attribute that occurs, with its scope and name. Not cheap.
  virtual std::vector<Attribute> attributes() = 0;
};

}  // namespace tarsier::tracing::traceql
