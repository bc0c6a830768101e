#include "query/functions/mixed_kernels.h"

namespace tarsier::query {
namespace {

template <typename FloatPair, typename HistogramPair>
const MergedPairs& merge(const MixedInput& in, FloatPair&& is_float_hit,
                         HistogramPair&& is_histogram_hit) {
  thread_local MergedPairs merged;
  merged.times_ms.clear();
  merged.hits_until.clear();
  std::size_t f = 0;
  std::size_t h = 0;
  bool was_histogram = false;
  double hits = 0;
  while (f < in.floats.size() || h < in.histograms.size()) {
    const bool is_histogram =
        f == in.floats.size() ||
        (h < in.histograms.size() && in.histograms.times_ms[h] < in.floats.times_ms[f]);
    if (!merged.times_ms.empty()) {
      const bool is_hit = is_histogram != was_histogram ||
                          (is_histogram ? is_histogram_hit(h - 1, h) : is_float_hit(f - 1, f));
      if (is_hit) hits += 1;
    }
    merged.times_ms.push_back(is_histogram ? in.histograms.times_ms[h] : in.floats.times_ms[f]);
    merged.hits_until.push_back(hits);
    ++(is_histogram ? h : f);
    was_histogram = is_histogram;
  }
  return merged;
}

}  // namespace

const MergedPairs& merged_resets(const MixedInput& in) {
  return merge(
      in,
      [&](std::size_t a, std::size_t b) {
        return in.floats.values[b] < in.floats.values[a] || in.started_floats().is_restart_at(b);
      },
      [&](std::size_t a, std::size_t b) {
        return in.started_histograms().is_restart_at(b) ||
               is_reset(view_of(in.histograms, b), view_of(in.histograms, a));
      });
}

const MergedPairs& merged_changes(const MixedInput& in) {
  return merge(
      in,
      [&](std::size_t a, std::size_t b) {
        const double before = in.floats.values[a];
        const double now = in.floats.values[b];
        return now != before && !(now != now && before != before);
      },
      [&](std::size_t a, std::size_t b) {
        return !is_equal(view_of(in.histograms, a), view_of(in.histograms, b));
      });
}

}  // namespace tarsier::query
