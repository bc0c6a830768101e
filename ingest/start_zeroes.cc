#include "ingest/start_zeroes.h"

#include <utility>
#include <variant>

namespace tarsier::ingest {
namespace {

constexpr Duration kStartAgeMax = hours(1);

template <typename Histogram>
Histogram empty_like(const tsdb::BucketLayout& layout) {
  Histogram zero;
  zero.layout = {.schema = layout.schema,
                 .zero_threshold = layout.zero_threshold,
                 .positive_spans = {},
                 .negative_spans = {},
                 .custom_bounds = layout.custom_bounds};
  zero.hint = tsdb::CounterResetHint::kReset;
  return zero;
}

}  // namespace

bool KnownStarts::note(tsdb::SeriesRef series, Timestamp start) {
  const MutexLock lock(mutex_);
  if (starts_.size() >= series_max_) starts_.clear();
  const auto [known, is_new] = starts_.try_emplace(series.value, start.ms);
  return is_new || std::exchange(known->second, start.ms) != start.ms;
}

void KnownStarts::clear() {
  const MutexLock lock(mutex_);
  starts_.clear();
}

bool StartZeroes::is_wanted(tsdb::SeriesRef series, Timestamp start, Timestamp t) {
  if (start >= t || start < t - kStartAgeMax || !known_.note(series, start)) return false;
  if (appender_ == nullptr) {
    appender_ = make_appender_();
    appender_->refuse_out_of_order();
  }
  return true;
}

void StartZeroes::add(tsdb::SeriesRef series, Timestamp start, Timestamp t) {
  if (is_wanted(series, start, t)) (void)appender_->append(series, {start, 0});
}

void StartZeroes::add(tsdb::SeriesRef series, Timestamp start, Timestamp t,
                      const tsdb::AnyHistogram& sample) {
  if (!is_wanted(series, start, t)) return;
  const tsdb::BucketLayout& layout = layout_of(sample);
  if (std::holds_alternative<tsdb::IntegerHistogram>(sample)) {
    (void)appender_->append_histogram(series, start, empty_like<tsdb::IntegerHistogram>(layout));
  } else {
    (void)appender_->append_float_histogram(series, start,
                                            empty_like<tsdb::FloatHistogram>(layout));
  }
}

Status StartZeroes::commit() {
  if (appender_ == nullptr) return {};
  Status status = appender_->commit().status();
  if (!status.ok()) known_.clear();  // The sender comes again, and so must its zeroes.
  return status;
}

}  // namespace tarsier::ingest
