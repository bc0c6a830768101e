#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"
#include "base/result.h"

namespace tarsier::tsdb {

enum class MatchOp : unsigned char { kEqual, kNotEqual, kRegex, kNotRegex };

/// A condition on one label. An absent label has the empty value. A regular expression is anchored
/// at both ends, and when it is really a literal, a set of literals or a prefix (`a`, `a|b`,
/// `(a|b)`, `a.*`, `a.+`, `.*`, `.+`), it is matched as that, without RE2. Immutable; any number of threads.
class Matcher final {
 public:
  /// kInvalid if a regular expression does not compile.
  static Result<Matcher> create(MatchOp op, std::string name, std::string value);
  /// REQUIRES: not a regular expression.
  static Matcher equal(std::string name, std::string value);
  static Matcher not_equal(std::string name, std::string value);

  MatchOp op() const { return op_; }
  const std::string& name() const { return name_; }
  /// The literal, or the pattern as written.
  const std::string& value() const { return value_; }

  bool matches(std::string_view text) const { return matches_positive(text) != is_negative(); }
  /// The same with negation ignored: `!=` as `=`, `!~` as `=~`.
  bool matches_positive(std::string_view text) const;
  bool is_negative() const { return op_ == MatchOp::kNotEqual || op_ == MatchOp::kNotRegex; }
  /// Whether a series without the label passes.
  bool matches_empty() const { return matches(""); }

  /// Every value the positive form can match, if that is a finite, known set (sorted, unique).
  const std::optional<std::vector<std::string>>& literals() const { return literals_; }
  /// What every value the positive form matches begins with; often empty.
  const std::string& prefix() const { return prefix_; }

  /// `job=~"a|b"`, as PromQL writes it.
  std::string to_string() const;
  bool operator==(const Matcher& other) const {
    return op_ == other.op_ && name_ == other.name_ && value_ == other.value_;
  }

 private:
  /// What follows `prefix_` when the pattern is a prefix and nothing else.
  enum class Rest : unsigned char { kRegex, kAnything, kSomething };

  Matcher(MatchOp op, std::string name, std::string value);

  MatchOp op_;
  Rest rest_ = Rest::kRegex;
  std::string name_;
  std::string value_;
  std::string prefix_;
  std::optional<std::vector<std::string>> literals_;
  std::optional<Regex> regex_;  // Engaged for patterns that are neither literals nor a prefix.
};

}  // namespace tarsier::tsdb
