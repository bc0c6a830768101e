#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "alerting/template/node.h"
#include "base/result.h"

namespace tarsier::alerting {

/// Parses `text` as the template `name` and adds it and what it defines to `trees`; a later
/// definition of a name takes the place of an earlier one, unless it is empty. kInvalid with Go's
/// text: `template: <name>:<line>: <what>`; `trees` is then as it was.
Status parse_template(std::string_view name, std::string_view text,
                      const std::function<bool(std::string_view)>& is_function,
                      TemplateTrees& trees);

}  // namespace tarsier::alerting
