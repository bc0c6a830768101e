#include "base/log.h"

#include "base/json_writer.h"

namespace tarsier {
namespace {

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "error";
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

}  // namespace

void append_logfmt(std::string& line, std::string_view key, std::string_view value) {
  if (!line.empty()) line += ' ';
  line += key;
  line += '=';
  if (needs_quotes(value)) {
    append_json_string(line, value);
  } else {
    line += value;
  }
}

void Logger::log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < least_) return;
  std::string line;
  append_logfmt(line, "level", level_name(level));
  append_logfmt(line, "msg", message);
  for (const LogField& field : fields) append_logfmt(line, field.key, field.value);
  write(level, line);
}

}  // namespace tarsier
