#pragma once

#include <span>
#include <string>

namespace tarsier::server {

/// `tarsier demo`: a server of its own with a synthetic shop in front of it, until a signal ends
/// it. REQUIRES: called on the program's main thread before any other thread was started.
int run_demo(std::span<const std::string> arguments);

}  // namespace tarsier::server
