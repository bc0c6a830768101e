#include "tests/query/reference_values.h"

#include <algorithm>
#include <limits>

namespace tarsier::testing {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using query::BinaryOp;
using query::FunctionId;

double seconds_between(Timestamp a, Timestamp b) { return static_cast<double>(b.ms - a.ms) / 1000; }

std::vector<double> values_of(const Window& w) {
  std::vector<double> values;
  for (const tsdb::Sample& s : w.samples) values.push_back(s.v);
  return values;
}

/// rate, increase and delta: the change between first and last, extrapolated to the window's ends.
std::optional<double> extrapolated(FunctionId id, const Window& w) {
  if (w.samples.size() < 2) return std::nullopt;
  const bool is_counter = id != FunctionId::kDelta;
  const tsdb::Sample& first = w.samples.front();
  const tsdb::Sample& last = w.samples.back();
  double change = last.v - first.v;
  if (is_counter) {
    for (std::size_t i = 1; i < w.samples.size(); ++i) {
      if (w.samples[i].v < w.samples[i - 1].v) change += w.samples[i - 1].v;
    }
  }
  const double sampled = seconds_between(first.t, last.t);
  const double average = sampled / static_cast<double>(w.samples.size() - 1);
  const double threshold = average * 1.1;
  double to_start = seconds_between(w.start, first.t);
  double to_end = seconds_between(last.t, w.end);
  if (to_start >= threshold) to_start = average / 2;
  if (is_counter && change > 0 && first.v >= 0) {
    to_start = std::min(to_start, sampled * (first.v / change));
  }
  if (to_end >= threshold) to_end = average / 2;
  double factor = sampled == 0 ? 1 : (sampled + to_start + to_end) / sampled;
  if (id == FunctionId::kRate) factor /= seconds_between(w.start, w.end);
  return change * factor;
}

std::optional<double> instantaneous(FunctionId id, const Window& w) {
  if (w.samples.size() < 2) return std::nullopt;
  const tsdb::Sample& last = w.samples[w.samples.size() - 1];
  const tsdb::Sample& previous = w.samples[w.samples.size() - 2];
  if (last.t == previous.t) return std::nullopt;
  if (id == FunctionId::kIdelta) return last.v - previous.v;
  const double change = last.v < previous.v ? last.v : last.v - previous.v;
  return change / seconds_between(previous.t, last.t);
}

double variance(const std::vector<double>& values) {
  double count = 0;
  CompensatedSum mean;
  CompensatedSum squares;
  for (const double v : values) {
    count += 1;
    const double difference = v - mean.value();
    mean.add(difference / count);
    squares.add(difference * (v - mean.value()));
  }
  return squares.value() / count;
}

struct Line {
  double slope = 0;
  double intercept = 0;
};

Line regression(const std::vector<tsdb::Sample>& samples, Timestamp origin) {
  CompensatedSum x_sum;
  CompensatedSum y_sum;
  CompensatedSum xy_sum;
  CompensatedSum xx_sum;
  bool all_equal = true;
  for (const tsdb::Sample& s : samples) {
    if (s.v != samples.front().v) all_equal = false;
    const double x = seconds_between(origin, s.t);
    x_sum.add(x);
    y_sum.add(s.v);
    xy_sum.add(x * s.v);
    xx_sum.add(x * x);
  }
  if (all_equal) {
    const double y = samples.front().v;
    if (std::isinf(y)) return {.slope = kNan, .intercept = kNan};
    return {.slope = 0, .intercept = y};
  }
  const auto n = static_cast<double>(samples.size());
  const double covariance = xy_sum.value() - x_sum.value() * y_sum.value() / n;
  const double x_variance = xx_sum.value() - x_sum.value() * x_sum.value() / n;
  const double slope = covariance / x_variance;
  return {.slope = slope, .intercept = y_sum.value() / n - slope * x_sum.value() / n};
}

/// Of the proleptic Gregorian calendar, counted day by day from 1970.
struct Date {
  std::int64_t year = 1970;
  int month = 1;        // 1 to 12
  int day = 1;          // 1 to 31
  int day_of_year = 1;  // 1 to 366
  int days_in_month = 31;
  int day_of_week = 4;  // 0 is Sunday
  int hour = 0;
  int minute = 0;
};

bool is_leap_year(std::int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int days_in(std::int64_t year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDays[month - 1] + (month == 2 && is_leap_year(year) ? 1 : 0);
}

Date date_of(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  std::int64_t days = whole / 86400;
  std::int64_t rest = whole % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  Date date;
  date.hour = static_cast<int>(rest / 3600);
  date.minute = static_cast<int>(rest / 60 % 60);
  date.day_of_week = static_cast<int>(((days + 4) % 7 + 7) % 7);
  date.year += 400 * (days / 146097);  // Four centuries are always as long.
  days %= 146097;
  for (; days < 0; days += is_leap_year(date.year) ? 366 : 365) --date.year;
  for (int length = 0; days >= (length = is_leap_year(date.year) ? 366 : 365); days -= length) {
    ++date.year;
  }
  date.day_of_year = static_cast<int>(days) + 1;
  for (; days >= days_in(date.year, date.month); ++date.month) {
    days -= days_in(date.year, date.month);
  }
  date.day = static_cast<int>(days) + 1;
  date.days_in_month = days_in(date.year, date.month);
  return date;
}

bool almost_equal(double a, double b, double tolerance) {
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  constexpr double kMin = std::numeric_limits<double>::min();
  const double sum = std::abs(a) + std::abs(b);
  if (a == 0 || b == 0 || sum < kMin) return std::abs(a - b) < tolerance * kMin;
  return std::abs(a - b) / std::min(sum, std::numeric_limits<double>::max()) < tolerance;
}

/// Sorted by bound, with the counts of equal bounds added. Empty if the last is not +Inf.
std::vector<Bucket> normalized(std::vector<Bucket> buckets) {
  std::ranges::stable_sort(buckets, {}, &Bucket::upper);
  if (buckets.empty() || buckets.back().upper != kInf) return {};
  std::vector<Bucket> merged;
  for (const Bucket& b : buckets) {
    if (!merged.empty() && merged.back().upper == b.upper) {
      merged.back().count += b.count;
    } else {
      merged.push_back(b);
    }
  }
  return merged;
}

std::optional<MonotonicityFix> make_monotonic(std::vector<Bucket>& buckets) {
  std::optional<MonotonicityFix> fix;
  double previous = buckets[0].count;
  for (std::size_t i = 1; i < buckets.size(); ++i) {
    const double count = buckets[i].count;
    if (count == previous) continue;
    if (almost_equal(previous, count, 1e-12)) {
      buckets[i].count = previous;
    } else if (count < previous) {
      if (!fix) fix = MonotonicityFix{.lowest = buckets[i].upper};
      fix->highest = buckets[i].upper;
      fix->difference_max = std::max(fix->difference_max, previous - count);
      buckets[i].count = previous;
    } else {
      previous = count;
    }
  }
  return fix;
}

}  // namespace

double compensated_mean(const std::vector<double>& values) {
  CompensatedSum sum;
  bool incremental = false;
  double count = 0;
  for (const double x : values) {
    count += 1;
    if (count == 1) {
      sum.sum = x;
      continue;
    }
    if (!incremental) {
      CompensatedSum next = sum;
      next.add(x);
      if (!std::isinf(next.sum)) {
        sum = next;
        continue;
      }
      incremental = true;
      sum.sum /= count - 1;
      sum.lost /= count - 1;
    }
    const double q = (count - 1) / count;
    sum.sum *= q;
    sum.lost *= q;
    sum.add(x / count);
  }
  if (incremental) return sum.value();
  return sum.sum / count + sum.lost / count;
}

double quantile_of(double q, std::vector<double> values) {
  if (values.empty() || std::isnan(q)) return kNan;
  if (q < 0) return -kInf;
  if (q > 1) return kInf;
  std::ranges::sort(values, [](double a, double b) {
    if (std::isnan(a)) return !std::isnan(b);
    return a < b;
  });
  const auto n = static_cast<double>(values.size());
  const double rank = q * (n - 1);
  const double lower = std::max(0.0, std::floor(rank));
  const double upper = std::min(n - 1, lower + 1);
  const double weight = rank - std::floor(rank);
  return values[static_cast<std::size_t>(lower)] * (1 - weight) +
         values[static_cast<std::size_t>(upper)] * weight;
}

std::optional<double> range_function(FunctionId id, const Window& w,
                                     const std::vector<double>& parameters, Timestamp step_time) {
  if (w.samples.empty()) return std::nullopt;
  const std::vector<double> values = values_of(w);
  switch (id) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta: return extrapolated(id, w);
    case FunctionId::kIrate:
    case FunctionId::kIdelta: return instantaneous(id, w);
    case FunctionId::kChanges:
    case FunctionId::kResets: {
      double count = 0;
      for (std::size_t i = 1; i < values.size(); ++i) {
        const bool is_change =
            values[i] != values[i - 1] && !(std::isnan(values[i]) && std::isnan(values[i - 1]));
        const bool is_reset = values[i] < values[i - 1];
        if (id == FunctionId::kChanges ? is_change : is_reset) count += 1;
      }
      return count;
    }
    case FunctionId::kSumOverTime: {
      CompensatedSum sum;
      for (const double v : values) sum.add(v);
      return std::isinf(sum.sum) ? sum.sum : sum.value();
    }
    case FunctionId::kAvgOverTime: return compensated_mean(values);
    case FunctionId::kMinOverTime:
    case FunctionId::kMaxOverTime: {
      double best = values[0];
      for (const double v : values) {
        const bool is_better = id == FunctionId::kMinOverTime ? v < best : v > best;
        if (is_better || std::isnan(best)) best = v;
      }
      return best;
    }
    case FunctionId::kCountOverTime: return static_cast<double>(values.size());
    case FunctionId::kPresentOverTime: return 1;
    case FunctionId::kLastOverTime: return values.back();
    case FunctionId::kFirstOverTime: return values.front();
    case FunctionId::kStdvarOverTime: return variance(values);
    case FunctionId::kStddevOverTime: return std::sqrt(variance(values));
    case FunctionId::kQuantileOverTime: return quantile_of(parameters[0], values);
    case FunctionId::kDeriv:
      if (values.size() < 2) return std::nullopt;
      return regression(w.samples, w.samples.front().t).slope;
    case FunctionId::kPredictLinear: {
      if (values.size() < 2) return std::nullopt;
      const Line line = regression(w.samples, step_time);
      return line.slope * parameters[0] + line.intercept;
    }
    default: CHECK(false, "not a function of the stable language over ranges"); return std::nullopt;
  }
}

bool is_value_function(FunctionId id) {
  const query::FunctionSignature& f = query::function_of(id);
  switch (id) {
    case FunctionId::kAbsent:
    case FunctionId::kScalar:
    case FunctionId::kSort:
    case FunctionId::kSortDesc:
    case FunctionId::kTimestamp:
    case FunctionId::kStartTimestamp:
    case FunctionId::kHistogramAvg:
    case FunctionId::kHistogramCount:
    case FunctionId::kHistogramSum:
    case FunctionId::kHistogramStddev:
    case FunctionId::kHistogramStdvar: return false;
    default:
      return f.argument_types.size() == 1 && f.argument_types[0] == query::ValueType::kVector;
  }
}

double value_function(FunctionId id, double v) {
  constexpr double kPi = 3.14159265358979323846;
  switch (id) {
    case FunctionId::kAbs: return std::abs(v);
    case FunctionId::kCeil: return std::ceil(v);
    case FunctionId::kFloor: return std::floor(v);
    case FunctionId::kExp: return std::exp(v);
    case FunctionId::kSqrt: return std::sqrt(v);
    case FunctionId::kLn: return std::log(v);
    case FunctionId::kLog2: return std::log2(v);
    case FunctionId::kLog10: return std::log10(v);
    case FunctionId::kSgn: return v < 0 ? -1 : v > 0 ? 1 : v;
    case FunctionId::kSin: return std::sin(v);
    case FunctionId::kCos: return std::cos(v);
    case FunctionId::kTan: return std::tan(v);
    case FunctionId::kAsin: return std::asin(v);
    case FunctionId::kAcos: return std::acos(v);
    case FunctionId::kAtan: return std::atan(v);
    case FunctionId::kSinh: return std::sinh(v);
    case FunctionId::kCosh: return std::cosh(v);
    case FunctionId::kTanh: return std::tanh(v);
    case FunctionId::kAsinh: return std::asinh(v);
    case FunctionId::kAcosh: return std::acosh(v);
    case FunctionId::kAtanh: return std::atanh(v);
    case FunctionId::kDeg: return v * 180 / kPi;
    case FunctionId::kRad: return v * kPi / 180;
    default: break;
  }
  if (!(std::abs(v) < 1e15)) return kNan;  // What a calendar says of such times is not defined.
  const Date date = date_of(v);
  switch (id) {
    case FunctionId::kYear: return static_cast<double>(date.year);
    case FunctionId::kMonth: return date.month;
    case FunctionId::kDayOfMonth: return date.day;
    case FunctionId::kDayOfWeek: return date.day_of_week;
    case FunctionId::kDayOfYear: return date.day_of_year;
    case FunctionId::kDaysInMonth: return date.days_in_month;
    case FunctionId::kHour: return date.hour;
    case FunctionId::kMinute: return date.minute;
    default: break;
  }
  CHECK(false, "not a function of one value");
  return 0;
}

double binary_value(BinaryOp op, double left, double right) {
  switch (op) {
    case BinaryOp::kAdd: return left + right;
    case BinaryOp::kSubtract: return left - right;
    case BinaryOp::kMultiply: return left * right;
    case BinaryOp::kDivide: return left / right;
    case BinaryOp::kModulo: return std::fmod(left, right);
    case BinaryOp::kPower: return std::pow(left, right);
    case BinaryOp::kAtan2: return std::atan2(left, right);
    case BinaryOp::kEqual: return left == right;
    case BinaryOp::kNotEqual: return left != right;
    case BinaryOp::kLess: return left < right;
    case BinaryOp::kLessEqual: return left <= right;
    case BinaryOp::kGreater: return left > right;
    case BinaryOp::kGreaterEqual: return left >= right;
    default: break;
  }
  CHECK(false, "not an operator of two floats");
  return 0;
}

double histogram_quantile_of(double q, std::vector<Bucket> buckets,
                             std::optional<MonotonicityFix>& fix) {
  if (std::isnan(q)) return kNan;
  if (q < 0) return -kInf;
  if (q > 1) return kInf;
  buckets = normalized(std::move(buckets));
  if (buckets.empty()) return kNan;
  fix = make_monotonic(buckets);
  if (buckets.size() < 2) return kNan;
  const double total = buckets.back().count;
  if (total == 0) return kNan;
  const double rank = q * total;
  const std::size_t last = buckets.size() - 1;
  std::size_t b = 0;
  while (b < last && !(buckets[b].count >= rank)) ++b;
  if (b == last) return buckets[last - 1].upper;
  if (b == 0 && buckets[0].upper <= 0) return buckets[0].upper;
  const double start = b == 0 ? 0 : buckets[b - 1].upper;
  const double below = b == 0 ? 0 : buckets[b - 1].count;
  return start + (buckets[b].upper - start) * ((rank - below) / (buckets[b].count - below));
}

double histogram_fraction_of(double lower, double upper, std::vector<Bucket> buckets) {
  buckets = normalized(std::move(buckets));
  if (buckets.empty()) return kNan;
  const double total = buckets.back().count;
  if (total == 0 || std::isnan(lower) || std::isnan(upper)) return kNan;
  if (lower >= upper) return 0;
  const auto rank_of = [&](double x) {
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      const double from = i > 0 ? buckets[i - 1].upper : buckets[0].upper > 0 ? 0 : -kInf;
      const double below = i > 0 ? buckets[i - 1].count : 0;
      if (x <= from) return below;
      if (x > buckets[i].upper) continue;
      if (x == buckets[i].upper || from == -kInf) return buckets[i].count;
      return below + (buckets[i].count - below) * (x - from) / (buckets[i].upper - from);
    }
    return total;
  };
  const auto capped = [&](double rank) { return rank > total ? total : rank; };
  return (capped(rank_of(upper)) - capped(rank_of(lower))) / total;
}

}  // namespace tarsier::testing
