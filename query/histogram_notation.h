#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "tsdb/histogram.h"

namespace tarsier::query {

// Native histograms as rule tests write them:
// `{{schema:0 count:3 sum:6.5 z_bucket:1 z_bucket_w:0.001 buckets:[1 1] offset:-1}}`.

/// Takes one from the front of `text`, which is then what follows it. kInvalid says what is wrong.
Result<tsdb::FloatHistogram> take_histogram(std::string_view& text);

/// The notation of a histogram; take_histogram reads it back. Empty buckets at the ends are left
/// out.
std::string histogram_notation(const tsdb::FloatHistogram& histogram);

/// The same observations and the same hint about counter resets, bit by bit; empty buckets do not
/// count.
bool is_same_histogram(const tsdb::FloatHistogram& a, const tsdb::FloatHistogram& b);

/// a + factor * b, as a series description `a+bxn` means it. kInvalid when their buckets cannot be
/// reconciled.
Result<tsdb::FloatHistogram> sum_of(const tsdb::FloatHistogram& a, double factor,
                                    const tsdb::FloatHistogram& b);

}  // namespace tarsier::query
