#pragma once

#include <string>
#include <string_view>

#include "alerting/rule_test.h"
#include "base/result.h"

namespace tarsier::server {

/// Reads promtool's unit-test file. Patterns of rule files become relative to the working
/// directory. kInvalid with everything that is wrong, line by line.
Result<alerting::RuleTestFile> parse_rule_test_file(std::string_view text, const std::string& path);

}  // namespace tarsier::server
