#include "alerting/increase_windows.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tarsier::alerting {
namespace {

/// Read at once behind a left edge, at most what a cursor holds.
constexpr std::int64_t kAheadMs = 240'000;

double to_seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

/// Kahan's summation in Neumaier's form, as PromQL's sum promises.
struct NeumaierSum {
  double sum = 0;
  double error = 0;
  void add(double x) {
    const double t = sum + x;
    if (std::isinf(t)) {
      error = 0;
    } else if (std::fabs(sum) >= std::fabs(x)) {
      error += (sum - t) + x;
    } else {
      error += (x - t) + sum;
    }
    sum = t;
  }
  double value() const { return std::isinf(sum) ? sum : sum + error; }
};

}  // namespace

IncreaseWindows::IncreaseWindows(std::vector<tsdb::Matcher> selector, Function function,
                                 std::vector<std::string> group_by, std::vector<Duration> windows)
    : selector_(std::move(selector)),
      function_(function),
      group_by_(std::move(group_by)),
      windows_(std::move(windows)) {
  for (const Duration window : windows_) longest_ = std::max(longest_, window);
}

void IncreaseWindows::reset() {
  t_ms_ = 0;
  series_.clear();
}

void IncreaseWindows::append(Series& series, Point point) {
  if (series.count > 0 && point.v < series.newest.v) {
    series.resets.push_back({.index = series.count, .before = series.newest.v});
  }
  series.newest = point;
  ++series.count;
  // A window that is all read ahead needs no reading when its edge moves.
  for (Cursor& cursor : series.cursors) {
    const bool is_continued = cursor.index + (cursor.end - cursor.begin) == series.count - 1;
    if (is_continued && cursor.end < cursor.ahead.size()) cursor.ahead[cursor.end++] = point;
  }
}

/// Reads the longest window once, from its begin to now.
Status IncreaseWindows::start(const tsdb::SeriesSet& set, std::size_t i, Series& series) {
  series.cursors.resize(windows_.size());
  columns_.clear();
  TRY(set.read(i, {.min = {t_ms_ - longest_.ms + 1}, .max = {t_ms_}}, columns_));
  std::uint64_t index = 0;
  std::vector<bool> has_first(windows_.size());
  for (std::size_t n = 0; n < columns_.size(); ++n) {
    if (tsdb::is_stale_marker(columns_.values[n])) continue;
    const Point point{.t_ms = columns_.times_ms[n], .v = columns_.values[n]};
    for (std::size_t w = 0; w < windows_.size(); ++w) {
      if (has_first[w] || point.t_ms <= t_ms_ - windows_[w].ms) continue;
      has_first[w] = true;
      series.cursors[w] = {.ahead = {}, .index = index};
    }
    append(series, point);
    ++index;
  }
  for (std::size_t w = 0; w < windows_.size(); ++w) {
    if (!has_first[w]) series.cursors[w] = {.ahead = {}, .index = series.count};
  }
  return {};
}

Status IncreaseWindows::refill(const tsdb::SeriesSet& set, std::size_t i, const Series& series,
                               Cursor& cursor, std::int64_t after_ms) {
  cursor.begin = cursor.end = 0;
  for (std::int64_t span = kAheadMs; cursor.end == 0; span *= 16) {
    columns_.clear();
    const std::int64_t until = std::min(after_ms + span, t_ms_);
    TRY(set.read(i, {.min = {after_ms + 1}, .max = {until}}, columns_));
    for (std::size_t n = 0; n < columns_.size() && cursor.end < cursor.ahead.size(); ++n) {
      if (tsdb::is_stale_marker(columns_.values[n])) continue;
      cursor.ahead[cursor.end++] = {.t_ms = columns_.times_ms[n], .v = columns_.values[n]};
    }
    if (until == t_ms_) break;
  }
  // What the head gained since the last step is not counted yet.
  const std::uint64_t known = series.count > cursor.index ? series.count - cursor.index : 0;
  cursor.end = static_cast<std::uint32_t>(std::min<std::uint64_t>(cursor.end, known));
  return {};
}

/// Steps over what has left the window.
Status IncreaseWindows::move(const tsdb::SeriesSet& set, std::size_t i, Series& series,
                             std::size_t window) {
  Cursor& cursor = series.cursors[window];
  const std::int64_t edge = t_ms_ - windows_[window].ms;
  while (cursor.index < series.count) {
    if (cursor.begin == cursor.end) {
      // Where the cursor stands is the first sample behind the edge of the last step, or earlier.
      const std::int64_t after = cursor.end > 0 ? cursor.ahead[cursor.end - 1].t_ms : edge;
      TRY(refill(set, i, series, cursor, after));
      if (cursor.begin == cursor.end) return unavailable("samples went while they were read");
    }
    if (cursor.ahead[cursor.begin].t_ms > edge) break;
    ++cursor.begin;
    ++cursor.index;
  }
  return {};
}

Status IncreaseWindows::advance(tsdb::Queryable& storage, Timestamp t, const CancelToken* cancel) {
  const bool is_start = t_ms_ == 0;
  const std::int64_t before_ms = is_start ? t.ms - longest_.ms : t_ms_;
  const TimeRange range{.min = t - longest_, .max = t};
  const auto run = [&]() -> Status {
    const std::unique_ptr<tsdb::Querier> querier = TRY(storage.querier(range));
    const std::unique_ptr<tsdb::SeriesSet> set =
        TRY(querier->select(selector_, {.range = range}, cancel));
    t_ms_ = t.ms;
    for (std::size_t i = 0; i < set->size(); ++i) {
      const tsdb::Labels labels = set->labels(i);
      const auto [at, is_new] = series_.try_emplace(labels);
      Series& series = at->second;
      if (is_new) {
        series.group = labels.keep(group_by_);
        TRY(start(*set, i, series));
      } else {
        columns_.clear();
        TRY(set->read(i, {.min = {before_ms + 1}, .max = t}, columns_));
        const tsdb::SampleColumns fresh = columns_;
        for (std::size_t n = 0; n < fresh.size(); ++n) {
          if (tsdb::is_stale_marker(fresh.values[n])) continue;
          append(series, {.t_ms = fresh.times_ms[n], .v = fresh.values[n]});
        }
      }
      std::uint64_t oldest = series.count;
      for (std::size_t w = 0; w < windows_.size(); ++w) {
        TRY(move(*set, i, series, w));
        oldest = std::min(oldest, series.cursors[w].index);
      }
      while (!series.resets.empty() && series.resets.front().index <= oldest) {
        series.resets.pop_front();
      }
    }
    return {};
  };
  const Status status = run();
  if (!status.ok()) reset();
  return status;
}

double IncreaseWindows::value(const Series& series, std::size_t window, bool& has_value) const {
  const Cursor& cursor = series.cursors[window];
  has_value = cursor.index + 1 < series.count && cursor.begin < cursor.end &&
              series.newest.t_ms > t_ms_ - windows_[window].ms;
  if (!has_value) return 0;
  const Point first = cursor.ahead[cursor.begin];
  double change = series.newest.v - first.v;
  for (const Reset& reset : series.resets) {
    if (reset.index > cursor.index) change += reset.before;
  }
  // The engine's extrapolation, in its order of operations.
  const std::int64_t start_ms = t_ms_ - windows_[window].ms;
  const double sampled = to_seconds(series.newest.t_ms - first.t_ms);
  const double average = sampled / static_cast<double>(series.count - 1 - cursor.index);
  const double threshold = average * 1.1;
  double to_start = to_seconds(first.t_ms - start_ms);
  double to_end = to_seconds(t_ms_ - series.newest.t_ms);
  if (to_start >= threshold) to_start = average / 2;
  if (change > 0 && first.v >= 0) {
    const double to_zero = sampled * (first.v / change);
    if (to_zero < to_start) to_start = to_zero;
  }
  if (to_end >= threshold) to_end = average / 2;
  double factor = sampled == 0 ? 1 : (sampled + to_start + to_end) / sampled;
  if (function_ == Function::kRate) factor /= to_seconds(windows_[window].ms);
  return change * factor;
}

std::map<tsdb::Labels, double> IncreaseWindows::sums(std::size_t window) const {
  std::map<tsdb::Labels, NeumaierSum> sums;
  for (const auto& [labels, series] : series_) {
    bool has_value = false;
    const double v = value(series, window, has_value);
    if (!has_value) continue;
    const auto [at, is_new] = sums.try_emplace(series.group);
    if (is_new) {
      at->second.sum = v;
    } else {
      at->second.add(v);
    }
  }
  std::map<tsdb::Labels, double> out;
  for (const auto& [group, sum] : sums) out[group] = sum.value();
  return out;
}

}  // namespace tarsier::alerting
