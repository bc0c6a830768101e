#include "query/plan/resolution_choice.h"

#include <algorithm>
#include <numeric>

namespace tarsier::query {
namespace {

using tsdb::AggregateUse;

/// Thanos' share: a fifth of the step.
constexpr std::int64_t kShare = 5;
constexpr std::int64_t kRowsOfCounter = 2;

/// What all window ends and begins are multiples of.
Duration grid_of(const Windows& windows, Duration window) {
  std::int64_t grid = windows.first_end_ms;
  if (windows.count > 1) grid = std::gcd(grid, windows.stride_ms);
  if (window > Duration{}) grid = std::gcd(grid, window.ms);
  return Duration{grid < 0 ? -grid : grid};
}

bool is_answered_by_rows(AggregateUse use) {
  return use != AggregateUse::kCounter && use != AggregateUse::kEvery;
}

Duration auto_limit(const SelectorUse& use) {
  if (!use.is_ranged_query) return Duration{use.window.ms / (kShare * kRowsOfCounter)};
  const Duration of_step{use.windows.stride_ms / kShare};
  return use.window > Duration{} ? std::min(of_step, Duration{use.window.ms / kShare}) : of_step;
}

}  // namespace

tsdb::ResolutionHints choose_resolution(const ResolutionWish& wish, const SelectorUse& use) {
  tsdb::ResolutionHints hints;
  hints.use =
      use.looks_beyond ? AggregateUse::kEvery : tsdb::aggregate_use_of(use.function, use.window);
  hints.window = use.window;
  if (!use.looks_beyond) hints.grid = grid_of(use.windows, use.window);
  hints.max_for_gone = auto_limit(use);
  switch (wish.mode) {
    case ResolutionWish::Mode::kExact: hints.is_exact_on_grid = true; break;
    case ResolutionWish::Mode::kAuto:
      hints.is_exact_on_grid = true;
      hints.max_for_kept = hints.max_for_gone;
      break;
    case ResolutionWish::Mode::kUpTo: {
      const bool takes_two = *hints.use == AggregateUse::kCounter;
      hints.max_for_kept =
          takes_two ? std::min(wish.max, Duration{use.window.ms / kRowsOfCounter}) : wish.max;
      hints.max_for_gone = hints.max_for_kept;
      break;
    }
  }
  hints.is_exact_on_grid = hints.is_exact_on_grid && is_answered_by_rows(*hints.use);
  if (*hints.use == AggregateUse::kEvery) hints.max_for_kept = {};
  return hints;
}

}  // namespace tarsier::query
