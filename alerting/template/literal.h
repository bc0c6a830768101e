#pragma once

#include <string>
#include <string_view>

#include "alerting/template/node.h"
#include "base/result.h"

namespace tarsier::alerting {

// Constants of Go's text/template as they are written. Errors are kInvalid with Go's text.

/// The value of a Go string literal, with its quotes: "a\n", `a`, 'a'. Nothing if it is none.
Result<std::string> unquote_go(std::string_view literal);

/// Sets whether a number node is whole or real (or both), and its values.
Status read_number(const std::string& text, Node& node);
/// The same for 'a': the number is the code point.
Status read_character_constant(const std::string& text, Node& node);

}  // namespace tarsier::alerting
