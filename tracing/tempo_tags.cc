// The language before TraceQL: Tempo's `tags` parameter.

#include <charconv>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "tracing/tempo_api.h"
#include "tracing/tempo_time.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {
namespace {

/// The pairs of a logfmt line.
Result<std::vector<std::pair<std::string, std::string>>> parse_logfmt(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  std::size_t at = 0;
  const auto is_blank = [&] { return text[at] == ' ' || text[at] == '\t'; };
  for (;;) {
    while (at < text.size() && is_blank()) ++at;
    if (at == text.size()) return out;
    auto& [key, value] = out.emplace_back();
    while (at < text.size() && text[at] != '=' && !is_blank()) key += text[at++];
    if (key.empty() || at == text.size() || text[at] != '=') {
      return invalid("invalid tags: expected key=value");
    }
    ++at;
    if (at < text.size() && text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        value += text[at];
      }
      if (at == text.size()) return invalid("invalid tags: a quoted value has no end");
      ++at;
    } else {
      while (at < text.size() && !is_blank()) value += text[at++];
    }
  }
}

/// A regular expression for the text anywhere, whatever the case.
std::string anywhere(std::string_view text) {
  std::string pattern = "(?is).*";
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (!is_plain) pattern += '\\';
    pattern += c;
  }
  return quote(pattern + ".*");
}

bool is_number(std::string_view text) {
  double v = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), v, std::chars_format::fixed);
  return error == std::errc{} && end == text.data() + text.size() && text[0] != '-';
}

std::string condition(const std::string& key, const std::string& value) {
  if (key == "name") return "name =~ " + anywhere(value);
  if (key == "root.name") return "rootName =~ " + anywhere(value);
  if (key == "root.service.name") return "rootServiceName =~ " + anywhere(value);
  const bool is_status = value == "ok" || value == "error" || value == "unset";
  if (key == "status.code" && is_status) return "status = " + value;
  if (key == "error" && value == "true") return "status = error";
  if (key == "error" && value == "false") return "status != error";
  const std::string name = traceql::attribute_text({.scope = traceql::Scope::kAny, .name = key});
  std::string out = name + " =~ " + anywhere(value);
  if (is_number(value) || value == "true" || value == "false") out += " || " + name + " = " + value;
  return out;
}

}  // namespace

Result<std::string> traceql_of_tags(const std::string& tags, const std::string& min_duration,
                                    const std::string& max_duration) {
  std::vector<std::string> sets;
  std::set<std::string> seen;
  for (const auto& [key, value] : TRY(parse_logfmt(tags))) {
    if (!seen.insert(key).second) return invalid("invalid tags: duplicate key " + key);
    sets.push_back("{ " + condition(key, value) + " }");
  }
  const auto add_duration = [&](const std::string& text, const char* op) -> Status {
    if (text.empty()) return {};
    TRY(parse_tempo_duration_ns(text));
    sets.push_back(std::string("{ traceDuration ") + op + " " + text + " }");
    return {};
  };
  TRY(add_duration(min_duration, ">="));
  TRY(add_duration(max_duration, "<="));
  if (sets.empty()) return std::string("{}");
  std::string out;
  for (const std::string& set : sets) out += (out.empty() ? "" : " && ") + set;
  return out;
}

}  // namespace tarsier::tracing
