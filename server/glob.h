#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace tarsier::server {

/// Whether every `*` is in the last element, as configuration files may have it.
bool is_valid_glob(std::string_view path);

/// The files a pattern with `*`, `?` or `[...]` means, in any of its elements, sorted; a path
/// without them means itself, there or not. None is fine.
std::vector<std::string> expand_glob(FileSystem& files, const std::string& pattern);

/// What the arguments of a command mean: patterns that a shell was kept from expanding become their
/// files; one that means none stays, to be told as a file that is not there.
std::vector<std::string> files_meant(FileSystem& files, std::span<const std::string> arguments);

}  // namespace tarsier::server
