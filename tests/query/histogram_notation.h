#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "tsdb/histogram.h"

namespace tarsier::testing {

/// `{{schema:0 count:3 sum:6.5 buckets:[1 2]}}`: a native histogram as test scripts write it.
struct HistogramLiteral {
  tsdb::FloatHistogram histogram;
  bool has_hint = false;  ///< The hint was written, so it is to be compared.
};

/// Takes one from the front of `text`, which is then what follows it.
Result<HistogramLiteral> take_histogram(std::string_view& text);
/// The whole text. Fails the program for a literal that is none: for literals in tests.
tsdb::FloatHistogram histogram_of(std::string_view text);
/// The literal of a histogram, its hint included.
std::string notation_of(const tsdb::FloatHistogram& h);

}  // namespace tarsier::testing
