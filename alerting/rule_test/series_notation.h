#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// One place in a described series: a number, a histogram, or nothing.
struct DescribedSample {
  std::optional<double> value;
  std::shared_ptr<const tsdb::FloatHistogram> histogram;
};

/// `1 2+3x4 _ _x3 stale {{sum:1 count:1}}+{{...}}x2`: the values of a series of a rule test, in
/// order. kInvalid naming the item; kLimit for more samples than memory should hold.
Result<std::vector<DescribedSample>> parse_series_values(std::string_view text);

/// `name{label="value"}` or `{...}`; also nothing at all, which is no label.
Result<tsdb::Labels> parse_described_labels(std::string_view text);

}  // namespace tarsier::alerting
