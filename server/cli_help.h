#pragma once

#include <optional>
#include <span>
#include <string>

namespace tarsier::server {

/// What `tarsier COMMAND --help` prints: how the command that the leading words name is used, or
/// all that begin with them. Nothing where the words are no command. What is no word is ignored.
std::optional<std::string> command_help(std::span<const std::string> arguments);

}  // namespace tarsier::server
