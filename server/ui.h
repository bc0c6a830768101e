#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"

namespace tarsier::server {

class Router;
struct Doors;

/// One file of the web UI, as it is in the program.
struct UiFile {
  std::string_view path;  ///< Such as "assets/index.js".
  std::string_view tag;   ///< Its ETag, quotes included.
  std::span<const std::byte> gzip;
};

/// Every file of dashboards/ui/dist.
std::span<const UiFile> ui_files();

/// Adds the pages of the UI and its files. `doors` must outlive the router.
void add_ui(Router& router, const Doors& doors);

}  // namespace tarsier::server
