#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tarsier::server {

/// The command line of the server: Prometheus' flags under their names, and our own. Known flags
/// that mean nothing here are taken and named in `warnings()`, so that one command line serves
/// both. Values are checked when they are parsed; reading one by the wrong kind is a bug.
class Flags final {
 public:
  /// `--flag=value`, `--flag value`, `--flag`, `--no-flag`; `@file` was expanded before. kInvalid
  /// with what to tell the user.
  static Result<Flags> parse(std::span<const std::string> arguments);

  bool is_set(std::string_view name) const;  ///< On the command line.
  const std::string& text(std::string_view name) const;
  const std::vector<std::string>& list(std::string_view name) const;
  bool is_on(std::string_view name) const;
  Duration duration(std::string_view name) const;
  std::uint64_t number(std::string_view name) const;
  std::uint64_t bytes(std::string_view name) const;

  /// Every flag with its value as text: /api/v1/status/flags.
  std::map<std::string, std::string> all() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// What --help prints: the flags that do something.
  static std::string help();

 private:
  Flags();
  Status set(std::string_view name, std::string_view value);

  std::map<std::string, std::vector<std::string>, std::less<>> values_;  // Defaults included.
  std::map<std::string, bool, std::less<>> is_set_;
  std::vector<std::string> warnings_;
};

/// Replaces every `@file` by the file's lines. kNotFound when there is no such file.
Result<std::vector<std::string>> expand_argument_files(std::span<const std::string> arguments);

}  // namespace tarsier::server
