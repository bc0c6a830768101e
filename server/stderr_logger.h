#pragma once

#include <string>
#include <string_view>

#include "base/log.h"
#include "base/time.h"

namespace tarsier::server {

enum class LogFormat : unsigned char { kLogfmt, kJson };

/// Writes each line to standard error with its time, in one system call, so that lines of different
/// threads never mix.
class StderrLogger final : public Logger {
 public:
  StderrLogger(LogLevel least, LogFormat format) : Logger(least), format_(format) {}

 private:
  void write(LogLevel level, std::string_view line) override;
  const LogFormat format_;
};

/// A finished line, newline included: `line` is what Logger made of level, sentence and fields.
std::string render_log_line(LogFormat format, Timestamp t, std::string_view line);

}  // namespace tarsier::server
