#include "tsdb/resolution.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace tarsier::tsdb {

AggregateUse aggregate_use_of(std::string_view function, Duration window) {
  if (window <= Duration{}) return AggregateUse::kLast;
  static constexpr std::array<std::pair<std::string_view, AggregateUse>, 12> kUses = {{
      {"min_over_time", AggregateUse::kMin},
      {"max_over_time", AggregateUse::kMax},
      {"sum_over_time", AggregateUse::kSum},
      {"count_over_time", AggregateUse::kCount},
      {"avg_over_time", AggregateUse::kAverage},
      {"last_over_time", AggregateUse::kLast},
      {"present_over_time", AggregateUse::kLast},
      {"absent_over_time", AggregateUse::kLast},
      {"rate", AggregateUse::kCounter},
      {"increase", AggregateUse::kCounter},
      {"xrate", AggregateUse::kCounter},
      {"xincrease", AggregateUse::kCounter},
  }};
  for (const auto& [name, use] : kUses) {
    if (name == function) return use;
  }
  return AggregateUse::kEvery;
}

void ServedResolutions::add(Duration resolution) {
  const auto place = std::lower_bound(all_.begin(), all_.end(), resolution);
  if (place == all_.end() || *place != resolution) all_.insert(place, resolution);
}

ResolutionHints common_hints(const ResolutionHints& a, const ResolutionHints& b) {
  ResolutionHints both = a;
  both.window = std::min(a.window, b.window);
  const bool has_grid = a.grid > Duration{} && b.grid > Duration{};
  both.grid = has_grid ? Duration{std::gcd(a.grid.ms, b.grid.ms)} : Duration{};
  both.is_exact_on_grid = a.is_exact_on_grid && b.is_exact_on_grid;
  both.max_for_kept = std::min(a.max_for_kept, b.max_for_kept);
  both.max_for_gone = std::min(a.max_for_gone, b.max_for_gone);
  return both;
}

}  // namespace tarsier::tsdb
