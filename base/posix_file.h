#pragma once

#include <memory>

#include "base/file.h"

namespace tarsier {

/// The real file system. Errors carry the path and the system's text for errno.
std::unique_ptr<FileSystem> make_posix_file_system();

}  // namespace tarsier
