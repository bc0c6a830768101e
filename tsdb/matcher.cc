#include "tsdb/matcher.h"

#include <algorithm>

#include "base/json_writer.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kMeta = R"(\.+*?()|[]{}^$)";

bool is_meta(char c) { return kMeta.find(c) != std::string_view::npos; }

/// Splits the literal text off the front of `pattern`: stops before the first metacharacter, and
/// before a character a quantifier applies to. Backslash before a metacharacter is that character.
std::string take_literal(std::string_view& pattern) {
  std::string literal;
  while (!pattern.empty()) {
    std::size_t size = 1;
    char c = pattern[0];
    if (c == '\\') {
      if (pattern.size() < 2 || !is_meta(pattern[1])) break;
      c = pattern[1];
      size = 2;
    } else if (is_meta(c)) {
      break;
    }
    // A multi-byte character may be quantified as a whole: stop before it then.
    std::size_t end = size;
    while (size == 1 && (static_cast<unsigned char>(c) & 0x80) != 0 && end < pattern.size() &&
           (static_cast<unsigned char>(pattern[end]) & 0xC0) == 0x80) {
      ++end;
    }
    if (end < pattern.size() && std::string_view("*+?{").find(pattern[end]) != std::string_view::npos) {
      break;
    }
    if (size == 2) {
      literal += c;
    } else {
      literal += pattern.substr(0, end);
    }
    pattern.remove_prefix(end);
  }
  return literal;
}

/// Removes one pair of plain or non-capturing parentheses around the whole pattern.
std::string_view without_outer_group(std::string_view pattern) {
  if (pattern.size() < 2 || pattern.front() != '(' || pattern.back() != ')') return pattern;
  std::string_view inner = pattern.substr(1, pattern.size() - 2);
  if (inner.starts_with("?:")) inner.remove_prefix(2);
  // Only when no other group, class or escape could own the closing parenthesis.
  return inner.find_first_of("()[]\\?") == std::string_view::npos ? inner : pattern;
}

/// The alternatives of `a|b|c` when each is plain text.
std::optional<std::vector<std::string>> as_literals(std::string_view pattern) {
  std::string_view rest = without_outer_group(pattern);
  std::vector<std::string> literals;
  for (;;) {
    literals.push_back(take_literal(rest));
    if (rest.empty()) break;
    if (rest.front() != '|') return std::nullopt;
    rest.remove_prefix(1);
  }
  std::sort(literals.begin(), literals.end());
  literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
  return literals;
}

bool has_top_level_alternative(std::string_view pattern) {
  return pattern.find('|') != std::string_view::npos;  // Conservative: any '|' disables the prefix.
}

}  // namespace

Matcher::Matcher(MatchOp op, std::string name, std::string value)
    : op_(op), name_(std::move(name)), value_(std::move(value)) {}

Matcher Matcher::equal(std::string name, std::string value) {
  Matcher matcher(MatchOp::kEqual, std::move(name), std::move(value));
  matcher.literals_ = {matcher.value_};
  matcher.prefix_ = matcher.value_;
  return matcher;
}

Matcher Matcher::not_equal(std::string name, std::string value) {
  Matcher matcher = equal(std::move(name), std::move(value));
  matcher.op_ = MatchOp::kNotEqual;
  return matcher;
}

Result<Matcher> Matcher::create(MatchOp op, std::string name, std::string value) {
  if (op == MatchOp::kEqual) return equal(std::move(name), std::move(value));
  if (op == MatchOp::kNotEqual) return not_equal(std::move(name), std::move(value));
  Matcher matcher(op, std::move(name), std::move(value));
  // Compiled in any case, so that what is invalid for RE2 is invalid here too.
  Regex regex = TRY(Regex::compile(matcher.value_));
  matcher.literals_ = as_literals(matcher.value_);
  if (matcher.literals_) {
    if (matcher.literals_->size() == 1) matcher.prefix_ = matcher.literals_->front();
    return matcher;
  }
  if (!has_top_level_alternative(matcher.value_)) {
    std::string_view rest = matcher.value_;
    matcher.prefix_ = take_literal(rest);
    if (rest == ".*") matcher.rest_ = Rest::kAnything;
    if (rest == ".+") matcher.rest_ = Rest::kSomething;
  }
  if (matcher.rest_ == Rest::kRegex) matcher.regex_ = std::move(regex);
  return matcher;
}

bool Matcher::matches_positive(std::string_view text) const {
  if (literals_) {
    if (literals_->size() == 1) return literals_->front() == text;
    return std::binary_search(literals_->begin(), literals_->end(), text);
  }
  if (!text.starts_with(prefix_)) return false;
  switch (rest_) {
    case Rest::kAnything: return true;
    case Rest::kSomething: return text.size() > prefix_.size();
    case Rest::kRegex: break;
  }
  return regex_->full_match(text);
}

std::string Matcher::to_string() const {
  static constexpr std::string_view kOps[] = {"=", "!=", "=~", "!~"};
  std::string out;
  if (is_legacy_label_name(name_)) {
    out += name_;
  } else {
    append_json_string(out, name_);
  }
  out += kOps[static_cast<std::size_t>(op_)];
  append_json_string(out, value_);
  return out;
}

}  // namespace tarsier::tsdb
