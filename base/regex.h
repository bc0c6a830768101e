#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier {

/// A compiled regular expression in RE2 syntax, always anchored at both ends, `.` matching newlines
/// too, as Prometheus compiles matchers and relabelling rules. Immutable, cheap to copy; any number
/// of threads.
class Regex final {
 public:
  /// kInvalid with RE2's text and the pattern when it does not compile or is too large.
  static Result<Regex> compile(std::string_view pattern);

  bool full_match(std::string_view text) const;
  /// Whether all of `text` matches; on success `groups` holds the whole match and then each
  /// capture group, as views into `text` (a group that took no part is empty with null data).
  bool full_match(std::string_view text, std::vector<std::string_view>& groups) const;
  /// The match's template expansion: `$1`, `${1}`, `${name}`, `$$`; unknown groups are empty.
  std::string expand(std::string_view replacement,
                     const std::vector<std::string_view>& groups) const;
  const std::string& pattern() const;
  std::size_t group_count() const;  ///< Capture groups, without the whole match.

 private:
  struct Compiled;
  explicit Regex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

/// A compiled regular expression in RE2 syntax that may match anywhere, as Go's regexp package does
/// by default: `.` stops at newlines. Immutable, cheap to copy; any number of threads.
class SearchRegex final {
 public:
  /// kInvalid with RE2's text and the pattern when it does not compile or is too large.
  static Result<SearchRegex> compile(std::string_view pattern);

  bool search(std::string_view text) const;
  /// Every match replaced by the expansion of `replacement`, which is as in Regex::expand.
  std::string replace_all(std::string_view text, std::string_view replacement) const;

 private:
  struct Compiled;
  explicit SearchRegex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace tarsier
