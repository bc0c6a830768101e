#include "tests/support/temporary_directory.h"

#include <cstdlib>
#include <filesystem>

#include "base/check.h"

namespace tarsier::testing {

TemporaryDirectory::TemporaryDirectory()
    : path_((std::filesystem::temp_directory_path() / "tarsier_test_XXXXXX").string()) {
  CHECK(::mkdtemp(path_.data()) != nullptr, path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace tarsier::testing
