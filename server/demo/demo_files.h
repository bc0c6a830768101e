#pragma once

#include <string>

namespace tarsier::server {

/// Where the demo's parts find each other, `host:port` each.
struct DemoAddresses {
  std::string server;         ///< Of Tarsier itself.
  std::string shop;           ///< Where the shop's services expose their metrics.
  std::string node_exporter;  ///< Empty: there is none.
};

// The files `tarsier demo` starts a server with: complete, and examples of what one writes for
// services of one's own.

/// Scrapes, and which of the other two files to read; they lie beside it under the names below.
std::string demo_config(const DemoAddresses& addresses);
inline constexpr const char* kDemoConfigName = "demo.yml";
std::string demo_rules();
inline constexpr const char* kDemoRulesName = "demo_rules.yml";
std::string demo_objectives();
inline constexpr const char* kDemoObjectivesName = "demo_slos.yml";

}  // namespace tarsier::server
