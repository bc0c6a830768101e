#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tracing/traceql/span_source.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

/// A field expression with the columns of one source behind its names. Borrows both. One thread at
/// a time.
class BoundField final {
 public:
  BoundField(const Field& field, SpanSource& source);

  /// The value for one row. What cannot be computed (division by zero, `-` of a text) is nil and
  /// leaves the first such problem in `error`.
  Value at(std::uint32_t row, Status& error) const;

 private:
  Value compute(Value a, Value b, Status& error) const;

  Field::Kind kind_;
  Op op_;
  Value literal_;
  bool tests_existence_ = false;  ///< One side is `nil`.
  const FieldColumn* column_ = nullptr;
  std::span<const std::uint32_t> parents_;  ///< Empty: the span itself.
  const Regex* regex_ = nullptr;
  std::vector<BoundField> operands_;
};

/// Appends every attribute a field names that is not there yet.
void collect_attributes(const Field& field, std::vector<Attribute>& out);

}  // namespace tarsier::tracing::traceql
