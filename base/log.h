#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace tarsier {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError };

/// One key=value of a log line. Numbers are passed through std::to_string by the caller.
struct LogField {
  std::string_view key;
  std::string_view value;
};

/// Where log lines go: a fixed sentence plus fields, written as logfmt
/// (`ts=... level=info msg="Block written" ulid=01J...`). A line is told once, at the loop that
/// owns the work. Any number of threads.
class Logger {
 public:
  explicit Logger(LogLevel least) : least_(least) {}
  virtual ~Logger() = default;

  void debug(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kDebug, m, f);
  }
  void info(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kInfo, m, f);
  }
  void warn(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kWarn, m, f);
  }
  void error(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kError, m, f);
  }

 protected:
  /// Takes one finished line without its time stamp and newline: `level=... msg=... k=v`.
  virtual void write(LogLevel level, std::string_view line) = 0;

 private:
  void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);
  const LogLevel least_;
};

/// Drops everything.
class NullLogger final : public Logger {
 public:
  NullLogger() : Logger(LogLevel::kError) {}

 private:
  void write(LogLevel, std::string_view) override {}
};

/// Appends `key=value` to a logfmt line, quoting the value where it needs it.
void append_logfmt(std::string& line, std::string_view key, std::string_view value);

}  // namespace tarsier
