#pragma once

#include <csignal>

namespace tarsier::server {

/// Blocks SIGINT, SIGTERM and SIGHUP, which are returned, so that they are waited for and never
/// handled: every thread started later inherits the mask. Broken pipes and limits on files become
/// errors of the write.
sigset_t block_signals();

}  // namespace tarsier::server
