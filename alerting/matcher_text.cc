#include "alerting/matcher_text.h"

#include <string>

#include "alerting/template/literal.h"
#include "base/ascii.h"
#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

/// The value without quotes, `\"`, `\\` and `\n` resolved.
Result<std::string> value_of(std::string_view text, std::string_view whole) {
  if (!is_valid_utf8(text)) return invalid("matcher value not valid UTF-8: " + quote(text));
  const bool opens = text.starts_with('"');
  if (opens) text.remove_prefix(1);
  std::string out;
  bool escaped = false;
  bool closed = false;
  for (const char c : text) {
    if (closed) return invalid("bad matcher format: " + std::string(whole));
    if (escaped) {
      escaped = false;
      if (c == 'n') {
        out += '\n';
      } else if (c == '"' || c == '\\') {
        out += c;
      } else {
        out += '\\';
        out += c;
      }
      continue;
    }
    if (c == '\\') {
      escaped = true;
    } else if (c == '"') {
      if (!opens) {
        return invalid("matcher value contains unescaped double quote: " + std::string(text));
      }
      closed = true;
    } else {
      out += c;
    }
  }
  if (escaped) out += '\\';
  if (opens && !closed) {
    return invalid("matcher value contains unescaped double quote: \"" + std::string(text));
  }
  return out;
}

}  // namespace

Result<tsdb::Matcher> parse_alert_matcher(std::string_view text) {
  const std::string_view whole = text;
  text = trimmed(text);
  std::string name;
  if (text.starts_with('"')) {  // A quoted name may hold any character.
    std::size_t end = 1;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    if (end >= text.size()) return invalid("bad matcher format: " + std::string(whole));
    name = TRY(unquote_go(text.substr(0, end + 1)));
    text = trimmed(text.substr(end + 1));
  } else {
    const std::size_t end = text.find_first_of("=!~ \t");
    if (end == std::string_view::npos) return invalid("bad matcher format: " + std::string(whole));
    name = std::string(text.substr(0, end));
    text = trimmed(text.substr(end));
  }
  if (name.empty() || !is_valid_utf8(name)) {
    return invalid("bad matcher format: " + std::string(whole));
  }
  tsdb::MatchOp op = tsdb::MatchOp::kEqual;
  std::size_t size = 2;
  if (text.starts_with("=~")) {
    op = tsdb::MatchOp::kRegex;
  } else if (text.starts_with("!~")) {
    op = tsdb::MatchOp::kNotRegex;
  } else if (text.starts_with("!=")) {
    op = tsdb::MatchOp::kNotEqual;
  } else if (text.starts_with("=")) {
    size = 1;
  } else {
    return invalid("bad matcher format: " + std::string(whole));
  }
  std::string value = TRY(value_of(trimmed(text.substr(size)), whole));
  return tsdb::Matcher::create(op, std::move(name), std::move(value));
}

Result<std::vector<tsdb::Matcher>> parse_alert_matchers(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('{')) text.remove_prefix(1);
  if (text.ends_with('}') && !text.ends_with("\\}")) text.remove_suffix(1);
  std::vector<tsdb::Matcher> out;
  bool in_quotes = false;
  std::string token;
  const auto finish = [&]() -> Status {
    const std::string_view trimmed_token = trimmed(token);
    if (!trimmed_token.empty()) out.push_back(TRY(parse_alert_matcher(trimmed_token)));
    token.clear();
    return {};
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      token += c;
      token += text[++i];
      continue;
    }
    if (c == '"') in_quotes = !in_quotes;
    if (c == ',' && !in_quotes) {
      TRY(finish());
      continue;
    }
    token += c;
  }
  if (in_quotes) {
    return invalid("matcher value contains unescaped double quote: " + std::string(text));
  }
  TRY(finish());
  return out;
}

}  // namespace tarsier::alerting
