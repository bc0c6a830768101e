#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// What is asked of the histograms in `buckets` (series with an `le` label), a row per argument.
struct HistogramQuestion {
  enum class Kind : unsigned char { kQuantile, kFraction };
  Kind kind = Kind::kQuantile;
  std::vector<double> first;   ///< φ, or the lower limit.
  std::vector<double> second;  ///< The upper limit.
  SourceRange buckets_source;  ///< Where annotations about the buckets point.
};

/// One series per histogram: the bucket series that agree in all labels but `le`. Names are still
/// on.
Result<StreamPtr> ask_histograms(Context& context, StreamPtr buckets, HistogramQuestion question);

}  // namespace tarsier::query
