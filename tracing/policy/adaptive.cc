#include "tracing/policy/adaptive.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "tracing/policy/filters.h"

namespace tarsier::tracing {
namespace {

constexpr unsigned kPerOctave = 4;
constexpr std::uint32_t kUpdateEvery = 32;
constexpr double kUsualQuantile = 0.9;
constexpr std::uint64_t kUsualFactor = 3;
constexpr std::uint64_t kNsPerMs = 1'000'000;

std::uint64_t bucket_end(std::size_t bucket) {
  return static_cast<std::uint64_t>(std::exp2(static_cast<double>(bucket + 1) / kPerOctave));
}

}  // namespace

std::size_t AdaptiveLatencyPolicy::bucket_of(std::uint64_t duration_ns) {
  if (duration_ns < 2) return 0;
  const double octaves = std::log2(static_cast<double>(duration_ns)) * kPerOctave;
  return std::min(static_cast<std::size_t>(octaves), kBucketCount - 1);
}

std::uint64_t AdaptiveLatencyPolicy::threshold_ns(std::uint32_t operation) const {
  const auto found = operations_.find(operation);
  if (found == operations_.end() || found->second.threshold_ns == 0) {
    return options_.threshold_ms * kNsPerMs;
  }
  return found->second.threshold_ns;
}

Vote AdaptiveLatencyPolicy::vote(const TraceFacts& trace, Voting voting) {
  const bool is_slow = trace.duration_ns() >= threshold_ns(trace.operation);
  if (voting == Voting::kCharge) learn(trace);
  return Vote::if_true(is_slow);
}

void AdaptiveLatencyPolicy::learn(const TraceFacts& trace) {
  auto found = operations_.find(trace.operation);
  if (found == operations_.end()) {
    if (operations_.size() >= options_.operations_max) return;
    found = operations_.try_emplace(trace.operation).first;
    found->second.halved = trace.now;
  }
  Operation& operation = found->second;
  operation.counts[bucket_of(trace.duration_ns())] += 1;
  operation.total += 1;
  if (trace.now - operation.halved >= options_.half_life) {
    for (float& count : operation.counts) count /= 2;
    operation.total /= 2;
    operation.halved = trace.now;
  }
  if (++operation.since_update >= kUpdateEvery) update(operation);
}

void AdaptiveLatencyPolicy::update(Operation& operation) const {
  operation.since_update = 0;
  if (operation.total < static_cast<float>(options_.traces_min)) return;
  const auto quantile_ns = [&operation](double quantile) {
    const double above_max = (1 - quantile) * operation.total;
    double above = 0;
    for (std::size_t i = kBucketCount; i-- > 0;) {
      above += operation.counts[i];
      if (above > above_max) return bucket_end(i);
    }
    return bucket_end(0);
  };
  operation.threshold_ns =
      std::min(quantile_ns(options_.quantile), kUsualFactor * quantile_ns(kUsualQuantile));
}

std::string AdaptiveLatencyPolicy::detail(const TraceFacts& trace) const {
  return fmt::format("took {}, slow is {}", duration_text(trace.duration_ns()),
                     duration_text(threshold_ns(trace.operation)));
}

Vote OperationMinimumPolicy::vote(const TraceFacts& trace, Voting voting) {
  const std::int64_t interval = trace.now.ms / std::max<std::int64_t>(options_.interval.ms, 1);
  auto found = seen_.find(trace.operation);
  if (found == seen_.end()) {
    if (seen_.size() >= options_.operations_max) return Vote::if_true(false);
    if (voting == Voting::kPeek) return Vote::if_true(true);
    found = seen_.try_emplace(trace.operation).first;
  }
  Seen seen = found->second;
  if (seen.interval != interval) seen = {interval, 0};
  const bool is_first = seen.count < options_.traces;
  if (is_first) ++seen.count;
  if (voting == Voting::kCharge) found->second = seen;
  return Vote::if_true(is_first);
}

std::string OperationMinimumPolicy::detail(const TraceFacts&) const {
  return fmt::format("first {} of its operation in {} s", options_.traces,
                     options_.interval.ms / 1000);
}

}  // namespace tarsier::tracing
