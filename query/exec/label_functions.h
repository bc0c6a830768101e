#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"

namespace tarsier::query {

/// The string arguments of label_replace().
struct LabelReplacement {
  std::string destination;
  std::string replacement;  ///< `$1` and `${name}` are groups of `regex`.
  std::string source;       ///< A label; absent is empty.
  std::string regex;        ///< Anchored at both ends.
};
/// Series whose `source` matches get the label `destination`; an empty value removes it. Series
/// that become equal are merged. kInvalid for a bad regex or label name.
Result<StreamPtr> label_replace(Context& context, StreamPtr stream,
                                const LabelReplacement& replacement);

/// `destination` becomes the values of `sources` with `separator` between them. The
/// rest as above.
Result<StreamPtr> label_join(Context& context, StreamPtr stream, const std::string& destination,
                             const std::string& separator, const std::vector<std::string>& sources);

enum class Direction : unsigned char { kAscending, kDescending };
/// The series of a one-step stream ordered by value, NaN last.
Result<StreamPtr> sort_by_value(Context& context, StreamPtr stream, Direction direction);
/// Ordered by these labels in natural order, then by all labels.
Result<StreamPtr> sort_by_labels(Context& context, StreamPtr stream,
                                 const std::vector<std::string>& names, Direction direction);

}  // namespace tarsier::query
