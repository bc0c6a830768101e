#include "ingest/discovery/kubernetes/targets.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"

namespace tarsier::ingest {
namespace {

using LabelMap = std::map<std::string, std::string>;

constexpr std::string_view kPrefix = "__meta_kubernetes_";
constexpr std::string_view kAddress = "__address__";

std::string meta(std::string_view name) { return fmt::format("{}{}", kPrefix, name); }

std::string sanitized(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    const bool is_plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!is_plain) c = '_';
  }
  return out;
}

std::string host_port(const std::string& host, std::uint32_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

void add_pairs(LabelMap& out, std::string_view of, std::string_view what, const KubePairs& pairs) {
  for (const auto& [name, value] : pairs) {
    const std::string clean = sanitized(name);
    out[fmt::format("{}{}_{}_{}", kPrefix, of, what, clean)] = value;
    out[fmt::format("{}{}_{}present_{}", kPrefix, of, what, clean)] = "true";
  }
}

/// Labels and annotations.
void add_described(LabelMap& out, const KubeObject& object) {
  const std::string_view of = kube_kind_name(object.kind);
  add_pairs(out, of, "label", object.labels);
  add_pairs(out, of, "annotation", object.annotations);
}

void add_metadata(LabelMap& out, const KubeObject& object) {
  out[meta(fmt::format("{}_name", kube_kind_name(object.kind)))] = object.name;
  add_described(out, object);
}

void add_port(LabelMap& out, std::string_view of, const KubePort& port) {
  if (port.name) out[meta(fmt::format("{}_name", of))] = *port.name;
  if (port.number) out[meta(fmt::format("{}_number", of))] = fmt::format("{}", *port.number);
  if (port.protocol) out[meta(fmt::format("{}_protocol", of))] = *port.protocol;
}

void add_container(LabelMap& out, const KubeContainer& container) {
  out[meta("pod_container_name")] = container.name;
  out[meta("pod_container_image")] = container.image;
  out[meta("pod_container_init")] = container.is_init ? "true" : "false";
}

/// Of a certificate: `*` stands for one part of a name, the first.
bool matches_host(std::string_view pattern, std::string_view host) {
  if (pattern == host) return true;
  if (!pattern.starts_with("*.")) return false;
  const std::size_t dot = host.find('.');
  return dot != std::string_view::npos && host.substr(dot) == pattern.substr(1);
}

class Builder final {
 public:
  Builder(const KubeStore& store, const KubernetesDiscoveryConfig::AttachMetadata& attach)
      : store_(store), attach_(attach) {}

  KubeTargets build(const KubeObject& object);

 private:
  const KubeObject* find(KubeKind kind, const std::string& key) {
    out_.used.emplace(kind, key);
    return store_.find(kind, key);
  }
  void add_target(const LabelMap& group, LabelMap target);
  void add_namespace(LabelMap& out, const std::string& name);
  void add_node(LabelMap& out, const std::string& name);
  void add_pod(LabelMap& out, const KubeObject& pod);
  const KubeObject* pod_of(const KubeEndpoint& endpoint);
  void build_node(const KubeObject& object);
  void build_service(const KubeObject& object);
  void build_pod(const KubeObject& object);
  void build_ingress(const KubeObject& object);
  void build_endpoints(const KubeObject& object);
  void add_endpoint(const KubeObject& object, const LabelMap& group, const KubeEndpoint& endpoint,
                    const std::string& address, const KubePort& port);
  void add_slice_labels(LabelMap& target, const KubeEndpoint& endpoint, const KubePort& port) const;
  void add_other_ports(const LabelMap& group);

  const KubeStore& store_;
  const KubernetesDiscoveryConfig::AttachMetadata& attach_;
  KubeTargets out_;
  /// A pod behind what was built so far, with the ports that were covered.
  struct SeenPod {
    const KubeObject* object = nullptr;
    std::set<std::uint32_t> covered;
  };
  std::map<std::string, SeenPod> seen_pods_;
};

void Builder::add_target(const LabelMap& group, LabelMap target) {
  TargetGroup out;
  out.targets = {target[std::string(kAddress)]};
  target.erase(std::string(kAddress));
  target.insert(group.begin(), group.end());  // What a target says itself stays.
  for (auto& [name, value] : target) {
    if (!value.empty()) out.labels.emplace_back(name, std::move(value));
  }
  out_.groups.push_back(std::move(out));
}

void Builder::add_namespace(LabelMap& out, const std::string& name) {
  if (!attach_.name_space) return;
  if (const KubeObject* found = find(KubeKind::kNamespace, name)) add_described(out, *found);
}

void Builder::add_node(LabelMap& out, const std::string& name) {
  if (!attach_.node || name.empty()) return;
  if (const KubeObject* found = find(KubeKind::kNode, name)) add_metadata(out, *found);
}

void Builder::add_pod(LabelMap& out, const KubeObject& object) {
  const auto& pod = std::get<KubePod>(object.detail);
  out[meta("pod_ip")] = pod.ip;
  out[meta("pod_ready")] = pod.ready;
  out[meta("pod_phase")] = pod.phase;
  out[meta("pod_node_name")] = pod.node_name;
  out[meta("pod_host_ip")] = pod.host_ip;
  out[meta("pod_uid")] = object.uid;
  add_metadata(out, object);
  out[meta("pod_controller_kind")] = object.controller_kind;
  out[meta("pod_controller_name")] = object.controller_name;
  const std::string owner = object.name_space + "/" + object.controller_name;
  if (object.controller_kind == "ReplicaSet" && attach_.deployment) {
    const KubeObject* const set = find(KubeKind::kReplicaSet, owner);
    if (set && set->controller_kind == "Deployment") {
      out[meta("pod_deployment_name")] = set->controller_name;
    }
  }
  if (object.controller_kind != "Job") return;
  if (attach_.job) out[meta("pod_job_name")] = object.controller_name;
  if (!attach_.cron_job) return;
  const KubeObject* const job = find(KubeKind::kJob, owner);
  if (job && job->controller_kind == "CronJob") {
    out[meta("pod_cronjob_name")] = job->controller_name;
  }
}

void Builder::build_node(const KubeObject& object) {
  const auto& node = std::get<KubeNode>(object.detail);
  static constexpr std::string_view kByPriority[] = {"InternalIP",  "InternalDNS",  "ExternalIP",
                                                     "ExternalDNS", "LegacyHostIP", "Hostname"};
  LabelMap target;
  const std::string* host = nullptr;
  for (const std::string_view type : kByPriority) {
    const auto found = std::find_if(node.addresses.begin(), node.addresses.end(),
                                    [&](const auto& address) { return address.first == type; });
    if (!host && found != node.addresses.end()) host = &found->second;
  }
  if (!host) return;
  for (const auto& [type, address] : node.addresses) {
    target.emplace(sanitized(meta("node_address_" + type)), address);  // The first of each type.
  }
  target[std::string(kAddress)] = host_port(*host, node.kubelet_port);
  target["instance"] = object.name;
  LabelMap group;
  group[meta("node_provider_id")] = node.provider_id;
  for (const auto& [type, status] : node.conditions) {
    group[meta("node_condition_" + sanitized(ascii_lower(type)))] = ascii_lower(status);
  }
  add_metadata(group, object);
  add_target(group, std::move(target));
}

void Builder::build_service(const KubeObject& object) {
  const auto& service = std::get<KubeService>(object.detail);
  LabelMap group;
  group[meta("namespace")] = object.name_space;
  add_metadata(group, object);
  add_namespace(group, object.name_space);
  for (const KubePort& port : service.ports) {
    LabelMap target;
    target[std::string(kAddress)] =
        host_port(object.name + "." + object.name_space + ".svc", port.number.value_or(0));
    add_port(target, "service_port", port);
    target[meta("service_type")] = service.type;
    if (service.type == "ExternalName") {
      target[meta("service_external_name")] = service.external_name;
    } else {
      target[meta("service_cluster_ip")] = service.cluster_ip;
    }
    if (service.type == "LoadBalancer") {
      target[meta("service_loadbalancer_ip")] = service.load_balancer_ips;
    }
    add_target(group, std::move(target));
  }
}

void Builder::build_pod(const KubeObject& object) {
  const auto& pod = std::get<KubePod>(object.detail);
  if (pod.ip.empty()) return;  // It is only starting, or was evicted.
  // Node selectors select pods, too.
  if (attach_.node && !find(KubeKind::kNode, pod.node_name)) return;
  LabelMap group;
  add_pod(group, object);
  group[meta("namespace")] = object.name_space;
  add_node(group, pod.node_name);
  add_namespace(group, object.name_space);
  for (const KubeContainer& container : pod.containers) {
    LabelMap target;
    add_container(target, container);
    target[meta("pod_container_id")] = container.id;
    target[std::string(kAddress)] = pod.ip;
    if (container.ports.empty()) add_target(group, target);
    for (const KubePort& port : container.ports) {
      LabelMap of_port = target;
      of_port[std::string(kAddress)] = host_port(pod.ip, port.number.value_or(0));
      add_port(of_port, "pod_container_port", port);
      add_target(group, std::move(of_port));
    }
  }
}

void Builder::build_ingress(const KubeObject& object) {
  const auto& ingress = std::get<KubeIngress>(object.detail);
  LabelMap group;
  group[meta("namespace")] = object.name_space;
  if (ingress.class_name) group[meta("ingress_class_name")] = *ingress.class_name;
  add_metadata(group, object);
  add_namespace(group, object.name_space);
  for (const KubeIngress::Rule& rule : ingress.rules) {
    const bool is_secure =
        std::any_of(ingress.tls_hosts.begin(), ingress.tls_hosts.end(),
                    [&](const std::string& pattern) { return matches_host(pattern, rule.host); });
    for (const std::string& path : rule.paths) {
      LabelMap target;
      target[std::string(kAddress)] = rule.host;
      target[meta("ingress_scheme")] = is_secure ? "https" : "http";
      target[meta("ingress_host")] = rule.host;
      target[meta("ingress_path")] = path;
      add_target(group, std::move(target));
    }
  }
}

const KubeObject* Builder::pod_of(const KubeEndpoint& endpoint) {
  if (!endpoint.target || endpoint.target->kind != "Pod") return nullptr;
  return find(KubeKind::kPod, endpoint.target->name_space + "/" + endpoint.target->name);
}

void Builder::add_slice_labels(LabelMap& target, const KubeEndpoint& endpoint,
                               const KubePort& port) const {
  const auto put = [&](std::string_view name, const std::string& value) {
    target[meta(fmt::format("endpointslice_{}", name))] = value;
  };
  const auto put_bool = [&](std::string_view name, const std::optional<bool>& value) {
    if (value) put(fmt::format("endpoint_conditions_{}", name), *value ? "true" : "false");
  };
  if (port.name) put("port_name", *port.name);
  if (port.protocol) put("port_protocol", *port.protocol);
  if (port.number) put("port", fmt::format("{}", *port.number));
  if (port.app_protocol) put("port_app_protocol", *port.app_protocol);
  put_bool("ready", endpoint.ready);
  put_bool("serving", endpoint.serving);
  put_bool("terminating", endpoint.terminating);
  if (endpoint.hostname) put("endpoint_hostname", *endpoint.hostname);
  if (endpoint.node_name) put("endpoint_node_name", *endpoint.node_name);
  if (endpoint.zone) put("endpoint_zone", *endpoint.zone);
  if (endpoint.target) {
    put("address_target_kind", endpoint.target->kind);
    put("address_target_name", endpoint.target->name);
  }
  for (const auto& [name, value] : endpoint.topology) {
    put("endpoint_topology_" + sanitized(name), value);
    put("endpoint_topology_present_" + sanitized(name), "true");
  }
}

void Builder::add_endpoint(const KubeObject& object, const LabelMap& group,
                           const KubeEndpoint& endpoint, const std::string& address,
                           const KubePort& port) {
  LabelMap target;
  target[std::string(kAddress)] = port.number ? host_port(address, *port.number) : address;
  const bool is_slice = object.kind == KubeKind::kEndpointSlice;
  const bool is_of_node = endpoint.target && endpoint.target->kind == "Node";
  if (is_slice) {
    add_slice_labels(target, endpoint, port);
  } else {
    target[meta("endpoint_port_name")] = port.name.value_or("");
    target[meta("endpoint_port_protocol")] = port.protocol.value_or("");
    target[meta("endpoint_ready")] = endpoint.ready.value_or(false) ? "true" : "false";
    target[meta("endpoint_node_name")] = endpoint.node_name.value_or("");
    target[meta("endpoint_hostname")] = endpoint.hostname.value_or("");
    if (endpoint.target) {
      target[meta("endpoint_address_target_kind")] = endpoint.target->kind;
      target[meta("endpoint_address_target_name")] = endpoint.target->name;
    }
  }
  const bool takes_reference = is_of_node && (is_slice || !endpoint.node_name);
  add_node(target, takes_reference ? endpoint.target->name : endpoint.node_name.value_or(""));
  if (const KubeObject* const pod = pod_of(endpoint)) {
    SeenPod& seen = seen_pods_[pod->key()];
    seen.object = pod;
    if (port.number) seen.covered.insert(*port.number);
    add_pod(target, *pod);
    for (const KubeContainer& container : std::get<KubePod>(pod->detail).containers) {
      for (const KubePort& one : container.ports) {
        if (!port.number || one.number != port.number) continue;
        add_container(target, container);
        add_port(target, "pod_container_port", one);
        break;
      }
    }
  }
  add_target(group, std::move(target));
}

/// A pod that is behind a service is scraped at its other ports, too.
void Builder::add_other_ports(const LabelMap& group) {
  for (const auto& [key, seen] : seen_pods_) {
    const auto& pod = std::get<KubePod>(seen.object->detail);
    if (pod.ip.empty()) continue;
    for (const KubeContainer& container : pod.containers) {
      for (const KubePort& port : container.ports) {
        if (!port.number || seen.covered.contains(*port.number)) continue;
        LabelMap target;
        add_pod(target, *seen.object);
        add_container(target, container);
        add_port(target, "pod_container_port", port);
        target[std::string(kAddress)] = host_port(pod.ip, *port.number);
        add_target(group, std::move(target));
      }
    }
  }
}

void Builder::build_endpoints(const KubeObject& object) {
  const auto& endpoints = std::get<KubeEndpoints>(object.detail);
  const bool is_slice = object.kind == KubeKind::kEndpointSlice;
  LabelMap group;
  group[meta("namespace")] = object.name_space;
  std::string service_name = object.name;
  if (is_slice) {
    group[meta("endpointslice_address_type")] = endpoints.address_type;
    const auto found =
        std::find_if(object.labels.begin(), object.labels.end(),
                     [](const auto& label) { return label.first == "kubernetes.io/service-name"; });
    service_name = found == object.labels.end() ? "" : found->second;
  }
  add_metadata(group, object);
  if (!service_name.empty()) {
    const KubeObject* const service =
        find(KubeKind::kService, object.name_space + "/" + service_name);
    if (service) {
      add_metadata(group, *service);
      // The other family of a service of two has the same endpoints once more.
      const std::string& family = std::get<KubeService>(service->detail).primary_family;
      if (is_slice && !family.empty() && family != endpoints.address_type) return;
    }
  }
  add_namespace(group, object.name_space);
  for (const KubeEndpointSubset& subset : endpoints.subsets) {
    for (const KubeEndpoint& endpoint : subset.endpoints) {
      for (const KubePort& port : subset.ports) {
        for (const std::string& address : endpoint.addresses) {
          add_endpoint(object, group, endpoint, address, port);
        }
      }
    }
  }
  add_other_ports(group);
}

KubeTargets Builder::build(const KubeObject& object) {
  switch (object.kind) {
    case KubeKind::kNode: build_node(object); break;
    case KubeKind::kService: build_service(object); break;
    case KubeKind::kPod: build_pod(object); break;
    case KubeKind::kEndpoints:
    case KubeKind::kEndpointSlice: build_endpoints(object); break;
    case KubeKind::kIngress: build_ingress(object); break;
    case KubeKind::kNamespace:
    case KubeKind::kReplicaSet:
    case KubeKind::kJob: break;
  }
  return std::move(out_);
}

}  // namespace

KubeTargets kube_targets(const KubeObject& object, const KubeStore& store,
                         const KubernetesDiscoveryConfig::AttachMetadata& attach) {
  return Builder(store, attach).build(object);
}

}  // namespace tarsier::ingest
