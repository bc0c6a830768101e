#pragma once

#include <string>
#include <vector>

#include "tests/bench/compare_peer.h"
#include "tests/bench/compare_round.h"

namespace tarsier::bench {

/// `rounds[r][p]` is what peer p showed in round r. The medians as a Markdown document.
std::string comparison_table(const std::vector<Peer>& peers, const Workload& workload,
                             const std::vector<std::vector<Figures>>& rounds, double floor,
                             const std::string& machine);

}  // namespace tarsier::bench
