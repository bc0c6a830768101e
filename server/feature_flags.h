#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tarsier::server {

class Flags;

// --enable-feature: Prometheus' names, in comma-separated lists.

bool has_feature(const Flags& flags, std::string_view name);
/// What to tell of the names given: unknown ones, and those that change nothing here.
std::vector<std::string> feature_warnings(const Flags& flags);

}  // namespace tarsier::server
