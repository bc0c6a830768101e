#include "ingest/otlp/delta_accumulator.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tarsier::ingest {
namespace {

constexpr Duration kSweepPause = seconds(30);
/// Of one sign of an exponential histogram: resolution is halved until they suffice.
constexpr std::int64_t kBucketsMax = 320;

/// Halves the resolution `steps` times.
void coarsen(OtlpBuckets& buckets, int steps) {
  if (steps <= 0 || buckets.counts.empty()) return;
  steps = std::min(steps, 31);
  const std::int64_t first = std::int64_t{buckets.offset} >> steps;
  std::vector<std::uint64_t> merged;
  for (std::size_t i = 0; i < buckets.counts.size(); ++i) {
    const std::int64_t index =
        (std::int64_t{buckets.offset} + static_cast<std::int64_t>(i)) >> steps;
    merged.resize(static_cast<std::size_t>(index - first) + 1, 0);
    merged.back() += buckets.counts[i];
  }
  buckets.offset = static_cast<std::int32_t>(first);
  buckets.counts = std::move(merged);
}

struct Range {
  std::int64_t first = 0;
  std::int64_t end = 0;
};
Range range_of(const OtlpBuckets& buckets) {
  return {buckets.offset,
          std::int64_t{buckets.offset} + static_cast<std::int64_t>(buckets.counts.size())};
}
Range union_of(const OtlpBuckets& a, const OtlpBuckets& b) {
  if (a.counts.empty()) return range_of(b);
  if (b.counts.empty()) return range_of(a);
  const Range x = range_of(a);
  const Range y = range_of(b);
  return {std::min(x.first, y.first), std::max(x.end, y.end)};
}

/// REQUIRES: one resolution.
void add_buckets(OtlpBuckets& sum, const OtlpBuckets& delta) {
  if (delta.counts.empty()) return;
  const Range range = union_of(sum, delta);
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(range.end - range.first), 0);
  for (const OtlpBuckets* one : {&std::as_const(sum), &delta}) {
    for (std::size_t i = 0; i < one->counts.size(); ++i) {
      counts[static_cast<std::size_t>(one->offset - range.first) + i] += one->counts[i];
    }
  }
  sum.offset = static_cast<std::int32_t>(range.first);
  sum.counts = std::move(counts);
}

/// How many halvings bring the union of both within the limit.
int halvings_needed(const OtlpBuckets& a, const OtlpBuckets& b) {
  const Range range = union_of(a, b);
  int steps = 0;
  while (steps < 31 && (range.end >> steps) - (range.first >> steps) > kBucketsMax) ++steps;
  return steps;
}

void coarsen(OtlpPoint& point, std::int32_t scale) {
  const int steps = point.scale - scale;
  coarsen(point.positive, steps);
  coarsen(point.negative, steps);
  point.scale = scale;
}

void add_exponential(OtlpPoint& sum, OtlpPoint delta) {
  const std::int32_t common = std::min(sum.scale, delta.scale);
  coarsen(sum, common);
  coarsen(delta, common);
  const int steps = std::max(halvings_needed(sum.positive, delta.positive),
                             halvings_needed(sum.negative, delta.negative));
  coarsen(sum, common - steps);
  coarsen(delta, common - steps);
  add_buckets(sum.positive, delta.positive);
  add_buckets(sum.negative, delta.negative);
  sum.zero_count += delta.zero_count;
}

void add_point(OtlpKind kind, OtlpPoint& sum, const OtlpPoint& delta) {
  sum.value += delta.value;
  sum.count += delta.count;
  // Without a sum in one of them nothing is known about all of them.
  sum.sum = sum.sum && delta.sum ? std::optional(*sum.sum + *delta.sum) : std::nullopt;
  for (std::size_t i = 0; i < sum.bucket_counts.size(); ++i) {
    sum.bucket_counts[i] += delta.bucket_counts[i];
  }
  if (kind == OtlpKind::kExponentialHistogram) add_exponential(sum, delta);
}

bool is_same_layout(const OtlpPoint& a, const OtlpPoint& b) {
  return a.bounds == b.bounds && a.bucket_counts.size() == b.bucket_counts.size();
}

/// What a stream remembers of a point: numbers only.
OtlpPoint numbers_of(const OtlpPoint& point) {
  OtlpPoint out = point;
  out.attributes.clear();
  out.exemplars.clear();
  return out;
}

void show(const OtlpPoint& sum, OtlpPoint& point) {
  OtlpPoint shown = sum;
  shown.t = point.t;
  shown.attributes = std::move(point.attributes);
  shown.exemplars = std::move(point.exemplars);
  point = std::move(shown);
}

}  // namespace

DeltaAccumulator::Outcome DeltaAccumulator::add(const std::string& stream, OtlpKind kind,
                                                OtlpPoint& point, Timestamp now) {
  const MutexLock lock(mutex_);
  if (swept_ == kMinTimestamp || now - swept_ >= kSweepPause) forget_silent(now);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    if (streams_.size() >= options_.streams_max) {
      refused_.add();
      return Outcome::kFull;
    }
    streams_.emplace(stream, Stream{.sum = numbers_of(point), .kind = kind, .heard = now});
    return Outcome::kAdded;
  }
  Stream& known = found->second;
  if (point.t < known.sum.t) {
    late_.add();
    return Outcome::kLate;
  }
  known.heard = now;
  if (point.t == known.sum.t) {  // The answer to the first one was lost.
    show(known.sum, point);
    return Outcome::kRepeated;
  }
  if (known.kind != kind || !is_same_layout(known.sum, point)) {
    known = {.sum = numbers_of(point), .kind = kind, .heard = now};
    return Outcome::kAdded;
  }
  add_point(kind, known.sum, point);
  known.sum.t = point.t;
  show(known.sum, point);
  return Outcome::kAdded;
}

void DeltaAccumulator::forget_silent(Timestamp now) {
  swept_ = now;
  std::erase_if(streams_,
                [&](const auto& entry) { return now - entry.second.heard > options_.idle_max; });
}

void DeltaAccumulator::collect(MetricWriter& out) const {
  std::size_t count = 0;
  {
    const MutexLock lock(mutex_);
    count = streams_.size();
  }
  out.gauge("tarsier_otlp_delta_streams", "Streams of delta temporality that are added up.",
            static_cast<double>(count));
  out.counter("tarsier_otlp_delta_late_points_total",
              "Delta points older than what was added up already.",
              static_cast<double>(late_.value()));
  out.counter("tarsier_otlp_delta_refused_points_total",
              "Delta points of new streams that there was no room for.",
              static_cast<double>(refused_.value()));
}

}  // namespace tarsier::ingest
