#include "server/version.h"

namespace tarsier::server {

std::string_view version() { return TARSIER_VERSION; }

std::string_view compiler_version() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

}  // namespace tarsier::server
