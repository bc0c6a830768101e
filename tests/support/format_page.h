#pragma once

#include <string>

namespace tarsier::testing {

/// The bytes of the worked example in a section of a FORMAT.md: its blocks fenced as ```hex, in
/// which three blanks begin a comment. Empty if there is no such section.
std::string format_example(const std::string& page_path, const std::string& section);

}  // namespace tarsier::testing
