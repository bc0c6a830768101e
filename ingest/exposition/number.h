#pragma once

#include <string>
#include <string_view>

namespace tarsier::ingest {

enum class NumberError : unsigned char { kNone, kSyntax, kRange };

/// Reads all of `text` as a decimal float the way the exposition formats do, which is Go's rule:
/// digits with optional sign, point and exponent, or `nan`, `inf`, `infinity` in any case (`nan`
/// without a sign). No hexadecimal, no underscores. Too large for a float64 is kRange, too small is
/// zero. A NaN gets the bits it is stored with. `value` is set only on success.
NumberError parse_number(std::string_view text, double& value);

/// `v` as OpenMetrics writes it canonically: fewest digits that read back the same, an exponent
/// when that is below -4 or above 5, and `.0` if there is then neither point nor exponent.
std::string format_openmetrics_number(double v);

}  // namespace tarsier::ingest
