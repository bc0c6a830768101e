#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "tsdb/labels.h"

namespace tarsier::query {

// What changes labels, and what then happens to series that became equal. New labels are computed
// when somebody asks for them: a query that adds up a million series under other names holds none.

/// `__name__`, `__type__` and `__unit__`: what functions drop together as "the name".
bool is_metadata_label(std::string_view name);
tsdb::Labels drop_metadata(const tsdb::Labels& labels);

/// What happens to series that became equal.
enum class OnEqual : unsigned char {
  kMerge,   ///< They are one, unless both have a value at some step.
  kRefuse,  ///< An error if both have any value.
};

Status duplicate_labels_error();

/// True only if no two of `labels_of(0)` to `labels_of(count - 1)` are equal; false very rarely if
/// none are. Called on several threads. Holds eight bytes each meanwhile.
Result<bool> are_distinct(Context& context, std::size_t count,
                          const std::function<tsdb::Labels(std::size_t)>& labels_of);

/// `stream` itself unless some of its series are equal: then those are merged, or refused with
/// "vector cannot contain metrics with the same labelset".
Result<StreamPtr> resolve_equal(Context& context, StreamPtr stream, OnEqual on_equal);

/// What every function that computes something new does to names: removes them now, or (delayed
/// name removal) marks the series.
Result<StreamPtr> drop_names(Context& context, StreamPtr stream, OnEqual on_equal);

/// Removes `__name__` alone and merges what becomes equal.
Result<StreamPtr> drop_metric_names(Context& context, StreamPtr stream);

/// The end of a query under delayed name removal: marked series lose their names.
Result<StreamPtr> finish_names(Context& context, StreamPtr stream);

}  // namespace tarsier::query
