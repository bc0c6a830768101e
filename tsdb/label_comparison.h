#pragma once

#include <compare>

#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// What `a <=> labels` gives for a label set `a` that is not built: `next` gives its labels in
/// order, then one whose name is empty.
template <typename Next>
std::strong_ordering compare_labels(Next&& next, const Labels& labels) {
  for (const LabelView& theirs : labels) {
    const LabelView ours = next();
    if (ours.name.empty()) return std::strong_ordering::less;
    if (const auto order = ours.name <=> theirs.name; order != 0) return order;
    if (const auto order = ours.value <=> theirs.value; order != 0) return order;
  }
  return next().name.empty() ? std::strong_ordering::equal : std::strong_ordering::greater;
}

}  // namespace tarsier::tsdb
