#include "tests/support/capturing_logger.h"

#include <algorithm>

namespace tarsier::testing {

std::vector<std::string> CapturingLogger::lines() const {
  const MutexLock lock(mutex_);
  return lines_;
}

bool CapturingLogger::contains(std::string_view text) const {
  const MutexLock lock(mutex_);
  return std::any_of(lines_.begin(), lines_.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

void CapturingLogger::write(LogLevel, std::string_view line) {
  const MutexLock lock(mutex_);
  lines_.emplace_back(line);
}

}  // namespace tarsier::testing
