#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tests/query/histogram_notation.h"
#include "tsdb/labels.h"

namespace tarsier::testing {

/// One line of a promqltest script: `name{l="v"} 0+10x3 _ stale NaN`.
struct SeriesLine {
  tsdb::Labels labels;
  /// Value by slot; nothing where the slot has no sample. Stale markers have their bits.
  std::vector<std::optional<double>> slots;
  /// Native histograms by slot, which is otherwise empty.
  std::map<std::size_t, HistogramLiteral> histograms;
};

Result<SeriesLine> parse_series_line(std::string_view line);
/// The labels at the front of `line`, and what follows them.
Result<std::pair<tsdb::Labels, std::string_view>> parse_labels_prefix(std::string_view line);
/// Only the values. Each is `n`, `nxN`, `a+bxN`, `a-bxN`, `_`, `_xN`, `stale`, or a
/// histogram with the same forms: `{{...}}`, `{{...}}xN`, `{{...}}+{{...}}xN`.
Status append_slots(std::string_view values, SeriesLine& line);
/// A number as scripts write it: decimal, with sign, Inf or NaN.
std::optional<double> parse_value(std::string_view text);

}  // namespace tarsier::testing
