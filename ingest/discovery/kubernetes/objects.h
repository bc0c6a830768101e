#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"

namespace tarsier::ingest {

/// The kinds of objects of the Kubernetes API that targets are made of.
enum class KubeKind : unsigned char {
  kNode,
  kService,
  kPod,
  kEndpoints,
  kEndpointSlice,
  kIngress,
  kNamespace,
  kReplicaSet,
  kJob
};
inline constexpr std::size_t kKubeKindCount = 9;
/// "endpointslice": as labels and metrics have it.
std::string_view kube_kind_name(KubeKind kind);

using KubePairs = std::vector<std::pair<std::string, std::string>>;

struct KubePort {
  std::optional<std::string> name;
  std::optional<std::string> protocol;
  std::optional<std::string> app_protocol;
  std::optional<std::uint32_t> number;
};

struct KubeNode {
  std::string provider_id;
  KubePairs conditions;  ///< Type and status.
  KubePairs addresses;   ///< Type and address.
  std::uint32_t kubelet_port = 0;
};

struct KubeService {
  std::string type;
  std::string cluster_ip;
  std::string external_name;
  std::string load_balancer_ips;  ///< With commas between them.
  /// Of a service of two families the main one ("IPv4"); else empty.
  std::string primary_family;
  std::vector<KubePort> ports;
};

struct KubeContainer {
  std::string name;
  std::string image;
  std::string id;
  bool is_init = false;
  std::vector<KubePort> ports;
};

struct KubePod {
  std::string ip;
  std::string host_ip;
  std::string phase;
  std::string node_name;
  std::string ready;  ///< "true", "false" or "unknown".
  std::vector<KubeContainer> containers;
};

struct KubeReference {
  std::string kind;
  std::string name_space;
  std::string name;
};

/// One address of Endpoints, or one endpoint (with one or more addresses) of an EndpointSlice.
struct KubeEndpoint {
  std::vector<std::string> addresses;
  std::optional<std::string> hostname;
  std::optional<std::string> node_name;
  std::optional<std::string> zone;
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
  std::optional<KubeReference> target;
  KubePairs topology;
};

struct KubeEndpointSubset {
  std::vector<KubePort> ports;
  std::vector<KubeEndpoint> endpoints;
};

/// Endpoints and EndpointSlices; the latter have one subset.
struct KubeEndpoints {
  std::string address_type;
  std::vector<KubeEndpointSubset> subsets;
};

struct KubeIngress {
  struct Rule {
    std::string host;
    std::vector<std::string> paths;
  };
  std::optional<std::string> class_name;
  std::vector<Rule> rules;
  std::vector<std::string> tls_hosts;
};

/// What we keep of one object: much less than the API sends.
struct KubeObject {
  KubeKind kind = KubeKind::kPod;
  std::string name;
  std::string name_space;
  std::string uid;
  std::string resource_version;
  KubePairs labels;
  KubePairs annotations;
  std::string controller_kind;  ///< Of the owner that manages it; empty: nobody.
  std::string controller_name;
  std::variant<std::monostate, KubeNode, KubeService, KubePod, KubeEndpoints, KubeIngress> detail;

  /// "namespace/name", or the name of what lies in none.
  std::string key() const;
  /// About what it takes in memory.
  std::size_t byte_count() const;
};

/// Reads an object of that kind; what is absent or has another type counts as empty, as the API's
/// versions differ. kInvalid when there is no name.
Result<KubeObject> parse_kube_object(KubeKind kind, const JsonValue& json);

/// The text at `path` ("metadata.resourceVersion"), or empty.
std::string kube_text(const JsonValue& json, std::string_view path);

}  // namespace tarsier::ingest
