#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// What is known about a counter reset between a histogram and the one before it in its series.
/// The numbers are those of the WAL, remote write and the client model: never renumber.
enum class CounterResetHint : unsigned char {
  kUnknown = 0,
  kReset = 1,
  kNotReset = 2,
  kGauge = 3,  ///< A gauge histogram: resets mean nothing.
};

/// Exponential schemas grow by 2^(2^-schema) per bucket; one special number means explicit bounds.
inline constexpr std::int32_t kExponentialSchemaMin = -4;
inline constexpr std::int32_t kExponentialSchemaMax = 8;
inline constexpr std::int32_t kCustomBucketsSchema = -53;

/// A run of neighbouring buckets. The first span's `offset` is the index of its first bucket, later
/// ones are the number of absent buckets after the span before.
struct BucketSpan {
  std::int32_t offset = 0;
  std::uint32_t length = 0;
  bool operator==(const BucketSpan&) const = default;
};

/// Which buckets a native histogram has; what consecutive samples of a series nearly always share.
struct BucketLayout {
  std::int32_t schema = 0;
  double zero_threshold = 0;  ///< The zero bucket is [-threshold, +threshold].
  std::vector<BucketSpan> positive_spans;
  std::vector<BucketSpan> negative_spans;
  /// Upper bounds, strictly increasing and finite, the +Inf bound left out. Only with
  /// kCustomBucketsSchema, which in turn has no negative and no zero bucket.
  std::vector<double> custom_bounds;

  bool operator==(const BucketLayout&) const = default;
  bool is_custom() const { return schema == kCustomBucketsSchema; }
};

/// Sum of the lengths: how many bucket counts go with the spans.
std::size_t bucket_count(std::span<const BucketSpan> spans);

/// A native histogram with integer counts, as scrapes, remote write, WAL and chunks carry it: of
/// each bucket list the first entry is a count, every later one the difference to its left
/// neighbour.
struct IntegerHistogram {
  BucketLayout layout;
  CounterResetHint hint = CounterResetHint::kUnknown;
  std::uint64_t count = 0;  ///< Includes observations of NaN, which are in no bucket.
  std::uint64_t zero_count = 0;
  double sum = 0;
  std::vector<std::int64_t> positive_deltas;
  std::vector<std::int64_t> negative_deltas;

  /// The series ended here: then everything but `sum` is without meaning.
  bool is_stale() const { return is_stale_marker(sum); }
};

/// A native histogram with counts that need not be whole numbers: what queries compute with.
struct FloatHistogram {
  BucketLayout layout;
  CounterResetHint hint = CounterResetHint::kUnknown;
  double count = 0;
  double zero_count = 0;
  double sum = 0;
  std::vector<double> positive_counts;  ///< Each for itself, not differences.
  std::vector<double> negative_counts;

  bool is_stale() const { return is_stale_marker(sum); }
};

/// The same histogram with float counts, each rounded to the nearest double.
FloatHistogram to_float(const IntegerHistogram& histogram);

/// Whether the parts agree with each other; otherwise kInvalid with the text clients of Prometheus
/// know ("histogram spans specify different number of buckets than provided ..."). Schemas beyond
/// kExponentialSchemaMax pass: whoever ingests reduces them first.
Status validate(const IntegerHistogram& histogram);
Status validate(const FloatHistogram& histogram);

/// Buckets of one histogram, both signs together, that storage takes: at the finest resolution,
/// values over 38 orders of magnitude. So a chunk never outgrows a page of the head.
inline constexpr std::size_t kHistogramBucketsMax = std::size_t{1} << 15;

/// What an appender asks of a histogram: valid, of a resolution that can be stored or reduced to
/// one, and not too big. kInvalid says what is wrong. `prepare_for_storage` also reduces it.
Status validate_for_storage(const IntegerHistogram& histogram);
Status validate_for_storage(const FloatHistogram& histogram);
Status prepare_for_storage(IntegerHistogram& histogram);
Status prepare_for_storage(FloatHistogram& histogram);

/// A histogram sample's value, of whichever kind.
using AnyHistogram = std::variant<IntegerHistogram, FloatHistogram>;
const BucketLayout& layout_of(const AnyHistogram& histogram);
double sum_of(const AnyHistogram& histogram);
CounterResetHint hint_of(const AnyHistogram& histogram);
/// The same contents, NaN like itself. Hints do not count, nor anything but the sum of stale ones.
bool is_same(const AnyHistogram& a, const AnyHistogram& b);

/// Histogram samples of one series as columns, in strictly increasing time order, read as floats
/// whatever they are stored as. No allocation per sample: bucket counts lie one after the other in
/// `buckets`, and samples with the same layout share one entry of `layouts`.
struct HistogramColumns {
  std::vector<std::int64_t> times_ms;
  std::vector<double> counts;
  std::vector<double> zero_counts;
  std::vector<double> sums;  ///< A stale marker here: the series ended (no buckets then).
  std::vector<CounterResetHint> hints;
  /// Sample i has layout `layouts[layout[i]]`.
  std::vector<std::uint32_t> layout;
  /// Sample i's counts begin at `buckets[first_bucket[i]]`: those of the positive spans, then those
  /// of the negative ones.
  std::vector<std::size_t> first_bucket;
  std::vector<double> buckets;
  /// Neighbours differ; an earlier one may come again.
  std::vector<BucketLayout> layouts;

  std::size_t size() const { return times_ms.size(); }
  bool empty() const { return times_ms.empty(); }
  void clear();
  /// Copies the sample in. REQUIRES: as many counts as the spans say.
  void push_back(Timestamp t, const FloatHistogram& histogram);
  /// Sample `to` becomes what sample `from` is. Its buckets stay where they are.
  void move_sample(std::size_t to, std::size_t from);
  /// Forgets the samples from position `count` on.
  void truncate(std::size_t count);
  const BucketLayout& layout_of(std::size_t i) const { return layouts[layout[i]]; }
  bool is_stale(std::size_t i) const { return is_stale_marker(sums[i]); }
  std::span<const double> positive_counts(std::size_t i) const;
  std::span<const double> negative_counts(std::size_t i) const;
  /// Sample i on its own.
  FloatHistogram at(std::size_t i) const;
};

}  // namespace tarsier::tsdb
