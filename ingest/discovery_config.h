#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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

class Discovery;
struct DiscoveryDoor;
struct DiscoveryMetrics;

/// What the door of a discovery and its counters are made into: see Discovery.
using DiscoveryMetricsPtr = std::shared_ptr<DiscoveryMetrics>;

/// One kind of discovery as the configuration has it: plain data that can be compared, knows the
/// name of its section and makes what finds the targets.
template <class Kind>
concept DiscoveryKind = requires {
  { Kind::kSection } -> std::convertible_to<std::string_view>;
};

/// One entry of any `*_sd_configs`: a value that holds some kind, and nobody needs to know which.
class DiscoveryConfig final {
 public:
  template <DiscoveryKind Kind>
  DiscoveryConfig(Kind kind)  // NOLINT: every kind is one.
      : held_(std::make_shared<const Held<Kind>>(std::move(kind))) {}

  /// "file_sd_configs".
  std::string_view section() const { return held_->section(); }
  /// Null unless this holds such a kind.
  template <DiscoveryKind Kind>
  const Kind* as() const {
    const auto* const held = dynamic_cast<const Held<Kind>*>(held_.get());
    return held ? &held->kind : nullptr;
  }
  /// Starts it. Both must outlive what is made, and every answer still to come.
  std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                  const DiscoveryMetricsPtr& metrics) const;
  friend bool operator==(const DiscoveryConfig& a, const DiscoveryConfig& b) {
    return a.held_ == b.held_ || a.held_->equals(*b.held_);
  }

 private:
  struct Any {
    virtual ~Any() = default;
    virtual std::string_view section() const = 0;
    virtual bool equals(const Any& other) const = 0;
    virtual std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                            const DiscoveryMetricsPtr& metrics) const = 0;
  };
  template <class Kind>
  struct Held final : Any {
    explicit Held(Kind k) : kind(std::move(k)) {}
    std::string_view section() const override { return Kind::kSection; }
    bool equals(const Any& other) const override {
      const auto* const same = dynamic_cast<const Held*>(&other);
      return same && same->kind == kind;
    }
    std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                    const DiscoveryMetricsPtr& metrics) const override {
      return kind.make(door, metrics);
    }
    const Kind kind;
  };

  std::shared_ptr<const Any> held_;
};

// The kinds there are. Equal ones share one instance.

/// `file_sd_configs`: lists of targets in JSON and YAML files.
struct FileDiscoveryConfig {
  std::vector<std::string> files;  ///< Paths; the last element may hold one `*`.
  Duration refresh_interval = minutes(5);
  static constexpr std::string_view kSection = "file_sd_configs";
  std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                  const DiscoveryMetricsPtr& metrics) const;
  bool operator==(const FileDiscoveryConfig&) const = default;
};

/// `http_sd_configs`: such a list from a server.
struct HttpDiscoveryConfig {
  std::string url;
  Duration refresh_interval = minutes(1);
  HttpClientConfig http;
  static constexpr std::string_view kSection = "http_sd_configs";
  std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                  const DiscoveryMetricsPtr& metrics) const;
  bool operator==(const HttpDiscoveryConfig&) const = default;
};

/// `dns_sd_configs`.
struct DnsDiscoveryConfig {
  std::vector<std::string> names;
  DnsType type = DnsType::kSrv;
  std::uint16_t port = 0;  ///< Of every target, unless SRV says it.
  Duration refresh_interval = seconds(30);
  static constexpr std::string_view kSection = "dns_sd_configs";
  std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                  const DiscoveryMetricsPtr& metrics) const;
  bool operator==(const DnsDiscoveryConfig&) const = default;
};

/// What of the Kubernetes API is looked at: one target per node, service port, container port, ...
enum class KubernetesRole : unsigned char {
  kNode,
  kService,
  kPod,
  kEndpoints,
  kEndpointSlice,
  kIngress
};
/// "endpointslice".
std::string_view kubernetes_role_name(KubernetesRole role);

/// Which objects of a role are asked for, in the API's own syntax.
struct KubernetesSelector {
  KubernetesRole role = KubernetesRole::kPod;
  std::string label;
  std::string field;
  bool operator==(const KubernetesSelector&) const = default;
};

/// `kubernetes_sd_configs`.
struct KubernetesDiscoveryConfig {
  KubernetesRole role = KubernetesRole::kPod;
  /// Empty, as is `kubeconfig_file`: the service account of the pod we run in.
  std::string api_server;
  std::string kubeconfig_file;
  HttpClientConfig http;  ///< With `api_server` only.
  bool own_namespace = false;
  std::vector<std::string> namespaces;  ///< Empty, as is `own_namespace`: all.
  std::vector<KubernetesSelector> selectors;
  /// Labels of other objects a target has to do with.
  struct AttachMetadata {
    bool node = false;
    bool name_space = false;
    bool deployment = false;
    bool job = false;
    bool cron_job = false;
    bool operator==(const AttachMetadata&) const = default;
  };
  AttachMetadata attach;
  static constexpr std::string_view kSection = "kubernetes_sd_configs";
  std::unique_ptr<Discovery> make(const DiscoveryDoor& door,
                                  const DiscoveryMetricsPtr& metrics) const;
  bool operator==(const KubernetesDiscoveryConfig&) const = default;
};

}  // namespace tarsier::ingest
