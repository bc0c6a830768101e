#include "ingest/discovery/kubernetes/objects.h"

#include <algorithm>
#include <limits>

#include "base/ascii.h"

namespace tarsier::ingest {
namespace {

const JsonValue* at_path(const JsonValue& json, std::string_view path) {
  const JsonValue* value = &json;
  while (value && !path.empty()) {
    const std::size_t end = std::min(path.find('.'), path.size());
    value = value->find(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return value && !value->is_null() ? value : nullptr;
}

/// The elements of the list at `path`; none if there is none.
const std::vector<JsonValue>& list_at(const JsonValue& json, std::string_view path) {
  static const std::vector<JsonValue> kNone;
  const JsonValue* const list = at_path(json, path);
  return list && list->kind() == JsonKind::kArray ? list->items() : kNone;
}

std::optional<std::string> optional_text(const JsonValue& json, std::string_view path) {
  const JsonValue* const value = at_path(json, path);
  if (!value) return std::nullopt;
  Result<std::string> text = value->as_string();
  return text.ok() ? std::optional(std::move(*text)) : std::nullopt;
}

std::optional<bool> optional_bool(const JsonValue& json, std::string_view path) {
  const JsonValue* const value = at_path(json, path);
  if (!value) return std::nullopt;
  const Result<bool> is_true = value->as_bool();
  return is_true.ok() ? std::optional(*is_true) : std::nullopt;
}

std::optional<std::uint32_t> optional_port(const JsonValue& json, std::string_view path) {
  const JsonValue* const value = at_path(json, path);
  if (!value) return std::nullopt;
  const Result<std::uint64_t> number = value->as_uint64();
  if (!number.ok() || *number > 65535) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

KubePairs pairs_at(const JsonValue& json, std::string_view path) {
  KubePairs out;
  const JsonValue* const map = at_path(json, path);
  if (!map || map->kind() != JsonKind::kObject) return out;
  for (std::size_t i = 0; i < map->keys().size(); ++i) {
    Result<std::string> text = map->items()[i].as_string();
    if (text.ok()) out.emplace_back(map->keys()[i], std::move(*text));
  }
  return out;
}

std::vector<std::string> texts_at(const JsonValue& json, std::string_view path) {
  std::vector<std::string> out;
  for (const JsonValue& item : list_at(json, path)) {
    Result<std::string> text = item.as_string();
    if (text.ok()) out.push_back(std::move(*text));
  }
  return out;
}

std::vector<KubePort> ports_at(const JsonValue& json, std::string_view path,
                               std::string_view number) {
  std::vector<KubePort> out;
  for (const JsonValue& item : list_at(json, path)) {
    out.push_back({.name = optional_text(item, "name"),
                   .protocol = optional_text(item, "protocol"),
                   .app_protocol = optional_text(item, "appProtocol"),
                   .number = optional_port(item, number)});
  }
  return out;
}

KubeNode read_node(const JsonValue& json) {
  KubeNode out;
  out.provider_id = kube_text(json, "spec.providerID");
  for (const JsonValue& one : list_at(json, "status.conditions")) {
    out.conditions.emplace_back(kube_text(one, "type"), kube_text(one, "status"));
  }
  for (const JsonValue& one : list_at(json, "status.addresses")) {
    out.addresses.emplace_back(kube_text(one, "type"), kube_text(one, "address"));
  }
  out.kubelet_port = optional_port(json, "status.daemonEndpoints.kubeletEndpoint.Port").value_or(0);
  return out;
}

KubeService read_service(const JsonValue& json) {
  KubeService out;
  out.type = kube_text(json, "spec.type");
  out.cluster_ip = kube_text(json, "spec.clusterIP");
  out.external_name = kube_text(json, "spec.externalName");
  for (const JsonValue& one : list_at(json, "status.loadBalancer.ingress")) {
    const std::string ip = kube_text(one, "ip");
    if (!ip.empty()) out.load_balancer_ips += (out.load_balancer_ips.empty() ? "" : ",") + ip;
  }
  if (out.load_balancer_ips.empty()) out.load_balancer_ips = kube_text(json, "spec.loadBalancerIP");
  const std::string policy = kube_text(json, "spec.ipFamilyPolicy");
  const std::vector<std::string> families = texts_at(json, "spec.ipFamilies");
  const bool has_two = policy == "PreferDualStack" || policy == "RequireDualStack";
  if (has_two && !families.empty()) out.primary_family = families[0];
  out.ports = ports_at(json, "spec.ports", "port");
  return out;
}

void read_containers(const JsonValue& json, bool is_init, std::vector<KubeContainer>& out) {
  const auto& statuses =
      list_at(json, is_init ? "status.initContainerStatuses" : "status.containerStatuses");
  for (const JsonValue& one : list_at(json, is_init ? "spec.initContainers" : "spec.containers")) {
    KubeContainer container{.name = kube_text(one, "name"),
                            .image = kube_text(one, "image"),
                            .id = {},
                            .is_init = is_init,
                            .ports = ports_at(one, "ports", "containerPort")};
    for (const JsonValue& status : statuses) {
      if (kube_text(status, "name") == container.name) {
        container.id = kube_text(status, "containerID");
      }
    }
    out.push_back(std::move(container));
  }
}

KubePod read_pod(const JsonValue& json) {
  KubePod out;
  out.ip = kube_text(json, "status.podIP");
  out.host_ip = kube_text(json, "status.hostIP");
  out.phase = kube_text(json, "status.phase");
  out.node_name = kube_text(json, "spec.nodeName");
  out.ready = "unknown";
  for (const JsonValue& one : list_at(json, "status.conditions")) {
    if (kube_text(one, "type") == "Ready") out.ready = ascii_lower(kube_text(one, "status"));
  }
  read_containers(json, false, out.containers);
  read_containers(json, true, out.containers);
  return out;
}

std::optional<KubeReference> reference_at(const JsonValue& json, std::string_view path) {
  const JsonValue* const value = at_path(json, path);
  if (!value) return std::nullopt;
  return KubeReference{.kind = kube_text(*value, "kind"),
                       .name_space = kube_text(*value, "namespace"),
                       .name = kube_text(*value, "name")};
}

void read_endpoint_addresses(const JsonValue& subset, std::string_view path, bool is_ready,
                             std::vector<KubeEndpoint>& out) {
  for (const JsonValue& one : list_at(subset, path)) {
    KubeEndpoint endpoint;
    endpoint.addresses = {kube_text(one, "ip")};
    endpoint.hostname = optional_text(one, "hostname");
    endpoint.node_name = optional_text(one, "nodeName");
    endpoint.ready = is_ready;
    endpoint.target = reference_at(one, "targetRef");
    out.push_back(std::move(endpoint));
  }
}

KubeEndpoints read_endpoints(const JsonValue& json) {
  KubeEndpoints out;
  for (const JsonValue& one : list_at(json, "subsets")) {
    KubeEndpointSubset subset;
    subset.ports = ports_at(one, "ports", "port");
    read_endpoint_addresses(one, "addresses", true, subset.endpoints);
    read_endpoint_addresses(one, "notReadyAddresses", false, subset.endpoints);
    out.subsets.push_back(std::move(subset));
  }
  return out;
}

KubeEndpoints read_endpoint_slice(const JsonValue& json) {
  KubeEndpoints out;
  out.address_type = kube_text(json, "addressType");
  KubeEndpointSubset subset;
  subset.ports = ports_at(json, "ports", "port");
  for (const JsonValue& one : list_at(json, "endpoints")) {
    KubeEndpoint endpoint;
    endpoint.addresses = texts_at(one, "addresses");
    endpoint.hostname = optional_text(one, "hostname");
    endpoint.node_name = optional_text(one, "nodeName");
    endpoint.zone = optional_text(one, "zone");
    endpoint.ready = optional_bool(one, "conditions.ready");
    endpoint.serving = optional_bool(one, "conditions.serving");
    endpoint.terminating = optional_bool(one, "conditions.terminating");
    endpoint.target = reference_at(one, "targetRef");
    endpoint.topology = pairs_at(one, "deprecatedTopology");
    subset.endpoints.push_back(std::move(endpoint));
  }
  out.subsets.push_back(std::move(subset));
  return out;
}

KubeIngress read_ingress(const JsonValue& json) {
  KubeIngress out;
  out.class_name = optional_text(json, "spec.ingressClassName");
  for (const JsonValue& one : list_at(json, "spec.rules")) {
    KubeIngress::Rule rule{.host = kube_text(one, "host"), .paths = {}};
    for (const JsonValue& path : list_at(one, "http.paths")) {
      std::string text = kube_text(path, "path");
      rule.paths.push_back(text.empty() ? "/" : std::move(text));
    }
    if (!at_path(one, "http")) rule.paths = {"/"};
    out.rules.push_back(std::move(rule));
  }
  for (const JsonValue& one : list_at(json, "spec.tls")) {
    for (std::string& host : texts_at(one, "hosts")) out.tls_hosts.push_back(std::move(host));
  }
  return out;
}

std::size_t byte_count_of(const KubePairs& pairs) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : pairs) bytes += 64 + name.size() + value.size();
  return bytes;
}

std::size_t byte_count_of(const std::vector<KubeContainer>& containers) {
  std::size_t bytes = 0;
  for (const KubeContainer& one : containers) {
    bytes += sizeof(one) + one.name.size() + one.image.size() + one.id.size() +
             one.ports.size() * sizeof(KubePort);
  }
  return bytes;
}

std::size_t byte_count_of(const KubeEndpoints& endpoints) {
  std::size_t bytes = 0;
  for (const KubeEndpointSubset& subset : endpoints.subsets) {
    bytes += sizeof(subset) + subset.ports.size() * sizeof(KubePort);
    for (const KubeEndpoint& one : subset.endpoints) {
      bytes += sizeof(one) + one.addresses.size() * 64 + 64 + byte_count_of(one.topology);
    }
  }
  return bytes;
}

}  // namespace

std::string_view kube_kind_name(KubeKind kind) {
  switch (kind) {
    case KubeKind::kNode: return "node";
    case KubeKind::kService: return "service";
    case KubeKind::kPod: return "pod";
    case KubeKind::kEndpoints: return "endpoints";
    case KubeKind::kEndpointSlice: return "endpointslice";
    case KubeKind::kIngress: return "ingress";
    case KubeKind::kNamespace: return "namespace";
    case KubeKind::kReplicaSet: return "replicaset";
    case KubeKind::kJob: return "job";
  }
  return "";
}

std::string kube_text(const JsonValue& json, std::string_view path) {
  return optional_text(json, path).value_or(std::string());
}

std::string KubeObject::key() const { return name_space.empty() ? name : name_space + "/" + name; }

std::size_t KubeObject::byte_count() const {
  std::size_t bytes = sizeof(*this) + 128 + byte_count_of(labels) + byte_count_of(annotations);
  if (const auto* pod = std::get_if<KubePod>(&detail)) bytes += byte_count_of(pod->containers);
  if (const auto* ends = std::get_if<KubeEndpoints>(&detail)) bytes += byte_count_of(*ends);
  if (const auto* node = std::get_if<KubeNode>(&detail)) {
    bytes += byte_count_of(node->conditions) + byte_count_of(node->addresses);
  }
  if (const auto* service = std::get_if<KubeService>(&detail)) {
    bytes += service->ports.size() * sizeof(KubePort);
  }
  if (const auto* ingress = std::get_if<KubeIngress>(&detail)) {
    for (const KubeIngress::Rule& rule : ingress->rules) bytes += 64 + rule.paths.size() * 64;
    bytes += ingress->tls_hosts.size() * 64;
  }
  return bytes;
}

Result<KubeObject> parse_kube_object(KubeKind kind, const JsonValue& json) {
  KubeObject out;
  out.kind = kind;
  out.name = kube_text(json, "metadata.name");
  if (out.name.empty()) return invalid("an object of the Kubernetes API has no name");
  out.name_space = kube_text(json, "metadata.namespace");
  out.uid = kube_text(json, "metadata.uid");
  out.resource_version = kube_text(json, "metadata.resourceVersion");
  out.labels = pairs_at(json, "metadata.labels");
  out.annotations = pairs_at(json, "metadata.annotations");
  for (const JsonValue& owner : list_at(json, "metadata.ownerReferences")) {
    if (!optional_bool(owner, "controller").value_or(false)) continue;
    out.controller_kind = kube_text(owner, "kind");
    out.controller_name = kube_text(owner, "name");
    break;
  }
  switch (kind) {
    case KubeKind::kNode: out.detail = read_node(json); break;
    case KubeKind::kService: out.detail = read_service(json); break;
    case KubeKind::kPod: out.detail = read_pod(json); break;
    case KubeKind::kEndpoints: out.detail = read_endpoints(json); break;
    case KubeKind::kEndpointSlice: out.detail = read_endpoint_slice(json); break;
    case KubeKind::kIngress: out.detail = read_ingress(json); break;
    case KubeKind::kNamespace:
    case KubeKind::kReplicaSet:
    case KubeKind::kJob: break;
  }
  return out;
}

}  // namespace tarsier::ingest
