#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier::server {

/// Where a command prints, so that tests can read it.
struct CommandOutput {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
};

/// `check rules [--lint=duplicate-rules|all|none] [--lint-fatal] [--ignore-unknown-fields] FILE...`
/// 0: all are valid; 1: some is not; 3: only a finding of the linter that is fatal by option.
int check_rules(std::span<const std::string> arguments, const CommandOutput& output);

/// `test rules [--run=REGEX]... [--diff] [--ignore-unknown-fields] [--junit=FILE] FILE...`
/// 0: all passed; 1: something failed or could not be read.
int test_rules(std::span<const std::string> arguments, const CommandOutput& output);

}  // namespace tarsier::server
