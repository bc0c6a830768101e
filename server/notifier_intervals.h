#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/time_interval.h"
#include "base/result.h"
#include "server/config.h"
#include "server/config_fields.h"

namespace tarsier::server {

/// Reads `time_intervals` of a notifier's configuration, or `mute_time_intervals`, its older name:
/// maintenance windows and office hours, by the name routes use. Names are unique over both.
Status read_time_intervals(
    MapReader& top, std::string_view name, const ConfigSources& sources,
    std::map<std::string, std::vector<alerting::TimeInterval>, std::less<>>& out);

}  // namespace tarsier::server
