#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier::server {

inline constexpr int kCliOk = 0;
inline constexpr int kCliFailed = 1;
inline constexpr int kCliUsage = 2;

/// What a command line may hold beside plain arguments: names without dashes, a one-letter form
/// behind a comma ("human-readable,r").
struct CliFlags {
  std::vector<std::string_view> switches;
  std::vector<std::string_view> values;
};

/// A command line taken apart: `--name=value`, `--name value`, `--switch`, `-s`, and the rest.
struct CliArguments {
  std::multimap<std::string, std::string> named;
  std::vector<std::string> rest;

  bool has(const std::string& name) const { return named.contains(name); }
  /// The last one given, or `otherwise`.
  std::string value(const std::string& name, std::string otherwise = "") const;
  std::vector<std::string> all(const std::string& name) const;
};

/// kInvalid, naming the flag, for one that is unknown or lacks its value.
Result<CliArguments> parse_cli(std::span<const std::string> arguments, const CliFlags& flags);

/// Prints a line to stderr and returns `code`.
int cli_complain(std::string_view text, int code);
/// To stdout, as it is.
void cli_print(std::string_view text);

}  // namespace tarsier::server
