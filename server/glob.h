#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace tarsier::server {

/// Whether every `*` is in the last element, as configuration files may have it.
bool is_valid_glob(std::string_view path);

/// The files a pattern means, sorted; a path without a `*` means itself, there or not. None is
/// fine.
std::vector<std::string> expand_glob(FileSystem& files, const std::string& pattern);

}  // namespace tarsier::server
