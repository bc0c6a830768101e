#pragma once

#include <string>
#include <string_view>

namespace tarsier {

/// `text` with every code point replaced by its simple lower or upper case (UnicodeData.txt,
/// Unicode 14; one code point becomes one code point, so `ß` stays). Bytes that are not UTF-8 are
/// kept as they are.
std::string to_lower_case(std::string_view text);
std::string to_upper_case(std::string_view text);

}  // namespace tarsier
