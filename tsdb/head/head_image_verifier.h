#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace tarsier::tsdb {

/// Reads the head image of a data directory, if it has one, and tells `report` (the file, and what)
/// of damage. Nothing is lost with an image: the log has all of it. Fails only when the disk does.
Status verify_head_image(
    FileSystem& files, const std::string& data_directory,
    const std::function<void(const std::string& path, const std::string& what)>& report);

}  // namespace tarsier::tsdb
