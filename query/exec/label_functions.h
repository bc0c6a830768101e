#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"

namespace tarsier::query {

struct LabelReplacement {
  std::string destination;
  std::string replacement;
  std::string source;
  std::string regex;
};
Result<StreamPtr> label_replace(Context& context, StreamPtr stream,
                                const LabelReplacement& replacement);

Result<StreamPtr> label_join(Context& context, StreamPtr stream, const std::string& destination,
                             const std::string& separator, const std::vector<std::string>& sources);

enum class Direction : unsigned char { kAscending, kDescending };
/// The series of a one-step stream ordered by value, NaN last.
Result<StreamPtr> sort_by_value(Context& context, StreamPtr stream, Direction direction);
/// Ordered by these labels in natural order, then by all labels.
Result<StreamPtr> sort_by_labels(Context& context, StreamPtr stream,
                                 const std::vector<std::string>& names, Direction direction);

}  // namespace tarsier::query
