#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/exec/binary_kernels.h"
#include "query/exec/grouper.h"
#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// The rules of one vector-to-vector operator, with "many" and "one" instead of left and right: the
/// one side is the right, except under group_right.
struct JoinRules {
  JoinRules(const Context& context, const Binary& binary);

  BinaryOp op;
  bool return_bool;
  bool on;
  std::vector<std::string> matching_labels;
  std::vector<std::string> include;
  bool is_grouped;  ///< group_left or group_right.
  bool many_is_left;
  bool drops_metadata;  ///< From the result's labels, at once.
  bool marks_names;     ///< Delayed name removal of what `bool` gives.
  std::optional<double> many_fill;
  std::optional<double> one_fill;

  /// What a comparison gives where it holds.
  Comparison comparison() const;
  /// The kernel over (left, right). REQUIRES: not a trim operator.
  BinaryKernel kernel() const;
  /// Whether the result has this label from the one side.
  bool is_included(std::string_view name) const;
  /// Whether it has it from the many side, if that is not included.
  bool keeps_of_many(std::string_view name) const;
  /// The labels of what a many-side and a one-side element give. `one` is null for a fill value.
  tsdb::Labels result_labels(const tsdb::Labels& many, const tsdb::Labels* one) const;
};

/// Matches the elements of every step anew, exactly as the language defines it.
Result<StreamPtr> join_by_step(Context& context, const Binary& binary, const JoinRules& rules,
                               const Grouper& signatures, const Table& many,
                               const std::vector<std::uint32_t>& many_groups, const Table& one,
                               const std::vector<std::uint32_t>& one_groups);

}  // namespace tarsier::query
