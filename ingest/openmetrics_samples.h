#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

/// One sample of a text with timestamps.
struct TextSample {
  std::string_view section;  ///< The series as it stands in the text, which it borrows.
  tsdb::Sample sample;
  /// Parses the section; only needed for one that was not seen before.
  std::function<Result<tsdb::Labels>()> labels;
};

/// Walks OpenMetrics 1.0 text (it may be a mapped file) and hands out every sample. kInvalid with
/// the line for text that is none, and for a sample without a time; stops at the first error, also
/// of `take`.
Status read_openmetrics_samples(std::string_view text,
                                const std::function<Status(const TextSample&)>& take);

}  // namespace tarsier::ingest
