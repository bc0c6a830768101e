#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

/// One matcher as Alertmanager's configuration, its API and amtool write it: `severity="page"`,
/// `team =~ db|net`, with or without quotes around the value. kInvalid names what is wrong.
Result<tsdb::Matcher> parse_alert_matcher(std::string_view text);

/// Several of them, separated by commas, with or without braces around.
Result<std::vector<tsdb::Matcher>> parse_alert_matchers(std::string_view text);

}  // namespace tarsier::alerting
