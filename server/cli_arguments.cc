#include "server/cli_arguments.h"

#include <cstdio>

namespace tarsier::server {
namespace {

/// The full name of a flag given as `name` (or as one letter); empty if there is none.
std::string find_flag(const std::vector<std::string_view>& known, std::string_view name) {
  for (const std::string_view one : known) {
    const std::size_t comma = one.find(',');
    const std::string_view full = one.substr(0, comma);
    if (name == full) return std::string(full);
    if (comma != one.npos && name == one.substr(comma + 1)) return std::string(full);
  }
  return "";
}

}  // namespace

std::string CliArguments::value(const std::string& name, std::string otherwise) const {
  const auto [first, last] = named.equal_range(name);
  return first == last ? std::move(otherwise) : std::prev(last)->second;
}

std::vector<std::string> CliArguments::all(const std::string& name) const {
  std::vector<std::string> out;
  const auto [first, last] = named.equal_range(name);
  for (auto at = first; at != last; ++at) out.push_back(at->second);
  return out;
}

Result<CliArguments> parse_cli(std::span<const std::string> arguments, const CliFlags& flags) {
  CliArguments out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with('-') || argument == "-") {
      out.rest.push_back(argument);
      continue;
    }
    const std::size_t begin = argument.starts_with("--") ? 2 : 1;
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(begin, equals - begin);
    if (const std::string full = find_flag(flags.switches, name); !full.empty()) {
      if (equals != std::string::npos) return invalid("flag '" + argument + "' takes no value");
      out.named.emplace(full, "true");
      continue;
    }
    const std::string full = find_flag(flags.values, name);
    if (full.empty()) return invalid("unknown flag '" + argument.substr(0, equals) + "'");
    if (equals != std::string::npos) {
      out.named.emplace(full, argument.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      out.named.emplace(full, arguments[++i]);
    } else {
      return invalid("expected argument for flag '" + argument + "'");
    }
  }
  return out;
}

int cli_complain(std::string_view text, int code) {
  std::fflush(stdout);
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
  return code;
}

void cli_print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace tarsier::server
