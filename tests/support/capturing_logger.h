#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"

namespace tarsier::testing {

/// Keeps every line, for tests that care what was reported.
class CapturingLogger final : public Logger {
 public:
  CapturingLogger() : Logger(LogLevel::kDebug) {}
  std::vector<std::string> lines() const;
  bool contains(std::string_view text) const;

 private:
  void write(LogLevel level, std::string_view line) override;

  mutable Mutex mutex_;
  std::vector<std::string> lines_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::testing
