#include "tests/query/reference_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "base/number_text.h"
#include "tests/query/reference_values.h"

namespace tarsier::testing {
namespace {

using tsdb::CounterResetHint;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The upper bound of positive bucket i.
double bound(const ReferenceHistogram& h, long i) {
  if (!h.is_custom()) return std::exp2(static_cast<double>(i) * std::exp2(-h.schema));
  if (i < 0) return -kInf;
  return i < static_cast<long>(h.bounds.size()) ? h.bounds[static_cast<std::size_t>(i)] : kInf;
}

void coarsen(ReferenceHistogram& h, int schema) {
  const auto merge = [&](std::map<long, double>& side) {
    std::map<long, double> merged;
    const double width = std::exp2(h.schema - schema);
    for (const auto& [i, count] : side) {
      merged[static_cast<long>(std::ceil(static_cast<double>(i) / width))] += count;
    }
    side = merged;
  };
  if (h.schema <= schema) return;
  merge(h.positive);
  merge(h.negative);
  h.schema = schema;
}

/// Where a zero bucket up to at least `threshold` would have to end.
double uncut_threshold(const ReferenceHistogram& h, double threshold) {
  if (threshold <= h.threshold) return threshold;
  bool moved = true;
  while (moved) {
    moved = false;
    for (const auto* side : {&h.positive, &h.negative}) {
      for (const auto& [i, count] : *side) {
        if (count != 0 && bound(h, i - 1) < threshold && bound(h, i) > threshold) {
          threshold = bound(h, i);
          moved = true;
        }
      }
    }
  }
  return threshold;
}

void widen(ReferenceHistogram& h, double threshold) {
  if (threshold <= h.threshold) return;
  for (auto* side : {&h.positive, &h.negative}) {
    for (auto it = side->begin(); it != side->end();) {
      if (bound(h, it->first - 1) >= threshold) {
        ++it;
        continue;
      }
      h.zero += it->second;
      it = side->erase(it);
    }
  }
  h.threshold = threshold;
}

void keep_bounds(ReferenceHistogram& h, const std::vector<double>& bounds) {
  std::map<long, double> moved;
  for (const auto& [i, count] : h.positive) {
    const double upper = bound(h, i);
    long target = 0;
    while (target < static_cast<long>(bounds.size()) &&
           bounds[static_cast<std::size_t>(target)] < upper) {
      ++target;
    }
    moved[target] += count;
  }
  h.positive = moved;
  h.bounds = bounds;
}

std::vector<double> common_bounds(const ReferenceHistogram& a, const ReferenceHistogram& b) {
  const std::set<double> other(b.bounds.begin(), b.bounds.end());
  std::vector<double> common;
  for (const double x : a.bounds) {
    if (other.contains(x)) common.push_back(x);
  }
  return common;
}

template <typename F>
void for_each_number(ReferenceHistogram& h, F change) {
  change(h.count);
  change(h.sum);
  change(h.zero);
  for (auto& [i, count] : h.positive) change(count);
  for (auto& [i, count] : h.negative) change(count);
}

bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

std::map<long, double> populated(const std::map<long, double>& side) {
  std::map<long, double> out;
  for (const auto& [i, count] : side) {
    if (count != 0) out[i] = count;
  }
  return out;
}

bool same_side(const std::map<long, double>& a, const std::map<long, double>& b) {
  return std::ranges::equal(populated(a), populated(b), [](const auto& x, const auto& y) {
    return x.first == y.first && same_bits(x.second, y.second);
  });
}

/// Whether any bucket of `before` is higher than it is now.
bool fell(const std::map<long, double>& before, const std::map<long, double>& now) {
  return std::ranges::any_of(before, [&](const auto& bucket) {
    const auto found = now.find(bucket.first);
    return found == now.end() ? bucket.second != 0 : found->second < bucket.second;
  });
}

CounterResetHint hint_of_sum(CounterResetHint a, CounterResetHint b, bool& collides) {
  if (a == b) return a;
  if (a == CounterResetHint::kGauge || b == CounterResetHint::kGauge) {
    return CounterResetHint::kGauge;
  }
  collides = a != CounterResetHint::kUnknown && b != CounterResetHint::kUnknown;
  return CounterResetHint::kUnknown;
}

/// Adds b to a with what is lost in `lost`; all three are aligned.
void compensated_add(ReferenceHistogram& a, ReferenceHistogram& lost, const ReferenceHistogram& b) {
  const auto add = [](double& sum, double& error, double x) {
    CompensatedSum s{.sum = sum, .lost = error};
    s.add(x);
    sum = s.sum;
    error = s.lost;
  };
  add(a.count, lost.count, b.count);
  add(a.sum, lost.sum, b.sum);
  add(a.zero, lost.zero, b.zero);
  for (const auto& [i, count] : b.positive) add(a.positive[i], lost.positive[i], count);
  for (const auto& [i, count] : b.negative) add(a.negative[i], lost.negative[i], count);
}

bool overflows(ReferenceHistogram h) {
  bool found = false;
  for_each_number(h, [&](double& v) { found = found || std::isinf(v); });
  return found;
}

std::string number(double v) { return short_number(v); }

/// Near zero, observations are on the side of the others.
void lean(const ReferenceHistogram& h, Interval& i) {
  if (h.negative.empty() && !h.positive.empty()) i.lower = 0;
  if (h.positive.empty() && !h.negative.empty()) i.upper = 0;
}

bool spans_zero(const Interval& i) { return i.lower <= 0 && i.upper >= 0; }

double share_of(const Interval& i, double x, bool linear) {
  if (linear) return (x - i.lower) / (i.upper - i.lower);
  if (i.lower > 0) return std::log2(x / i.lower) / std::log2(i.upper / i.lower);
  return 1 - std::log2(x / i.upper) / std::log2(i.lower / i.upper);
}

}  // namespace

HistogramPtr reference_of(const tsdb::FloatHistogram& h) {
  auto out = std::make_shared<ReferenceHistogram>();
  out->schema = h.layout.schema;
  out->bounds = h.layout.custom_bounds;
  out->threshold = h.layout.zero_threshold;
  out->count = h.count;
  out->sum = h.sum;
  out->zero = h.zero_count;
  out->hint = h.hint;
  const auto read = [](const std::vector<tsdb::BucketSpan>& spans,
                       const std::vector<double>& counts, std::map<long, double>& side) {
    long index = 0;
    std::size_t next = 0;
    for (const tsdb::BucketSpan& span : spans) {
      index += span.offset;
      for (std::uint32_t k = 0; k < span.length; ++k) side[index++] = counts[next++];
    }
  };
  read(h.layout.positive_spans, h.positive_counts, out->positive);
  read(h.layout.negative_spans, h.negative_counts, out->negative);
  return out;
}

tsdb::FloatHistogram stored_form_of(const ReferenceHistogram& h) {
  tsdb::FloatHistogram out;
  out.layout.schema = h.schema;
  out.layout.custom_bounds = h.bounds;
  out.layout.zero_threshold = h.threshold;
  out.count = h.count;
  out.sum = h.sum;
  out.zero_count = h.zero;
  out.hint = h.hint;
  const auto write = [](const std::map<long, double>& side, std::vector<tsdb::BucketSpan>& spans,
                        std::vector<double>& counts) {
    long next = 0;
    for (const auto& [i, count] : populated(side)) {
      if (spans.empty() || i != next) spans.push_back({static_cast<std::int32_t>(i - next), 0});
      ++spans.back().length;
      counts.push_back(count);
      next = i + 1;
    }
  };
  write(h.positive, out.layout.positive_spans, out.positive_counts);
  write(h.negative, out.layout.negative_spans, out.negative_counts);
  return out;
}

/// Empty ones too.
static std::vector<Interval> all_intervals_of(const ReferenceHistogram& h) {
  std::vector<Interval> out;
  const auto inner = [&](long i) {
    const double x = bound(h, i - 1);
    return h.is_custom() ? x : std::max(x, h.threshold);
  };
  for (auto it = h.negative.rbegin(); it != h.negative.rend(); ++it) {
    out.push_back({-bound(h, it->first), -inner(it->first), it->second});
  }
  if (h.zero > 0) out.push_back({-h.threshold, h.threshold, h.zero});
  for (const auto& [i, count] : h.positive) {
    out.push_back({inner(i), bound(h, i), count});
  }
  return out;
}

std::vector<Interval> intervals_of(const ReferenceHistogram& h) {
  std::vector<Interval> out = all_intervals_of(h);
  std::erase_if(out, [](const Interval& i) { return i.count == 0; });
  return out;
}

bool align(ReferenceHistogram& a, ReferenceHistogram& b, bool& reconciled) {
  if (a.is_custom() != b.is_custom()) return false;
  if (a.is_custom()) {
    if (a.bounds == b.bounds) return true;
    const std::vector<double> common = common_bounds(a, b);
    keep_bounds(a, common);
    keep_bounds(b, common);
    reconciled = true;
    return true;
  }
  double threshold = std::max(a.threshold, b.threshold);
  while (true) {
    const double next = uncut_threshold(b, uncut_threshold(a, threshold));
    if (next == threshold) break;
    threshold = next;
  }
  widen(a, threshold);
  widen(b, threshold);
  const int schema = std::min(a.schema, b.schema);
  coarsen(a, schema);
  coarsen(b, schema);
  return true;
}

std::optional<ReferenceSum> added(const ReferenceHistogram& a, const ReferenceHistogram& b,
                                  double sign) {
  ReferenceSum result{.histogram = a};
  ReferenceHistogram other = b;
  if (!align(result.histogram, other, result.reconciled)) return std::nullopt;
  ReferenceHistogram& h = result.histogram;
  h.hint = hint_of_sum(a.hint, b.hint, result.collides);
  h.count += sign * other.count;
  h.sum += sign * other.sum;
  h.zero += sign * other.zero;
  for (const auto& [i, count] : other.positive) h.positive[i] += sign * count;
  for (const auto& [i, count] : other.negative) h.negative[i] += sign * count;
  return result;
}

ReferenceHistogram scaled(ReferenceHistogram h, double factor) {
  for_each_number(h, [factor](double& v) { v *= factor; });
  if (factor < 0) h.hint = CounterResetHint::kGauge;
  return h;
}

ReferenceHistogram divided(ReferenceHistogram h, double divisor) {
  for_each_number(h, [divisor](double& v) { v /= divisor; });
  if (divisor < 0) h.hint = CounterResetHint::kGauge;
  if (divisor == 0) {
    h.positive.clear();
    h.negative.clear();
  }
  return h;
}

ReferenceHistogram trimmed(ReferenceHistogram h, double limit, bool keeps_below) {
  const ReferenceHistogram before = h;
  double count = 0;
  double sum = 0;
  bool changed = false;
  const auto middle = [&](double lower, double upper, bool linear, double sign) {
    if (std::isinf(lower) && std::isinf(upper)) return 0.0;
    if (std::isinf(lower)) return upper > 0 ? upper / 2 : upper;
    if (std::isinf(upper)) return lower;
    return linear ? (lower + upper) / 2 : sign * std::sqrt(std::abs(lower * upper));
  };
  const auto cut = [&](double& stored, Interval i, bool linear, double sign) {
    double kept = 0;
    double at = 0;
    if (keeps_below ? i.upper <= limit : i.lower >= limit) {
      kept = i.count;
      at = middle(i.lower, i.upper, linear, sign);
    } else if (keeps_below ? i.lower >= limit : i.upper <= limit) {
      kept = 0;
    } else if (std::isnan(limit)) {
      const bool is_zero_bucket = &stored == &h.zero;
      kept = is_zero_bucket ? limit : 0;
      at = kept;
    } else if (i.lower == -kInf) {
      const bool spreads = i.upper > 0 && i.upper < kInf;
      if (keeps_below && limit > 0 && spreads) {
        kept = i.count * limit / i.upper;
        at = limit / 2;
      } else if (keeps_below && i.upper <= 0) {
        kept = i.count;
        at = limit;
      } else if (!keeps_below && limit >= 0 && spreads) {
        kept = i.count * (1 - limit / i.upper);
        at = (limit + i.upper) / 2;
      }
    } else if (i.upper == kInf) {
      kept = keeps_below ? 0 : i.count;
      at = keeps_below ? 0 : limit;
    } else {
      const double share = share_of(i, limit, linear);
      const double below = i.count * share;
      const double above = std::isinf(i.count) ? i.count * (1 - share) : i.count - below;
      kept = keeps_below ? below : above;
      at =
          keeps_below ? middle(i.lower, limit, linear, sign) : middle(limit, i.upper, linear, sign);
    }
    changed = changed || kept != stored;
    stored = kept;
    count += kept;
    sum += kept * at;
  };
  for (auto& [i, stored] : h.positive) {
    if (stored != 0) cut(stored, {bound(h, i - 1), bound(h, i), stored}, h.is_custom(), 1);
  }
  for (auto& [i, stored] : h.negative) {
    if (stored != 0) cut(stored, {-bound(h, i), -bound(h, i - 1), stored}, false, -1);
  }
  if (h.zero > 0) {
    Interval i{-h.threshold, h.threshold, h.zero};
    const bool has_positive = !populated(before.positive).empty();
    const bool has_negative = !populated(before.negative).empty();
    if (has_negative && !has_positive) i.upper = 0;
    if (has_positive && !has_negative) i.lower = 0;
    cut(h.zero, i, true, 1);
  }
  if (!changed) return before;
  h.count = count;
  h.sum = sum;
  return compacted(h);
}

ReferenceHistogram compacted(ReferenceHistogram h) {
  h.positive = populated(h.positive);
  h.negative = populated(h.negative);
  return h;
}

bool are_equal(const ReferenceHistogram& a, const ReferenceHistogram& b) {
  return a.schema == b.schema && a.bounds == b.bounds && a.threshold == b.threshold &&
         same_bits(a.count, b.count) && same_bits(a.sum, b.sum) && same_bits(a.zero, b.zero) &&
         same_side(a.positive, b.positive) && same_side(a.negative, b.negative);
}

bool is_counter_reset(const ReferenceHistogram& previous, const ReferenceHistogram& current) {
  if (current.hint == CounterResetHint::kReset) return true;
  if (current.hint == CounterResetHint::kNotReset) return false;
  if (current.count < previous.count) return true;
  if (current.is_custom() != previous.is_custom()) return true;
  ReferenceHistogram before = previous;
  ReferenceHistogram now = current;
  if (current.is_custom()) {
    bool reconciled = false;
    align(before, now, reconciled);
    return fell(before.positive, now.positive);
  }
  if (current.schema > previous.schema || current.threshold < previous.threshold) return true;
  if (uncut_threshold(previous, current.threshold) != current.threshold) return true;
  widen(before, current.threshold);
  coarsen(before, current.schema);
  return now.zero < before.zero || fell(before.positive, now.positive) ||
         fell(before.negative, now.negative);
}

std::string text_of_histogram(const ReferenceHistogram& h) {
  std::string out = "{count:" + number(h.count) + ", sum:" + number(h.sum);
  for (auto it = h.negative.rbegin(); it != h.negative.rend(); ++it) {
    if (it->second == 0) continue;
    out += ", [" + number(-bound(h, it->first)) + "," + number(-bound(h, it->first - 1)) +
           "):" + number(it->second);
  }
  if (h.zero != 0) {
    out += ", [" + number(-h.threshold) + "," + number(h.threshold) + "]:" + number(h.zero);
  }
  for (const auto& [i, count] : h.positive) {
    if (count == 0) continue;
    out += h.is_custom() && i == 0 ? ", [" : ", (";
    out += number(bound(h, i - 1)) + "," + number(bound(h, i)) + "]:" + number(count);
  }
  return out + "}";
}

ReferenceTotal total_of(const std::vector<HistogramPtr>& histograms, bool is_mean) {
  ReferenceTotal total;
  ReferenceHistogram sum = *histograms[0];
  ReferenceHistogram lost = sum;
  for_each_number(lost, [](double& v) { v = 0; });
  bool is_running = false;
  bool saw_reset = false;
  bool saw_no_reset = false;
  for (std::size_t i = 0; i < histograms.size(); ++i) {
    saw_reset = saw_reset || histograms[i]->hint == CounterResetHint::kReset;
    saw_no_reset = saw_no_reset || histograms[i]->hint == CounterResetHint::kNotReset;
    if (i == 0) continue;
    ReferenceHistogram next = sum;
    ReferenceHistogram other = *histograms[i];
    ReferenceHistogram next_lost = lost;
    if (!align(next, other, total.reconciled)) {
      total.first_incompatible = i;
      return total;
    }
    // What was lost goes through the same changes.
    if (lost.is_custom()) {
      keep_bounds(next_lost, next.bounds);
    } else {
      widen(next_lost, next.threshold);
      coarsen(next_lost, next.schema);
    }
    bool collides = false;
    next.hint = hint_of_sum(sum.hint, other.hint, collides);
    const double n = static_cast<double>(i + 1);
    if (is_mean && !is_running) {
      ReferenceHistogram tried = next;
      ReferenceHistogram tried_lost = next_lost;
      compensated_add(tried, tried_lost, other);
      if (!overflows(tried)) {
        sum = tried;
        lost = tried_lost;
        continue;
      }
      is_running = true;
      for_each_number(next, [n](double& v) { v /= n - 1; });
      for_each_number(next_lost, [n](double& v) { v /= n - 1; });
    }
    if (is_running) {
      for_each_number(next, [n](double& v) { v *= (n - 1) / n; });
      for_each_number(next_lost, [n](double& v) { v *= (n - 1) / n; });
      for_each_number(other, [n](double& v) { v /= n; });
    }
    compensated_add(next, next_lost, other);
    sum = next;
    lost = next_lost;
  }
  total.collides = saw_reset && saw_no_reset;
  if (is_mean && !is_running) {
    const auto n = static_cast<double>(histograms.size());
    for_each_number(sum, [n](double& v) { v /= n; });
    for_each_number(lost, [n](double& v) { v /= n; });
  }
  sum.count += lost.count;
  sum.sum += lost.sum;
  sum.zero += lost.zero;
  for (const auto& [i, count] : lost.positive) sum.positive[i] += count;
  for (const auto& [i, count] : lost.negative) sum.negative[i] += count;
  total.histogram = sum;
  return total;
}

double quantile_of_histogram(double q, const ReferenceHistogram& h, std::string& info) {
  if (q < 0) return -kInf;
  if (q > 1) return kInf;
  if (h.count == 0 || std::isnan(q)) return kNan;
  std::vector<Interval> intervals = all_intervals_of(h);
  const bool upward = std::isnan(h.sum) || q < 0.5;
  double in_buckets = 0;
  for (const Interval& i : intervals) in_buckets += i.count;
  if (!upward) std::ranges::reverse(intervals);
  double rank = (upward ? q : 1 - q) * h.count;
  double seen = 0;
  Interval found;
  for (const Interval& i : intervals) {
    found = i;
    if (i.count == 0) continue;
    seen += i.count;
    if (seen >= rank) break;
  }
  if (h.is_custom() && found.lower == -kInf) {
    if (found.upper <= 0) return found.upper;
    found.lower = 0;
  } else if (h.is_custom() && found.upper == kInf) {
    return found.lower;
  } else if (!h.is_custom() && found.lower < 0 && found.upper > 0) {
    lean(h, found);
  }
  seen = std::min(seen, h.count);
  if (seen < rank) {
    if (!std::isnan(h.sum)) return found.upper;
    info = "input to histogram_quantile has NaN observations, result is NaN";
    return kNan;
  }
  if (std::isnan(h.sum) && in_buckets < h.count) {
    info = "input to histogram_quantile has NaN observations, result is skewed higher";
  }
  rank = upward ? rank - (seen - found.count) : seen - rank;
  const double share = rank / found.count;
  if (h.is_custom() || spans_zero(found)) return found.lower + (found.upper - found.lower) * share;
  const double lower = std::log2(std::abs(found.lower));
  const double upper = std::log2(std::abs(found.upper));
  if (found.lower > 0) return std::exp2(lower + (upper - lower) * share);
  return -std::exp2(upper + (lower - upper) * (1 - share));
}

double fraction_of_histogram(double lower, double upper, const ReferenceHistogram& h,
                             std::string& info) {
  if (h.count == 0 || std::isnan(lower) || std::isnan(upper)) return kNan;
  if (lower >= upper) return 0;
  std::vector<Interval> intervals = intervals_of(h);
  double in_buckets = 0;
  for (const Interval& i : intervals) in_buckets += i.count;
  double total = h.count;
  if (std::isnan(h.sum)) {
    total = in_buckets;
    if (in_buckets < h.count) {
      info =
          "input to histogram_fraction has NaN observations, which are excluded from all fractions";
    }
  }
  const auto below = [&](double x) {
    double seen = 0;
    for (Interval i : intervals) {
      const bool linear = h.is_custom() || spans_zero(i);
      if (spans_zero(i)) lean(h, i);
      if (x <= i.lower) return seen;
      if (x < i.upper) {
        return i.lower == -kInf ? i.count : seen + i.count * share_of(i, x, linear);
      }
      seen += i.count;
    }
    return total;
  };
  return (std::min(below(upper), total) - std::min(below(lower), total)) / h.count;
}

double variance_of_histogram(const ReferenceHistogram& h) {
  const double mean = h.sum / h.count;
  CompensatedSum squares;
  for (const Interval& i : intervals_of(h)) {
    double middle = 0;
    if (h.is_custom()) {
      middle = (i.lower + i.upper) / 2;
    } else if (!spans_zero(i)) {
      middle = std::sqrt(i.lower * i.upper) * (i.upper < 0 ? -1 : 1);
    }
    squares.add(i.count * (middle - mean) * (middle - mean));
  }
  return squares.sum / h.count + squares.lost / h.count;
}

}  // namespace tarsier::testing
