#include "ingest/exposition/custom_buckets.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "ingest/exposition/number.h"
#include "ingest/exposition/packed_section.h"

namespace tarsier::ingest {
namespace {

// More absent buckets than this cost less as a new span.
constexpr std::size_t kSpanGapMax = 2;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

enum class Part : unsigned char { kNone, kBucket, kSum, kCount };

Part part_of(std::string_view name, std::string_view family) {
  if (!name.starts_with(family)) return Part::kNone;
  const std::string_view suffix = name.substr(family.size());
  if (suffix == "_bucket") return Part::kBucket;
  if (suffix == "_sum") return Part::kSum;
  return suffix == "_count" ? Part::kCount : Part::kNone;
}

bool is_whole(double v) {
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  return v >= 0 && v <= kExactMax && v == std::floor(v);
}

struct Sparse {
  std::vector<tsdb::BucketSpan> spans;
  std::vector<double> counts;
};

Sparse sparse_of(const std::vector<double>& counts) {
  Sparse out;
  std::size_t end = 0;  // Behind the last bucket written.
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    if (out.spans.empty() || i - end > kSpanGapMax) {
      out.spans.push_back({static_cast<std::int32_t>(i - end), 0});
    } else {
      out.spans.back().length += static_cast<std::uint32_t>(i - end);
      out.counts.resize(out.counts.size() + (i - end), 0.0);
    }
    ++out.spans.back().length;
    out.counts.push_back(counts[i]);
    end = i + 1;
  }
  return out;
}

}  // namespace

tsdb::AnyHistogram custom_histogram(std::vector<double> bounds, const std::vector<double>& counts,
                                    double count, double sum) {
  Sparse sparse = sparse_of(counts);
  tsdb::BucketLayout layout;
  layout.schema = tsdb::kCustomBucketsSchema;
  layout.positive_spans = std::move(sparse.spans);
  layout.custom_bounds = std::move(bounds);
  if (!is_whole(count) || !std::all_of(sparse.counts.begin(), sparse.counts.end(), is_whole)) {
    tsdb::FloatHistogram out;
    out.layout = std::move(layout);
    out.count = count;
    out.sum = sum;
    out.positive_counts = std::move(sparse.counts);
    return out;
  }
  tsdb::IntegerHistogram out;
  out.layout = std::move(layout);
  out.count = static_cast<std::uint64_t>(count);
  out.sum = sum;
  std::int64_t previous = 0;
  for (const double one : sparse.counts) {
    const auto whole = static_cast<std::int64_t>(one);
    out.positive_deltas.push_back(whole - previous);
    previous = whole;
  }
  return out;
}

bool CustomBuckets::take(std::string_view family, const ExposedLabels& labels,
                         const ExposedSample& sample, std::span<const tsdb::Exemplar> exemplars) {
  Part part = Part::kNone;
  double bound = std::numeric_limits<double>::quiet_NaN();
  scratch_.clear();
  append_packed(scratch_, family);
  for (const tsdb::LabelView& label : labels.views()) {
    if (label.name == tsdb::kMetricName) {
      part = part_of(label.value, family);
    } else if (label.name == "le") {
      if (parse_number(label.value, bound) != NumberError::kNone) return false;
    } else {
      append_packed(scratch_, label.name);
      append_packed(scratch_, label.value);
    }
  }
  if (part == Part::kNone || (part == Part::kBucket) == std::isnan(bound)) return false;
  if (!is_begun_) {
    clear();
    is_begun_ = true;
    section_ = scratch_;
    sample_ = sample;
    sample_.section = {};
    sample_.has_exemplar = false;
  } else if (section_ != scratch_ || sample_.has_time != sample.has_time ||
             (sample.has_time && sample_.time_ms != sample.time_ms)) {
    return false;
  }
  // A part that is there already belongs to the next one of the same name: a fault of the target.
  if (part == Part::kSum) {
    if (sum_) return false;
    sum_ = sample.value;
  } else if (part == Part::kCount) {
    if (count_) return false;
    count_ = sample.value;
  } else {
    buckets_.push_back({bound, sample.value});
  }
  if (sample.has_start) set_start(sample.start_ms);
  exemplars_.insert(exemplars_.end(), exemplars.begin(), exemplars.end());
  return true;
}

bool CustomBuckets::is_of(std::string_view family, const ExposedLabels& labels) {
  if (!is_begun_) return false;
  scratch_.clear();
  append_packed(scratch_, family);
  for (const tsdb::LabelView& label : labels.views()) {
    if (label.name == tsdb::kMetricName || label.name == "le") continue;
    append_packed(scratch_, label.name);
    append_packed(scratch_, label.value);
  }
  return scratch_ == section_;
}

void CustomBuckets::set_start(std::int64_t start_ms) {
  sample_.has_start = true;
  sample_.start_ms = start_ms;
}

Result<tsdb::AnyHistogram> CustomBuckets::build() {
  std::sort(buckets_.begin(), buckets_.end(),
            [](const Bucket& a, const Bucket& b) { return a.bound < b.bound; });
  const bool has_infinite = !buckets_.empty() && buckets_.back().bound == kInfinity;
  if (!has_infinite) {
    if (!count_) return invalid("a classic histogram has neither a count nor a bucket to +Inf");
    buckets_.push_back({kInfinity, *count_});
  }
  const double count = count_.value_or(buckets_.back().count);
  if (count != buckets_.back().count) {
    return invalid(fmt::format("count {} of a classic histogram differs from its bucket to +Inf {}",
                               count, buckets_.back().count));
  }
  std::vector<double> bounds;
  std::vector<double> counts;
  double below = 0;
  for (const Bucket& bucket : buckets_) {
    if (!bounds.empty() && bucket.bound == bounds.back()) {
      return invalid(fmt::format("bucket {} of a classic histogram is there twice", bucket.bound));
    }
    if (!(bucket.count >= below)) {
      return invalid(
          fmt::format("bucket {} of a classic histogram has a lower count than the one "
                      "before",
                      bucket.bound));
    }
    bounds.push_back(bucket.bound);
    counts.push_back(bucket.count - below);
    below = bucket.count;
  }
  bounds.pop_back();
  tsdb::AnyHistogram out = custom_histogram(std::move(bounds), counts, count, sum_.value_or(0));
  TRY(std::visit([](const auto& one) { return tsdb::validate_for_storage(one); }, out));
  return out;
}

void CustomBuckets::clear() {
  is_begun_ = false;
  buckets_.clear();
  sum_.reset();
  count_.reset();
  exemplars_.clear();
}

}  // namespace tarsier::ingest
