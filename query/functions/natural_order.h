#pragma once

#include <compare>
#include <string_view>

namespace tarsier::query {

/// Compares runs of digits as numbers and everything else bytewise: "node2" before "node10".
std::weak_ordering natural_compare(std::string_view a, std::string_view b);

}  // namespace tarsier::query
