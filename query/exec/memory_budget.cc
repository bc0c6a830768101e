#include "query/exec/memory_budget.h"

#include <string>

namespace tarsier::query {

Status MemoryBudget::hold(std::uint64_t bytes) {
  const std::uint64_t held = held_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const std::uint64_t together =
      total_ == nullptr ? 0 : total_->held.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const bool is_too_much = max_ != 0 && held > max_;
  if (is_too_much || (total_max_ != 0 && together > total_max_)) {
    release(bytes);
    return is_too_much
               ? limit_exceeded("query needs more memory than one query may: " +
                                std::to_string(max_) + " bytes (--query.max-memory-per-query)")
               : limit_exceeded(
                     "query needs more memory than is left: all queries together may use " +
                     std::to_string(total_max_) + " bytes (--query.max-memory)");
  }
  std::uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (held > peak && !peak_.compare_exchange_weak(peak, held, std::memory_order_relaxed)) {
  }
  return {};
}

void MemoryBudget::release(std::uint64_t bytes) {
  held_.fetch_sub(bytes, std::memory_order_relaxed);
  if (total_ != nullptr) total_->held.fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace tarsier::query
