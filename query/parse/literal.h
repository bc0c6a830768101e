#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::query {

/// The value of a number token: decimal, hexadecimal, octal with a leading zero, Inf or NaN.
/// kInvalid with the text Prometheus gives, such as a number beyond the range of a double.
Result<double> parse_number(std::string_view text);

/// The contents of a string token. REQUIRES: the lexer took it for a string.
std::string unquote(std::string_view literal);

}  // namespace tarsier::query
