#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"

namespace tarsier::tracing {

/// What a trace is about: the service and name of its root span.
struct Operation {
  std::string service;
  std::string name;
};

/// Numbers for operations, given once and for the life of the process. Number 0 stands for all that
/// came after the table was full. Any number of threads.
class OperationTable final {
 public:
  static constexpr std::uint32_t kOther = 0;
  explicit OperationTable(std::size_t operations_max = 100'000);

  std::uint32_t number_of(std::string_view service, std::string_view name);
  /// A copy. REQUIRES: a number that was given.
  Operation operation(std::uint32_t number) const;
  std::size_t size() const;

 private:
  const std::size_t operations_max_;
  mutable Mutex mutex_;
  std::deque<Operation> operations_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::uint32_t> numbers_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tracing
