#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "ingest/discovery.h"
#include "server/config_discovery.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

using ingest::KubernetesDiscoveryConfig;
using ingest::KubernetesRole;
using ingest::KubernetesSelector;

constexpr std::array kRoles = {KubernetesRole::kPod,       KubernetesRole::kService,
                               KubernetesRole::kEndpoints, KubernetesRole::kEndpointSlice,
                               KubernetesRole::kNode,      KubernetesRole::kIngress};

/// Whose objects can be selected with a role.
std::vector<KubernetesRole> selectable(KubernetesRole role) {
  switch (role) {
    case KubernetesRole::kPod: return {KubernetesRole::kPod, KubernetesRole::kNode};
    case KubernetesRole::kEndpoints:
    case KubernetesRole::kEndpointSlice:
      return {KubernetesRole::kPod, KubernetesRole::kService, role};
    case KubernetesRole::kNode:
    case KubernetesRole::kService:
    case KubernetesRole::kIngress: return {role};
  }
  return {};
}

Result<KubernetesRole> read_role(MapReader& map) {
  std::string name;
  map.read("role", name);
  if (name.empty()) {
    return invalid_at(map.node(),
                      "role missing (one of: pod, service, endpoints, endpointslice, node, "
                      "ingress)");
  }
  const auto* const found = std::find_if(kRoles.begin(), kRoles.end(), [&](KubernetesRole role) {
    return ingest::kubernetes_role_name(role) == name;
  });
  if (found == kRoles.end()) {
    return invalid_at(*map.find("role"), fmt::format("unknown Kubernetes SD role {}", quote(name)));
  }
  return *found;
}

Status read_selectors(MapReader& map, KubernetesDiscoveryConfig& out) {
  const YamlNode* const list = map.find_list("selectors");
  if (!list) return {};
  const std::vector<KubernetesRole> allowed = selectable(out.role);
  std::set<KubernetesRole> seen;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    MapReader reader(item, fmt::format("{}[{}]", map.path_of("selectors"), i), map.problems());
    KubernetesSelector selector;
    selector.role = TRY(read_role(reader));
    reader.read("label", selector.label);
    reader.read("field", selector.field);
    reader.finish();
    if (!seen.insert(selector.role).second) {
      return invalid_at(item, fmt::format("duplicated selector role: {}",
                                          ingest::kubernetes_role_name(selector.role)));
    }
    if (std::find(allowed.begin(), allowed.end(), selector.role) == allowed.end()) {
      std::string names;
      for (const KubernetesRole role : allowed) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", ingest::kubernetes_role_name(role));
      }
      return invalid_at(item, fmt::format("{} role supports only {} selectors",
                                          ingest::kubernetes_role_name(out.role), names));
    }
    out.selectors.push_back(std::move(selector));
  }
  return {};
}

void read_namespaces(MapReader& map, KubernetesDiscoveryConfig& out) {
  const YamlNode* const node = map.find("namespaces");
  if (!node) return;
  MapReader reader(*node, map.path_of("namespaces"), map.problems());
  reader.read("own_namespace", out.own_namespace);
  reader.read("names", out.namespaces);
  reader.finish();
}

void read_attached(MapReader& map, KubernetesDiscoveryConfig::AttachMetadata& out) {
  const YamlNode* const node = map.find("attach_metadata");
  if (!node) return;
  MapReader reader(*node, map.path_of("attach_metadata"), map.problems());
  reader.read("node", out.node);
  reader.read("namespace", out.name_space);
  reader.read("deployment", out.deployment);
  reader.read("job", out.job);
  reader.read("cronjob", out.cron_job);
  reader.finish();
}

Status check_access(MapReader& map, const KubernetesDiscoveryConfig& config) {
  const bool has_server = !config.api_server.empty();
  const bool has_file = !config.kubeconfig_file.empty();
  const bool has_http = !(config.http == HttpClientConfig());
  std::string_view problem;
  if (has_server && has_file) {
    problem = "cannot use 'kubeconfig_file' and 'api_server' simultaneously";
  } else if (has_file && has_http) {
    problem = "cannot use a custom HTTP client configuration together with 'kubeconfig_file'";
  } else if (!has_server && has_http) {
    problem =
        "to use custom HTTP client configuration please provide the 'api_server' URL explicitly";
  } else if (has_server && config.own_namespace) {
    problem = "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously";
  } else if (has_file && config.own_namespace) {
    problem = "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously";
  }
  if (!problem.empty()) return invalid_at(map.node(), problem);
  if (!has_server) return {};
  const Result<Url> url = parse_url(config.api_server);
  if (!url.ok()) return invalid_at(*map.find("api_server"), url.status().message());
  return {};
}

Result<ingest::DiscoveryConfig> read_kubernetes(MapReader& map, const ConfigSources& sources) {
  KubernetesDiscoveryConfig out;
  map.read("api_server", out.api_server);
  out.role = TRY(read_role(map));
  map.read("kubeconfig_file", out.kubeconfig_file);
  out.kubeconfig_file = resolve_path(out.kubeconfig_file, sources);
  out.http = TRY(read_http_client(map, sources));
  read_namespaces(map, out);
  read_attached(map, out.attach);
  TRY(check_access(map, out));
  TRY(read_selectors(map, out));
  return ingest::DiscoveryConfig(std::move(out));
}

void render_kubernetes(Emitter& out, int depth, const ingest::DiscoveryConfig& any) {
  const auto& config = *any.as<KubernetesDiscoveryConfig>();
  if (!config.api_server.empty()) out.field(depth, "api_server", masked_url(config.api_server));
  out.field(depth, "role", ingest::kubernetes_role_name(config.role));
  out.text(depth, "kubeconfig_file", config.kubeconfig_file);
  if (!config.api_server.empty()) render_http_client(out, depth, config.http);
  if (config.own_namespace || !config.namespaces.empty()) {
    out.line(depth, "namespaces:");
    out.field(depth + 1, "own_namespace", config.own_namespace);
    out.list(depth + 1, "names", config.namespaces);
  }
  if (!config.selectors.empty()) out.line(depth, "selectors:");
  for (const KubernetesSelector& selector : config.selectors) {
    out.line(depth, fmt::format("- role: {}", ingest::kubernetes_role_name(selector.role)));
    out.text(depth + 1, "label", selector.label);
    out.text(depth + 1, "field", selector.field);
  }
  const KubernetesDiscoveryConfig::AttachMetadata& attach = config.attach;
  if (attach == KubernetesDiscoveryConfig::AttachMetadata()) return;
  out.line(depth, "attach_metadata:");
  out.field(depth + 1, "node", attach.node);
  out.field(depth + 1, "namespace", attach.name_space);
  out.field(depth + 1, "deployment", attach.deployment);
  out.field(depth + 1, "job", attach.job);
  out.field(depth + 1, "cronjob", attach.cron_job);
}

}  // namespace

const DiscoverySection kKubernetesSection = {"kubernetes_sd_configs", read_kubernetes,
                                             render_kubernetes};

}  // namespace tarsier::server
