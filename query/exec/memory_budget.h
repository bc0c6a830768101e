#pragma once

#include <atomic>
#include <cstdint>

#include "base/result.h"

namespace tarsier::query {

/// Bytes all queries of one engine hold together. Any number of threads.
struct MemoryTotal {
  std::atomic<std::uint64_t> held{0};
};

/// The bytes one query holds in tables, label sets and results, against what it may and what all
/// may together. Buffers that threads reuse are not counted: they are small and do not grow with
/// the number of series. Any number of threads.
class MemoryBudget final {
 public:
  /// 0 is no limit. `total` may be null. What is held is kept in `held`, for others to see.
  MemoryBudget(std::uint64_t max, std::uint64_t total_max, MemoryTotal* total,
               std::atomic<std::uint64_t>& held)
      : max_(max), total_max_(total_max), total_(total), held_(held) {}
  /// Gives back whatever is still held.
  ~MemoryBudget() { release(held_.load(std::memory_order_relaxed)); }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  /// kLimit when that would be too much; it is then not counted.
  Status hold(std::uint64_t bytes);
  void release(std::uint64_t bytes);
  std::uint64_t held() const { return held_.load(std::memory_order_relaxed); }
  std::uint64_t peak() const { return peak_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t max_;
  const std::uint64_t total_max_;
  MemoryTotal* const total_;
  std::atomic<std::uint64_t>& held_;
  std::atomic<std::uint64_t> peak_{0};
};

/// Bytes on loan from a budget for a scope. Grows, never shrinks.
class MemoryLoan final {
 public:
  explicit MemoryLoan(MemoryBudget& budget) : budget_(budget) {}
  ~MemoryLoan() { budget_.release(bytes_); }
  MemoryLoan(const MemoryLoan&) = delete;
  MemoryLoan& operator=(const MemoryLoan&) = delete;
  Status grow(std::uint64_t bytes) {
    TRY(budget_.hold(bytes));
    bytes_ += bytes;
    return {};
  }

 private:
  MemoryBudget& budget_;
  std::uint64_t bytes_ = 0;
};

}  // namespace tarsier::query
