#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier::tracing {

// A set that may say yes by mistake, in about one of a hundred cases, and never no (Bloom 1970):
// ten bits and six probes for each member (FORMAT.md, "Filter").

/// Spreads the bytes of a member over 64 bits. Stored: never change it.
std::uint64_t filter_hash(std::string_view member);
/// The filter over these hashes; empty for none.
std::string build_filter(const std::vector<std::uint64_t>& hashes);
/// Whether a member with this hash may be in it. An empty filter holds nothing.
bool filter_may_hold(std::string_view filter, std::uint64_t hash);

}  // namespace tarsier::tracing
