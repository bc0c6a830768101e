#include "tsdb/block/aggregate_rows.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

std::int64_t window_of(std::int64_t t, std::int64_t resolution) {
  const std::int64_t number = t / resolution;
  return t % resolution < 0 ? number - 1 : number;
}

/// What rate() and its kind see between two samples.
double increase_between(double before, double after) {
  return after < before ? after : after - before;
}

/// One window being filled.
struct Row {
  std::int64_t window = 0;
  std::int64_t last_ms = 0;
  double count = 0;
  double sum = 0;
  double min = 0;
  double max = 0;
  double last = 0;
  double before = 0;  // The last value of the row before, or the first of this one.
  double increase = 0;

  void begin(std::int64_t number, double previous) {
    *this = Row();
    window = number;
    before = previous;
    last = previous;
  }
  void add(std::int64_t t, double v) {
    min = count == 0 ? v : std::min(min, v);
    max = count == 0 ? v : std::max(max, v);
    increase += increase_between(last, v);
    count += 1;
    sum += v;
    last = v;
    last_ms = t;
  }
  void append_to(AggregateRows& rows) const {
    const bool is_seen = increase == increase_between(before, last);
    rows.times_ms.push_back(last_ms);
    rows.columns[AggregateRows::kCount].push_back(count);
    rows.columns[AggregateRows::kSum].push_back(sum);
    rows.columns[AggregateRows::kMin].push_back(min);
    rows.columns[AggregateRows::kMax].push_back(max);
    rows.columns[AggregateRows::kLast].push_back(last);
    rows.columns[AggregateRows::kPeak].push_back(is_seen ? 0 : before + increase - last);
  }
};

/// Writes the samples of one row. Times go backwards from the row's to after `floor_ms`.
class RowExpander final {
 public:
  RowExpander(const AggregateRows& rows, const AggregateReading& reading, TimeRange range,
              SampleColumns& out)
      : rows_(rows), reading_(reading), range_(range), out_(out) {}

  void expand(std::size_t i) {
    const std::int64_t end = rows_.times_ms[i];
    const std::int64_t resolution = reading_.resolution.ms;
    std::int64_t floor = window_of(end, resolution) * resolution - 1;
    if (i > 0) floor = std::max(floor, rows_.times_ms[i - 1]);
    const auto count = static_cast<std::int64_t>(at(AggregateRows::kCount, i));
    const std::int64_t span = std::max<std::int64_t>(1, end - floor);
    const std::int64_t spacing = std::max<std::int64_t>(1, reading_.spacing.ms);
    std::int64_t pieces = (span + spacing - 1) / spacing;
    if (reading_.use == AggregateUse::kCount) pieces = count;
    pieces = std::clamp<std::int64_t>(pieces, 1, span);
    if (reading_.use == AggregateUse::kCounter) return expand_counter(i, floor, end, pieces);
    const double value = value_of(i, static_cast<double>(pieces));
    for (std::int64_t k = pieces - 1; k >= 0; --k) put(end - span * k / pieces, value);
  }

 private:
  double at(AggregateRows::Column column, std::size_t i) const { return rows_.columns[column][i]; }
  void put(std::int64_t t, double v) {
    const bool is_later = out_.size() == begin_ || out_.times_ms.back() < t;
    if (range_.contains(Timestamp{t}) && is_later) out_.push_back(Timestamp{t}, v);
  }

  double value_of(std::size_t i, double pieces) const {
    switch (reading_.use) {
      case AggregateUse::kMin: return at(AggregateRows::kMin, i);
      case AggregateUse::kMax: return at(AggregateRows::kMax, i);
      case AggregateUse::kSum: return at(AggregateRows::kSum, i) / pieces;
      case AggregateUse::kLast: return at(AggregateRows::kLast, i);
      case AggregateUse::kCount: return 1;
      default: return at(AggregateRows::kSum, i) / at(AggregateRows::kCount, i);
    }
  }

  void expand_counter(std::size_t i, std::int64_t floor, std::int64_t end, std::int64_t pieces) {
    const double last = at(AggregateRows::kLast, i);
    const double peak = at(AggregateRows::kPeak, i);
    const double target = peak != 0 ? peak : last;
    // The first row begins where its window does, with its least value, if that was its first.
    const double from = i > 0 ? at(AggregateRows::kLast, i - 1) : at(AggregateRows::kMin, i);
    const std::int64_t begin = i > 0 ? rows_.times_ms[i - 1] : floor + 1;
    if (target >= from && (i > 0 || peak == 0)) {
      for (std::int64_t k = pieces - 1; k > 0; --k) {
        const std::int64_t t = end - (end - floor) * k / pieces;
        if (t <= begin) continue;
        const double part = static_cast<double>(t - begin) / static_cast<double>(end - begin);
        put(t, from + (target - from) * part);
      }
    }
    if (peak != 0 && end - 2 > floor) {
      put(end - 2, peak);
      // One that has overtaken it since would hide that it was reset.
      if (last >= peak) put(end - 1, 0);
    }
    put(end, last);
  }

  const AggregateRows& rows_;
  const AggregateReading& reading_;
  const TimeRange range_;
  SampleColumns& out_;
  const std::size_t begin_ = out_.size();
};

}  // namespace

void aggregate_samples(const SampleColumns& samples, Duration resolution, AggregateRows& rows) {
  CHECK(resolution.ms > 0);
  Row row;
  bool is_open = false;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double v = samples.values[i];
    if (std::isnan(v)) continue;
    const std::int64_t window = window_of(samples.times_ms[i], resolution.ms);
    if (!is_open || window != row.window) {
      if (is_open) row.append_to(rows);
      row.begin(window, is_open ? row.last : v);
      is_open = true;
    }
    row.add(samples.times_ms[i], v);
  }
  if (is_open) row.append_to(rows);
}

void expand_rows(const AggregateRows& rows, const AggregateReading& reading, TimeRange range,
                 SampleColumns& out) {
  RowExpander expander(rows, reading, range, out);
  for (std::size_t i = 0; i < rows.size(); ++i) expander.expand(i);
}

}  // namespace tarsier::tsdb
