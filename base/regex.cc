#include "base/regex.h"

#include <cctype>
#include <map>

#include <re2/re2.h>

namespace tarsier {

struct Regex::Compiled {
  Compiled(std::string_view pattern_text, const RE2::Options& options)
      : pattern(pattern_text),
        regex("^(?s:" + pattern + ")$", options),
        names(regex.ok() ? regex.NamedCapturingGroups() : std::map<std::string, int>()) {}

  std::string pattern;
  RE2 regex;
  std::map<std::string, int> names;
};

namespace {

/// What is wrong with a pattern, in the words of Go's regexp, which users know from Prometheus.
Status syntax_error(const RE2& regex, std::string_view pattern) {
  std::string_view what = "unexpected error";
  std::string at = regex.error_arg();
  switch (regex.error_code()) {
    case RE2::NoError:
    case RE2::ErrorInternal: break;
    case RE2::ErrorBadEscape: what = "invalid escape sequence"; break;
    case RE2::ErrorBadCharClass: what = "invalid character class"; break;
    case RE2::ErrorBadCharRange: what = "invalid character class range"; break;
    case RE2::ErrorMissingBracket: what = "missing closing ]"; break;
    case RE2::ErrorMissingParen:
      what = "missing closing )";
      at = pattern;
      break;
    case RE2::ErrorUnexpectedParen:
      what = "unexpected )";
      at = pattern;
      break;
    case RE2::ErrorTrailingBackslash:
      what = "trailing backslash at end of expression";
      at.clear();
      break;
    case RE2::ErrorRepeatArgument: what = "missing argument to repetition operator"; break;
    case RE2::ErrorRepeatSize: what = "invalid repeat count"; break;
    case RE2::ErrorRepeatOp: what = "invalid nested repetition operator"; break;
    case RE2::ErrorBadPerlOp: what = "invalid or unsupported Perl syntax"; break;
    case RE2::ErrorBadUTF8: what = "invalid UTF-8"; break;
    case RE2::ErrorBadNamedCapture: what = "invalid named capture"; break;
    case RE2::ErrorPatternTooLarge:
      what = "expression too large";
      at = pattern;
      break;
  }
  return invalid("error parsing regexp: " + std::string(what) + ": `" + at + "`");
}

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(16 << 20);
  // On its own first: "a)(b" would be balanced by the anchoring group around it.
  const RE2 bare(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (!bare.ok()) return syntax_error(bare, pattern);
  auto compiled = std::make_shared<Compiled>(pattern, options);
  if (!compiled->regex.ok()) return syntax_error(compiled->regex, pattern);
  return Regex(std::move(compiled));
}

bool Regex::full_match(std::string_view text) const {
  return compiled_->regex.Match({text.data(), text.size()}, 0, text.size(), RE2::ANCHOR_BOTH,
                                nullptr, 0);
}

bool Regex::full_match(std::string_view text, std::vector<std::string_view>& groups) const {
  std::vector<re2::StringPiece> pieces(group_count() + 1);
  if (!compiled_->regex.Match({text.data(), text.size()}, 0, text.size(), RE2::ANCHOR_BOTH,
                              pieces.data(), static_cast<int>(pieces.size()))) {
    return false;
  }
  groups.clear();
  for (const re2::StringPiece& piece : pieces) groups.emplace_back(piece.data(), piece.size());
  return true;
}

namespace {

std::string expand_groups(std::string_view replacement, const std::vector<std::string_view>& groups,
                          const std::map<std::string, int>& names) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  const auto group_text = [&](std::string_view name) -> std::string_view {
    const bool numeric = name.find_first_not_of("0123456789") == std::string_view::npos;
    std::size_t index = groups.size();
    if (numeric && name.size() < 6) {
      index = std::stoul(std::string(name));
    } else if (const auto found = names.find(std::string(name)); found != names.end()) {
      index = static_cast<std::size_t>(found->second);
    }
    return index < groups.size() ? groups[index] : std::string_view();
  };

  std::string out;
  for (std::size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '$' || i + 1 == replacement.size()) {
      out += replacement[i];
      continue;
    }
    if (replacement[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const bool braced = replacement[i + 1] == '{';
    const std::size_t start = i + (braced ? 2 : 1);
    std::size_t end = start;
    while (end < replacement.size() && is_word(replacement[end])) ++end;
    const bool closed = !braced || (end < replacement.size() && replacement[end] == '}');
    if (end == start || !closed) {  // Not a reference: the dollar stands for itself.
      out += '$';
      continue;
    }
    out += group_text(replacement.substr(start, end - start));
    i = braced ? end : end - 1;
  }
  return out;
}

}  // namespace

std::string Regex::expand(std::string_view replacement,
                          const std::vector<std::string_view>& groups) const {
  return expand_groups(replacement, groups, compiled_->names);
}

const std::string& Regex::pattern() const { return compiled_->pattern; }

std::size_t Regex::group_count() const {
  return static_cast<std::size_t>(compiled_->regex.NumberOfCapturingGroups());
}

struct SearchRegex::Compiled {
  Compiled(std::string_view pattern, const RE2::Options& options)
      : regex(re2::StringPiece(pattern.data(), pattern.size()), options),
        names(regex.ok() ? regex.NamedCapturingGroups() : std::map<std::string, int>()) {}

  RE2 regex;
  std::map<std::string, int> names;
};

Result<SearchRegex> SearchRegex::compile(std::string_view pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(16 << 20);
  auto compiled = std::make_shared<Compiled>(pattern, options);
  if (!compiled->regex.ok()) return syntax_error(compiled->regex, pattern);
  return SearchRegex(std::move(compiled));
}

bool SearchRegex::search(std::string_view text) const {
  return compiled_->regex.Match({text.data(), text.size()}, 0, text.size(), RE2::UNANCHORED,
                                nullptr, 0);
}

std::string SearchRegex::replace_all(std::string_view text, std::string_view replacement) const {
  std::string out;
  std::vector<re2::StringPiece> pieces(
      static_cast<std::size_t>(compiled_->regex.NumberOfCapturingGroups()) + 1);
  std::vector<std::string_view> groups(pieces.size());
  std::size_t from = 0;    // Where the next match may begin.
  std::size_t copied = 0;  // What is in `out` already.
  std::size_t last_end = std::string_view::npos;
  while (from <= text.size() &&
         compiled_->regex.Match({text.data(), text.size()}, from, text.size(), RE2::UNANCHORED,
                                pieces.data(), static_cast<int>(pieces.size()))) {
    const auto begin = static_cast<std::size_t>(pieces[0].data() - text.data());
    const std::size_t end = begin + pieces[0].size();
    // An empty match right behind the one before is not one.
    if (begin != end || begin != last_end) {
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        groups[i] = {pieces[i].data(), pieces[i].size()};
      }
      out += text.substr(copied, begin - copied);
      out += expand_groups(replacement, groups, compiled_->names);
      copied = end;
      last_end = end;
    }
    from = end;
    if (begin != end) continue;
    // Go on behind the next character.
    do {
      ++from;
    } while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80);
  }
  return out + std::string(text.substr(copied));
}

}  // namespace tarsier
