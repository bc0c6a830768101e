#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "query/functions/compensated.h"
#include "query/functions/counter_kernels.h"
#include "query/functions/numbers.h"
#include "query/functions/over_time_kernels.h"
#include "query/functions/quantile.h"
#include "query/functions/regression_kernels.h"
#include "query/functions/window.h"

// Every incremental kernel against the obvious loop over each window, on random columns.

namespace tarsier::query {
namespace {

struct Samples {
  std::vector<std::int64_t> times_ms;
  std::vector<double> values;
};

/// The obvious function of one window.
using Naive = std::function<double(const Samples&, double argument)>;

struct Case {
  const char* name;
  RangeKernel kernel;
  std::size_t count_min;
  Naive naive;
};

double naive_rate(const Samples& s, std::int64_t start_ms, std::int64_t end_ms, bool is_counter) {
  const std::size_t n = s.values.size();
  double change = s.values.back() - s.values.front();
  if (is_counter) {
    for (std::size_t i = 1; i < n; ++i) {
      if (s.values[i] < s.values[i - 1]) change += s.values[i - 1];
    }
  }
  const double sampled = static_cast<double>(s.times_ms.back() - s.times_ms.front()) / 1000;
  const double average = sampled / static_cast<double>(n - 1);
  double to_start = static_cast<double>(s.times_ms.front() - start_ms) / 1000;
  double to_end = static_cast<double>(end_ms - s.times_ms.back()) / 1000;
  if (to_start >= 1.1 * average) to_start = average / 2;
  if (is_counter && change > 0 && s.values.front() >= 0) {
    to_start = std::min(to_start, sampled * s.values.front() / change);
  }
  if (to_end >= 1.1 * average) to_end = average / 2;
  return change * (sampled + to_start + to_end) / sampled;
}

double naive_extreme(const Samples& s, bool is_min) {
  double best = s.values[0];
  for (const double v : s.values) {
    if (std::isnan(best) || (is_min ? v < best : v > best)) best = v;
  }
  return best;
}

double naive_time_of_extreme(const Samples& s, bool is_min) {
  double best = s.values[0];
  std::int64_t t = s.times_ms[0];
  for (std::size_t i = 0; i < s.values.size(); ++i) {
    if (std::isnan(best) || (is_min ? s.values[i] <= best : s.values[i] >= best)) {
      best = s.values[i];
      t = s.times_ms[i];
    }
  }
  return static_cast<double>(t) / 1000;
}

double naive_pairs(const Samples& s, const std::function<bool(double, double)>& is_hit) {
  double hits = 0;
  for (std::size_t i = 1; i < s.values.size(); ++i) {
    hits += is_hit(s.values[i - 1], s.values[i]) ? 1 : 0;
  }
  return hits;
}

double naive_variance(const Samples& s) {
  long double mean = 0;
  for (const double v : s.values) mean += v;
  mean /= static_cast<long double>(s.values.size());
  long double squares = 0;
  for (const double v : s.values) squares += (v - mean) * (v - mean);
  return static_cast<double>(squares / static_cast<long double>(s.values.size()));
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"count", count_kernel, 1,
       [](const Samples& s, double) { return static_cast<double>(s.values.size()); }},
      {"present", present_kernel, 1, [](const Samples&, double) { return 1.0; }},
      {"first", first_kernel, 1, [](const Samples& s, double) { return s.values.front(); }},
      {"last", last_kernel, 1, [](const Samples& s, double) { return s.values.back(); }},
      {"sum", sum_kernel, 1,
       [](const Samples& s, double) {
         long double sum = 0;
         for (const double v : s.values) sum += v;
         return static_cast<double>(sum);
       }},
      {"avg", avg_kernel, 1,
       [](const Samples& s, double) {
         long double sum = 0;
         for (const double v : s.values) sum += v;
         return static_cast<double>(sum / static_cast<long double>(s.values.size()));
       }},
      {"min", min_kernel, 1, [](const Samples& s, double) { return naive_extreme(s, true); }},
      {"max", max_kernel, 1, [](const Samples& s, double) { return naive_extreme(s, false); }},
      {"time of min", time_of_min_kernel, 1,
       [](const Samples& s, double) { return naive_time_of_extreme(s, true); }},
      {"time of max", time_of_max_kernel, 1,
       [](const Samples& s, double) { return naive_time_of_extreme(s, false); }},
      {"stdvar", stdvar_kernel, 1, [](const Samples& s, double) { return naive_variance(s); }},
      {"stddev", stddev_kernel, 1,
       [](const Samples& s, double) { return std::sqrt(naive_variance(s)); }},
      {"quantile", quantile_kernel, 1,
       [](const Samples& s, double phi) {
         std::vector<double> values = s.values;
         return quantile_of(phi, values);
       }},
      {"resets", resets_kernel, 1,
       [](const Samples& s, double) {
         return naive_pairs(s, [](double a, double b) { return b < a; });
       }},
      {"changes", changes_kernel, 1,
       [](const Samples& s, double) {
         return naive_pairs(
             s, [](double a, double b) { return a != b && !(std::isnan(a) && std::isnan(b)); });
       }},
      {"idelta", idelta_kernel, 2,
       [](const Samples& s, double) {
         return s.values[s.values.size() - 1] - s.values[s.values.size() - 2];
       }},
  };
  return all;
}

struct Shape {
  bool has_nan;
  bool is_counter;
  Windows windows;
};

Samples random_samples(std::mt19937_64& random, const Shape& shape, std::size_t count) {
  Samples samples;
  std::int64_t t = 0;
  double v = 0;
  for (std::size_t i = 0; i < count; ++i) {
    t += 1 + static_cast<std::int64_t>(random() % 30'000);
    if (shape.is_counter) {
      v = random() % 10 == 0 ? 0 : v + static_cast<double>(random() % 100);
    } else {
      v = static_cast<double>(random() % 20) - 10;
    }
    samples.times_ms.push_back(t);
    samples.values.push_back(shape.has_nan && random() % 3 == 0 ? normal_nan() : v);
  }
  return samples;
}

Samples window_of(const Samples& all, const Windows& windows, std::size_t k) {
  Samples inside;
  for (std::size_t i = 0; i < all.values.size(); ++i) {
    if (all.times_ms[i] <= windows.start_ms(k) || all.times_ms[i] > windows.end_ms(k)) continue;
    inside.times_ms.push_back(all.times_ms[i]);
    inside.values.push_back(all.values[i]);
  }
  return inside;
}

void expect_close(double got, double want) {
  if (is_absent(want)) {
    EXPECT_TRUE(is_absent(got)) << got;
  } else if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got) && is_present(got)) << got;
  } else {
    EXPECT_NEAR(got, want, 1e-9 * std::max(1.0, std::fabs(want)));
  }
}

Shape random_shape(std::mt19937_64& random) {
  Shape shape{};
  shape.has_nan = random() % 3 == 0;
  shape.is_counter = random() % 2 == 0;
  shape.windows.first_end_ms = static_cast<std::int64_t>(random() % 200'000);
  shape.windows.stride_ms = static_cast<std::int64_t>(random() % 60'000);
  shape.windows.range_ms = 1 + static_cast<std::int64_t>(random() % 300'000);
  shape.windows.count = random() % 50;
  return shape;
}

TEST(RangeKernels, AgreeWithTheObviousLoop) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    std::mt19937_64 random(seed);
    const Shape shape = random_shape(random);
    const Samples all = random_samples(random, shape, random() % 120);
    const std::vector<double> argument(shape.windows.count, 0.3);
    std::vector<double> row(shape.windows.count);
    for (const Case& c : cases()) {
      c.kernel(Column{all.times_ms, all.values}, shape.windows,
               KernelArguments{argument.data(), nullptr, {}}, row.data());
      for (std::size_t k = 0; k < row.size(); ++k) {
        SCOPED_TRACE(fmt::format("seed {} {} window {}", seed, c.name, k));
        const Samples inside = window_of(all, shape.windows, k);
        expect_close(row[k],
                     inside.values.size() < c.count_min ? absent_value() : c.naive(inside, 0.3));
      }
    }
  }
}

TEST(RangeKernels, RatesAgreeWithTheObviousLoop) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    std::mt19937_64 random(seed);
    const Shape shape = random_shape(random);
    const Samples all = random_samples(random, shape, random() % 120);
    const Column column{all.times_ms, all.values};
    std::vector<double> rate(shape.windows.count);
    std::vector<double> increase(shape.windows.count);
    std::vector<double> delta(shape.windows.count);
    rate_kernel(column, shape.windows, {}, rate.data());
    increase_kernel(column, shape.windows, {}, increase.data());
    delta_kernel(column, shape.windows, {}, delta.data());
    for (std::size_t k = 0; k < rate.size(); ++k) {
      SCOPED_TRACE(fmt::format("seed {} window {}", seed, k));
      const Samples inside = window_of(all, shape.windows, k);
      if (inside.values.size() < 2) {
        EXPECT_TRUE(is_absent(rate[k]) && is_absent(increase[k]) && is_absent(delta[k]));
        continue;
      }
      const std::int64_t start = shape.windows.start_ms(k);
      const std::int64_t end = shape.windows.end_ms(k);
      expect_close(increase[k], naive_rate(inside, start, end, true));
      expect_close(delta[k], naive_rate(inside, start, end, false));
      expect_close(rate[k], naive_rate(inside, start, end, true) * 1000 /
                                static_cast<double>(shape.windows.range_ms));
    }
  }
}

TEST(RangeKernels, PredictAlongTheLineThroughTheSamples) {
  Samples line;
  for (int i = 0; i < 20; ++i) {
    line.times_ms.push_back(i * 15'000);
    line.values.push_back(3 + 0.5 * i * 15);
  }
  const Windows windows{120'000, 15'000, 60'000, 4};
  const std::vector<double> ahead(4, 3600);
  std::vector<double> row(4);
  const KernelArguments arguments{ahead.data(), nullptr, Grid{120'000, 15'000, 4}};
  predict_linear_kernel(Column{line.times_ms, line.values}, windows, arguments, row.data());
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_NEAR(row[k], 3 + 0.5 * (120 + 15 * static_cast<double>(k) + 3600), 1e-6);
  }
  deriv_kernel(Column{line.times_ms, line.values}, windows, {}, row.data());
  for (const double slope : row) EXPECT_NEAR(slope, 0.5, 1e-12);
}

TEST(CompensatedSum, KeepsWhatPlainAdditionLoses) {
  CompensatedSum sum;
  for (const double v : {1e100, 1.0, -1e100}) sum.add(v);
  EXPECT_EQ(sum.value(), 1);
}

TEST(CompensatedMean, StaysFiniteWhereTheSumDoesNot) {
  CompensatedMean mean;
  for (int i = 0; i < 4; ++i) mean.add(1.7e308);
  EXPECT_DOUBLE_EQ(mean.value(), 1.7e308);
}

TEST(CompensatedMean, MergesAsIfOneHadSeenAll) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    CompensatedMean whole;
    CompensatedMean first;
    CompensatedMean second;
    const std::size_t cut = random() % 20;
    for (std::size_t i = 0; i < 20; ++i) {
      const double v = static_cast<double>(random() % 1000);
      whole.add(v);
      (i < cut ? first : second).add(v);
    }
    first.merge(second);
    EXPECT_NEAR(first.value(), whole.value(), 1e-9);
    EXPECT_EQ(first.count, whole.count);
  }
}

TEST(Numbers, RoundToTwoDigitsAsGoDoes) {
  EXPECT_EQ(two_digit_number(0.123), "0.12");
  EXPECT_EQ(two_digit_number(1234567), "1.2e+06");
  EXPECT_EQ(two_digit_number(-INFINITY), "-Inf");
}

TEST(Quantile, InterpolatesBetweenRanks) {
  std::vector<double> values = {3, 1, 2, 4};
  EXPECT_DOUBLE_EQ(quantile_of(0.5, values), 2.5);
  EXPECT_EQ(quantile_of(-0.1, values), -INFINITY);
  EXPECT_EQ(quantile_of(1.1, values), INFINITY);
  EXPECT_TRUE(std::isnan(quantile_of(0.5, {})));
}

}  // namespace
}  // namespace tarsier::query
