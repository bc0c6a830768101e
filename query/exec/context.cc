#include "query/exec/context.h"

#include <algorithm>
#include <atomic>
#include <string>

namespace tarsier::query {
namespace {

Status too_many_samples() {
  return limit_exceeded(
      "query processing would load too many samples into memory in query execution");
}

}  // namespace

Status SampleBudget::hold(std::uint64_t count) {
  const std::uint64_t held = held_.fetch_add(count, std::memory_order_relaxed) + count;
  if (held > max_) {
    release(count);
    return too_many_samples();
  }
  note_peak(held);
  return {};
}

Status SampleBudget::pass(std::uint64_t count) {
  const std::uint64_t held = held_.load(std::memory_order_relaxed) + count;
  if (held > max_) return too_many_samples();
  note_peak(held);
  return {};
}

void SampleBudget::note_peak(std::uint64_t held) {
  std::uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (held > peak && !peak_.compare_exchange_weak(peak, held, std::memory_order_relaxed)) {
  }
}

Status Context::check_dense(std::size_t series_count, std::size_t step_count) const {
  const std::uint64_t max = std::max<std::uint64_t>(2 * options.samples_max, 1'000'000);
  if (step_count == 0 || series_count <= max / step_count) return {};
  return too_many_samples();
}

Status Context::check_alive() const {
  if (cancel_ == nullptr || !cancel_->is_cancelled()) return {};
  if (cancel_->is_expired()) return timeout("query timed out in expression evaluation");
  return cancelled("query was canceled in expression evaluation");
}

Status Context::count_read(std::uint64_t samples) {
  const std::uint64_t all = samples_read.fetch_add(samples, std::memory_order_relaxed) + samples;
  if (samples_ceiling == 0 || all <= samples_ceiling) return {};
  return limit_exceeded("query reads more than " + std::to_string(samples_ceiling) +
                        " samples (max_samples_scanned)");
}

Status Context::run_tasks(std::size_t count,
                          const std::function<Status(std::size_t, Scratch&)>& task) {
  std::vector<Status> outcomes(count);
  std::atomic<std::size_t> failed{count};  // The lowest that did; what comes later is not needed.
  parallel_for(pool_, count, [&](std::size_t i) {
    if (i > failed.load(std::memory_order_relaxed)) return;
    std::unique_ptr<Scratch> scratch;
    {
      const MutexLock lock(mutex_);
      if (!idle_.empty()) {
        scratch = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (scratch == nullptr) scratch = std::make_unique<Scratch>();
    outcomes[i] = check_alive();
    if (outcomes[i].ok()) outcomes[i] = task(i, *scratch);
    std::size_t lowest = failed.load(std::memory_order_relaxed);
    while (!outcomes[i].ok() && i < lowest &&
           !failed.compare_exchange_weak(lowest, i, std::memory_order_relaxed)) {
    }
    const MutexLock lock(mutex_);
    idle_.push_back(std::move(scratch));
  });
  for (Status& outcome : outcomes) {
    if (!outcome.ok()) return std::move(outcome);
  }
  return {};
}

}  // namespace tarsier::query
