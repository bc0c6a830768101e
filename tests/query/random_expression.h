#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/table_storage.h"

namespace tarsier::testing {

/// A small, nasty set of series around 0 to 20 minutes: counters with resets, gaps and staleness,
/// gauges with NaN and infinities, classic histograms, odd sampling times.
TableStorage make_nasty_storage();
/// The same and native histograms: counters with resets, gaps, staleness and changing layouts,
/// gauges, custom buckets whose bounds differ, observations of NaN, and series that change kind.
TableStorage make_nasty_histogram_storage();

/// Writes random PromQL about the series of make_nasty_storage: the whole stable language, mostly
/// well typed and mostly answerable. The same seed gives the same expressions with the
/// same compiler (the order in which arguments are evaluated is its own).
class RandomExpression final {
 public:
  enum class Data : unsigned char { kFloats, kHistograms };
  explicit RandomExpression(std::uint32_t seed, Data data = Data::kFloats)
      : random_(seed), has_histograms_(data == Data::kHistograms) {}

  std::string vector(int depth);
  std::string scalar(int depth);
  std::string matrix(int depth);
  /// Below `n`.
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  std::string pick(const std::vector<std::string>& choices) {
    return choices[static_cast<std::size_t>(below(static_cast<int>(choices.size())))];
  }
  bool one_in(int n) { return below(n) == 0; }
  std::string selector();
  std::string modifiers();
  std::string number();
  std::string duration();
  std::string range_call(int depth);
  std::string value_call(int depth);
  std::string label_call(int depth);
  std::string histogram_call(int depth);
  std::string aggregation(int depth);
  std::string binary(int depth);
  std::string matched_binary(int depth);

  std::string native_call(int depth);

  std::mt19937 random_;
  const bool has_histograms_;
};

}  // namespace tarsier::testing
