#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/dns.h"
#include "base/http_client_config.h"
#include "base/time.h"

namespace tarsier::ingest {

/// Targets that share labels: one entry of `static_configs`, or one group of a discovery.
struct TargetGroup {
  std::vector<std::string> targets;  ///< Values of `__address__`.
  std::vector<std::pair<std::string, std::string>> labels;
  bool operator==(const TargetGroup&) const = default;
};

// What the configuration says about one discovery each. Plain data; equal ones share one instance.

/// `file_sd_configs`: lists of targets in JSON and YAML files.
struct FileDiscoveryConfig {
  std::vector<std::string> files;  ///< Paths; the last element may hold one `*`.
  Duration refresh_interval = minutes(5);
  bool operator==(const FileDiscoveryConfig&) const = default;
};

/// `http_sd_configs`: such a list from a server.
struct HttpDiscoveryConfig {
  std::string url;
  Duration refresh_interval = minutes(1);
  HttpClientConfig http;
  bool operator==(const HttpDiscoveryConfig&) const = default;
};

/// `dns_sd_configs`.
struct DnsDiscoveryConfig {
  std::vector<std::string> names;
  DnsType type = DnsType::kSrv;
  std::uint16_t port = 0;  ///< Of every target, unless SRV says it.
  Duration refresh_interval = seconds(30);
  bool operator==(const DnsDiscoveryConfig&) const = default;
};

using DiscoveryConfig = std::variant<FileDiscoveryConfig, HttpDiscoveryConfig, DnsDiscoveryConfig>;

}  // namespace tarsier::ingest
