#include "tsdb/head/series_growth.h"

#include <algorithm>
#include <iterator>

namespace tarsier::tsdb {

bool SeriesGrowth::is_due(Timestamp now) const {
  MutexLock lock(mutex_);
  return notes_.empty() || now >= notes_.back().at + hours(1) || now < notes_.back().at;
}

void SeriesGrowth::note(Timestamp now, std::uint64_t series_count, std::uint64_t created_count,
                        Counts metrics) {
  MutexLock lock(mutex_);
  // A clock that was set back would leave notes from the future.
  if (!notes_.empty() && now < notes_.back().at) notes_.clear();
  while (!notes_.empty() && notes_.front().at < now - hours(24)) notes_.pop_front();
  notes_.push_back(
      {now,
       series_count,
       created_count,
       {std::make_move_iterator(metrics.begin()), std::make_move_iterator(metrics.end())}});
}

SeriesGrowth::Growth SeriesGrowth::growth(const Counts& metrics) const {
  Growth out;
  MutexLock lock(mutex_);
  if (notes_.empty()) return out;
  const Note& then = notes_.front();
  out.since = then.at;
  out.series_count = then.series_count;
  out.created_count = then.created_count;
  for (const auto& [name, count] : metrics) {
    const auto found = then.metrics.find(name);
    const std::uint64_t before = found == then.metrics.end() ? 0 : found->second;
    if (count > before) out.metrics.emplace_back(name, count - before);
  }
  std::sort(out.metrics.begin(), out.metrics.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return out;
}

}  // namespace tarsier::tsdb
