#pragma once

#include <string>
#include <string_view>

namespace tarsier {

// Letters and blanks of ASCII, whatever the locale; every other byte is left as it is.

/// `text` with A-Z as a-z.
std::string ascii_lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);
/// A view into `text` without the spaces, tabs and line ends around it.
std::string_view trimmed(std::string_view text);

}  // namespace tarsier
