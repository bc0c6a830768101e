#pragma once

#include <string>
#include <string_view>

namespace tarsier {

/// `text` in double quotes with `"`, `\`, control and invisible characters and invalid UTF-8 escaped the way Go's
/// %q does it: error texts quote user input like this, and clients compare them.
std::string quote(std::string_view text);

}  // namespace tarsier
