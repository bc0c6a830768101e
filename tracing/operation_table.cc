#include "tracing/operation_table.h"

#include "base/check.h"

namespace tarsier::tracing {

OperationTable::OperationTable(std::size_t operations_max) : operations_max_(operations_max) {
  const MutexLock lock(mutex_);
  operations_.push_back({"other", "other"});
}

std::uint32_t OperationTable::number_of(std::string_view service, std::string_view name) {
  std::string key;
  key.reserve(service.size() + name.size() + 1);
  key.append(service).append(1, '\0').append(name);
  const MutexLock lock(mutex_);
  const auto found = numbers_.find(key);
  if (found != numbers_.end()) return found->second;
  if (operations_.size() > operations_max_) return kOther;
  const auto number = static_cast<std::uint32_t>(operations_.size());
  operations_.push_back({std::string(service), std::string(name)});
  numbers_.emplace(std::move(key), number);
  return number;
}

Operation OperationTable::operation(std::uint32_t number) const {
  const MutexLock lock(mutex_);
  CHECK(number < operations_.size());
  return operations_[number];
}

std::size_t OperationTable::size() const {
  const MutexLock lock(mutex_);
  return operations_.size();
}

}  // namespace tarsier::tracing
