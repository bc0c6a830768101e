#pragma once

#include <string_view>

namespace tarsier::server {

/// Our own version, from the build.
std::string_view version();
/// The Prometheus release whose API this one implements; clients choose features by it.
inline constexpr std::string_view kPrometheusVersion = "3.14.0";
/// Who compiled it, as the API's `goVersion` says it for Prometheus.
std::string_view compiler_version();

}  // namespace tarsier::server
