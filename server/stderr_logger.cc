#include "server/stderr_logger.h"

#include <string>

#include <unistd.h>

#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "server/clock.h"

namespace tarsier::server {
namespace {

/// `level=info msg="a b"` as members of a JSON object. Quoted values are JSON strings already.
void append_as_json(std::string& out, std::string_view line) {
  while (!line.empty()) {
    const std::size_t equals = std::min(line.find('='), line.size());
    out += ',';
    append_json_string(out, line.substr(0, equals));
    out += ':';
    line.remove_prefix(std::min(equals + 1, line.size()));
    const bool is_quoted = line.starts_with('"');
    std::size_t end = is_quoted ? 1 : 0;
    while (end < line.size() && line[end] != (is_quoted ? '"' : ' ')) {
      end += is_quoted && line[end] == '\\' ? 2 : 1;
    }
    end = std::min(end + (is_quoted ? 1 : 0), line.size());
    if (is_quoted) {
      out += line.substr(0, end);
    } else {
      append_json_string(out, line.substr(0, end));
    }
    line.remove_prefix(std::min(end + 1, line.size()));
  }
}

}  // namespace

void StderrLogger::write(LogLevel, std::string_view line) {
  const std::string out = render_log_line(format_, now(), line);
  // Nobody can be told when this fails.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, out.data(), out.size());
}

std::string render_log_line(LogFormat format, Timestamp t, std::string_view line) {
  if (format == LogFormat::kLogfmt) {
    return "ts=" + format_rfc3339_ms(t) + ' ' + std::string(line) + '\n';
  }
  std::string out = "{\"time\":\"" + format_rfc3339_ms(t) + '"';
  append_as_json(out, line);
  return out += "}\n";
}

}  // namespace tarsier::server
