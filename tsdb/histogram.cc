#include "tsdb/histogram.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/histogram_resolution.h"

namespace tarsier::tsdb {

std::size_t bucket_count(std::span<const BucketSpan> spans) {
  std::size_t count = 0;
  for (const BucketSpan& span : spans) count += span.length;
  return count;
}

namespace {

void add_up(const std::vector<std::int64_t>& deltas, std::vector<double>& counts) {
  counts.reserve(deltas.size());
  // Unsigned, because foreign deltas may overflow.
  std::uint64_t count = 0;
  for (const std::int64_t delta : deltas) {
    count += static_cast<std::uint64_t>(delta);
    counts.push_back(static_cast<double>(static_cast<std::int64_t>(count)));
  }
}

Status validate_spans(std::span<const BucketSpan> spans, std::size_t buckets,
                      std::string_view side) {
  std::size_t expected = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && spans[i].offset < 0) {
      return invalid(
          fmt::format("{} side: span number {} with offset {}: histogram has a span whose "
                      "offset is negative",
                      side, i + 1, spans[i].offset));
    }
    expected += spans[i].length;
  }
  if (expected != buckets) {
    return invalid(
        fmt::format("{} side: spans need {} buckets, have {} buckets: histogram spans "
                    "specify different number of buckets than provided",
                    side, expected, buckets));
  }
  return {};
}

Status validate_custom(const BucketLayout& layout, bool has_zero_bucket) {
  for (std::size_t i = 0; i < layout.custom_bounds.size(); ++i) {
    if (!std::isfinite(layout.custom_bounds[i])) {
      return invalid("histogram custom bounds must be finite");
    }
    if (i > 0 && layout.custom_bounds[i] <= layout.custom_bounds[i - 1]) {
      return invalid(
          fmt::format("previous bound is {} and current is {}: histogram custom bounds "
                      "must be in strictly increasing order",
                      layout.custom_bounds[i - 1], layout.custom_bounds[i]));
    }
  }
  if (has_zero_bucket || layout.zero_threshold != 0) {
    return invalid("custom buckets: must have zero count and threshold of 0");
  }
  if (!layout.negative_spans.empty()) {
    return invalid("custom buckets: must not have negative spans");
  }
  // Where the last span ends; wide enough for any sum of foreign offsets and lengths.
  std::int64_t end = 0;
  for (const BucketSpan& span : layout.positive_spans) {
    if (span.offset < 0) {
      return invalid("histogram has a span whose offset is negative");
    }
    end += std::int64_t{span.offset} + span.length;
  }
  if (end > static_cast<std::int64_t>(layout.custom_bounds.size()) + 1) {
    return invalid(
        fmt::format("only {} custom bounds defined which is insufficient to cover total "
                    "span length of {}: histogram custom bounds are too few",
                    layout.custom_bounds.size(), end));
  }
  return {};
}

Status validate_layout(const BucketLayout& layout, bool has_zero_bucket) {
  if (layout.is_custom()) return validate_custom(layout, has_zero_bucket);
  if (!layout.custom_bounds.empty()) {
    return invalid("histogram with exponential schema must not have custom bounds");
  }
  if (layout.schema < -9 || layout.schema > 52) {
    return invalid(
        fmt::format("histogram has an invalid schema, which must be "
                    "between -4 and 8 for exponential buckets, or "
                    "-53 for custom buckets: got schema {}",
                    layout.schema));
  }
  return {};
}

Status validate_counts(const std::vector<std::int64_t>& deltas, std::string_view side,
                       std::uint64_t& total) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    if (__builtin_add_overflow(count, deltas[i], &count) || count < 0) {
      return invalid(
          fmt::format("{} side: bucket number {} has observation count of {}: histogram "
                      "has a bucket whose observation count is negative",
                      side, i + 1, count));
    }
    total += static_cast<std::uint64_t>(count);
  }
  return {};
}

Status validate_counts(const std::vector<double>& counts, std::string_view side) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] < 0) {
      return invalid(
          fmt::format("{} side: bucket number {} has observation count of {}: histogram "
                      "has a bucket whose observation count is negative",
                      side, i + 1, counts[i]));
    }
  }
  return {};
}

}  // namespace

FloatHistogram to_float(const IntegerHistogram& histogram) {
  FloatHistogram out;
  out.layout = histogram.layout;
  out.hint = histogram.hint;
  out.count = static_cast<double>(histogram.count);
  out.zero_count = static_cast<double>(histogram.zero_count);
  out.sum = histogram.sum;
  add_up(histogram.positive_deltas, out.positive_counts);
  add_up(histogram.negative_deltas, out.negative_counts);
  return out;
}

Status validate(const IntegerHistogram& histogram) {
  if (histogram.is_stale()) return {};
  TRY(validate_layout(histogram.layout, histogram.zero_count != 0));
  TRY(validate_spans(histogram.layout.negative_spans, histogram.negative_deltas.size(),
                     "negative"));
  TRY(validate_spans(histogram.layout.positive_spans, histogram.positive_deltas.size(),
                     "positive"));
  std::uint64_t total = histogram.zero_count;
  TRY(validate_counts(histogram.negative_deltas, "negative", total));
  TRY(validate_counts(histogram.positive_deltas, "positive", total));
  // NaN observations are counted and are in no bucket.
  const bool agrees =
      std::isnan(histogram.sum) ? total <= histogram.count : total == histogram.count;
  if (!agrees) {
    return invalid(
        fmt::format("{} observations found in buckets, but the Count field is {}: "
                    "histogram's observation count should {} the number of observations "
                    "found in the buckets",
                    total, histogram.count, std::isnan(histogram.sum) ? "be at least" : "equal"));
  }
  return {};
}

Status validate(const FloatHistogram& histogram) {
  if (histogram.is_stale()) return {};
  TRY(validate_layout(histogram.layout, histogram.zero_count != 0));
  TRY(validate_spans(histogram.layout.negative_spans, histogram.negative_counts.size(),
                     "negative"));
  TRY(validate_spans(histogram.layout.positive_spans, histogram.positive_counts.size(),
                     "positive"));
  TRY(validate_counts(histogram.negative_counts, "negative"));
  TRY(validate_counts(histogram.positive_counts, "positive"));
  if (histogram.count < 0) {
    return invalid(fmt::format("histogram's observation count is negative: {}", histogram.count));
  }
  if (histogram.zero_count < 0) {
    return invalid(
        fmt::format("histogram's zero bucket count is negative: {}", histogram.zero_count));
  }
  return {};
}

namespace {

/// How a histogram's buckets are told apart from their encoding: counts each for itself.
std::vector<std::uint64_t> absolute_counts(const std::vector<std::int64_t>& deltas) {
  std::vector<std::uint64_t> counts;
  counts.reserve(deltas.size());
  std::uint64_t count = 0;
  for (const std::int64_t delta : deltas)
    counts.push_back(count += static_cast<std::uint64_t>(delta));
  return counts;
}
const std::vector<double>& absolute_counts(const std::vector<double>& counts) { return counts; }

void store_counts(const std::vector<std::uint64_t>& counts, std::vector<std::int64_t>& deltas) {
  deltas.clear();
  std::uint64_t last = 0;
  for (const std::uint64_t count : counts) {
    deltas.push_back(static_cast<std::int64_t>(count - last));
    last = count;
  }
}
void store_counts(const std::vector<double>& counts, std::vector<double>& out) { out = counts; }

/// Merges buckets so that each power of two has 2^`steps` times fewer of them.
template <typename Stored>
void reduce_side(std::int32_t steps, std::vector<BucketSpan>& spans, std::vector<Stored>& stored) {
  auto counts = absolute_counts(stored);
  decltype(counts) merged;
  std::vector<BucketSpan> merged_spans;
  std::int64_t index = 0;
  std::int64_t last = 0;  // Index of the newest merged bucket.
  std::size_t i = 0;
  for (const BucketSpan& span : spans) {
    index += span.offset;
    for (std::uint32_t k = 0; k < span.length; ++k, ++index, ++i) {
      const std::int64_t target = ((index - 1) >> steps) + 1;
      if (!merged.empty() && target == last) {
        merged.back() += counts[i];
        continue;
      }
      if (!merged.empty() && target == last + 1) {
        ++merged_spans.back().length;
      } else {
        const std::int64_t end = merged.empty() ? 0 : last + 1;
        merged_spans.push_back({static_cast<std::int32_t>(target - end), 1});
      }
      merged.push_back(counts[i]);
      last = target;
    }
  }
  spans = std::move(merged_spans);
  store_counts(merged, stored);
}

Status check_limits(const BucketLayout& layout, std::size_t buckets) {
  if (!layout.is_custom() && layout.schema < kExponentialSchemaMin) {
    return invalid(
        fmt::format("histogram has an invalid schema, which must be between -4 and 8 for "
                    "exponential buckets, or -53 for custom buckets: got schema {}",
                    layout.schema));
  }
  if (buckets > kHistogramBucketsMax || layout.custom_bounds.size() > kHistogramBucketsMax) {
    return invalid(fmt::format("histogram has {} buckets and {} bounds, limit is {}", buckets,
                               layout.custom_bounds.size(), kHistogramBucketsMax));
  }
  if (layout.positive_spans.size() + layout.negative_spans.size() > kHistogramBucketsMax) {
    return invalid("histogram has too many spans");
  }
  return {};
}

bool is_same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}
bool is_same_number(std::uint64_t a, std::uint64_t b) { return a == b; }
bool is_same_number(double a, double b) { return is_same_bits(a, b); }
bool is_same_buckets(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  return a == b;
}
bool is_same_buckets(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), is_same_bits);
}

const auto& positive_of(const IntegerHistogram& histogram) { return histogram.positive_deltas; }
const auto& positive_of(const FloatHistogram& histogram) { return histogram.positive_counts; }
const auto& negative_of(const IntegerHistogram& histogram) { return histogram.negative_deltas; }
const auto& negative_of(const FloatHistogram& histogram) { return histogram.negative_counts; }

template <typename Histogram>
bool is_same_kind(const Histogram& a, const Histogram& b) {
  if (!is_same_bits(a.sum, b.sum)) return false;
  if (a.is_stale()) return true;
  return a.layout == b.layout && is_same_number(a.count, b.count) &&
         is_same_number(a.zero_count, b.zero_count) &&
         is_same_buckets(positive_of(a), positive_of(b)) &&
         is_same_buckets(negative_of(a), negative_of(b));
}

template <typename Histogram>
Status validate_any(const Histogram& histogram) {
  if (histogram.is_stale()) return {};
  TRY(validate(histogram));
  return check_limits(histogram.layout,
                      positive_of(histogram).size() + negative_of(histogram).size());
}

}  // namespace

Status validate_for_storage(const IntegerHistogram& histogram) { return validate_any(histogram); }
Status validate_for_storage(const FloatHistogram& histogram) { return validate_any(histogram); }

void reduce_to_schema(IntegerHistogram& histogram, std::int32_t schema) {
  BucketLayout& layout = histogram.layout;
  if (layout.is_custom() || layout.schema <= schema) return;
  const std::int32_t steps = layout.schema - schema;
  reduce_side(steps, layout.positive_spans, histogram.positive_deltas);
  reduce_side(steps, layout.negative_spans, histogram.negative_deltas);
  layout.schema = schema;
}

void reduce_to_schema(FloatHistogram& histogram, std::int32_t schema) {
  BucketLayout& layout = histogram.layout;
  if (layout.is_custom() || layout.schema <= schema) return;
  const std::int32_t steps = layout.schema - schema;
  reduce_side(steps, layout.positive_spans, histogram.positive_counts);
  reduce_side(steps, layout.negative_spans, histogram.negative_counts);
  layout.schema = schema;
}

Status prepare_for_storage(IntegerHistogram& histogram) {
  TRY(validate_for_storage(histogram));
  if (!histogram.is_stale()) reduce_to_schema(histogram, kExponentialSchemaMax);
  return {};
}

Status prepare_for_storage(FloatHistogram& histogram) {
  TRY(validate_for_storage(histogram));
  if (!histogram.is_stale()) reduce_to_schema(histogram, kExponentialSchemaMax);
  return {};
}

const BucketLayout& layout_of(const AnyHistogram& histogram) {
  return std::visit([](const auto& one) -> const BucketLayout& { return one.layout; }, histogram);
}
double sum_of(const AnyHistogram& histogram) {
  return std::visit([](const auto& one) { return one.sum; }, histogram);
}
CounterResetHint hint_of(const AnyHistogram& histogram) {
  return std::visit([](const auto& one) { return one.hint; }, histogram);
}

bool is_same(const AnyHistogram& a, const AnyHistogram& b) {
  if (a.index() != b.index()) return false;
  if (const auto* integers = std::get_if<IntegerHistogram>(&a)) {
    return is_same_kind(*integers, std::get<IntegerHistogram>(b));
  }
  return is_same_kind(std::get<FloatHistogram>(a), std::get<FloatHistogram>(b));
}

void HistogramColumns::clear() {
  times_ms.clear();
  counts.clear();
  zero_counts.clear();
  sums.clear();
  hints.clear();
  layout.clear();
  first_bucket.clear();
  buckets.clear();
  layouts.clear();
}

void HistogramColumns::push_back(Timestamp t, const FloatHistogram& histogram) {
  CHECK(histogram.positive_counts.size() == bucket_count(histogram.layout.positive_spans));
  CHECK(histogram.negative_counts.size() == bucket_count(histogram.layout.negative_spans));
  times_ms.push_back(t.ms);
  counts.push_back(histogram.count);
  zero_counts.push_back(histogram.zero_count);
  sums.push_back(histogram.sum);
  hints.push_back(histogram.hint);
  if (layouts.empty() || !(layouts.back() == histogram.layout)) {
    layouts.push_back(histogram.layout);
  }
  layout.push_back(static_cast<std::uint32_t>(layouts.size() - 1));
  first_bucket.push_back(buckets.size());
  buckets.insert(buckets.end(), histogram.positive_counts.begin(), histogram.positive_counts.end());
  buckets.insert(buckets.end(), histogram.negative_counts.begin(), histogram.negative_counts.end());
}

void HistogramColumns::move_sample(std::size_t to, std::size_t from) {
  times_ms[to] = times_ms[from];
  counts[to] = counts[from];
  zero_counts[to] = zero_counts[from];
  sums[to] = sums[from];
  hints[to] = hints[from];
  layout[to] = layout[from];
  first_bucket[to] = first_bucket[from];
}

void HistogramColumns::truncate(std::size_t count) {
  times_ms.resize(count);
  counts.resize(count);
  zero_counts.resize(count);
  sums.resize(count);
  hints.resize(count);
  layout.resize(count);
  first_bucket.resize(count);
}

std::span<const double> HistogramColumns::positive_counts(std::size_t i) const {
  return {buckets.data() + first_bucket[i], bucket_count(layout_of(i).positive_spans)};
}

std::span<const double> HistogramColumns::negative_counts(std::size_t i) const {
  const std::size_t positive = bucket_count(layout_of(i).positive_spans);
  return {buckets.data() + first_bucket[i] + positive, bucket_count(layout_of(i).negative_spans)};
}

FloatHistogram HistogramColumns::at(std::size_t i) const {
  FloatHistogram out;
  out.layout = layout_of(i);
  out.hint = hints[i];
  out.count = counts[i];
  out.zero_count = zero_counts[i];
  out.sum = sums[i];
  const auto positive = positive_counts(i);
  const auto negative = negative_counts(i);
  out.positive_counts.assign(positive.begin(), positive.end());
  out.negative_counts.assign(negative.begin(), negative.end());
  return out;
}

}  // namespace tarsier::tsdb
