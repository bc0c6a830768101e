#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace tarsier::tsdb {

/// What a reader makes of samples, and so which column of a row stands for those of its window
/// (FORMAT.md, "downsampled block").
enum class AggregateUse : unsigned char {
  kLast,  ///< The newest one: every instant selector, too.
  kMin,
  kMax,
  kSum,
  kCount,
  kAverage,
  kCounter,
  kEvery,  ///< Each by itself; where they are gone, the newest of each window.
};
/// `window` is the range selector's length, 0 for an instant selector.
AggregateUse aggregate_use_of(std::string_view function, Duration window);

/// Which resolutions served a selection: 0 is the samples themselves. Sorted, each once. Told by
/// the thread that selects.
class ServedResolutions final {
 public:
  void add(Duration resolution);
  const std::vector<Duration>& all() const { return all_; }

 private:
  std::vector<Duration> all_;
};

/// How coarse rows may be that stand for samples. All zero, the default: rows are read only where
/// nothing finer is.
struct ResolutionHints {
  /// As the function in SelectHints says if absent.
  std::optional<AggregateUse> use;
  /// The shortest window samples are read through; 0 when one of the readers is an instant
  /// selector.
  Duration window{0};
  /// Every window that is read begins and ends at a multiple of this; 0: of nothing in particular.
  Duration grid{0};
  /// Rows whose windows make up such windows give the answer samples give, but for rounding.
  bool is_exact_on_grid = false;
  Duration max_for_kept{0};  ///< Rows up to this may stand for samples that are kept.
  Duration max_for_gone{0};  ///< For samples that are gone, where finer rows are kept, too.
  ServedResolutions* served = nullptr;  ///< Is told what served the selection; may be null.

  bool is_on_grid(Duration resolution) const {
    return grid > Duration{} && resolution > Duration{} && grid.ms % resolution.ms == 0;
  }
  bool serves_kept(Duration resolution) const {
    return resolution <= max_for_kept || (is_exact_on_grid && is_on_grid(resolution));
  }
  bool serves_gone(Duration resolution) const {
    return resolution <= max_for_gone || serves_kept(resolution);
  }
};
/// What both allow: for two readers of one selection, whose `use` is the same.
ResolutionHints common_hints(const ResolutionHints& a, const ResolutionHints& b);

}  // namespace tarsier::tsdb
