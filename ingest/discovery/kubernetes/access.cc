#include "ingest/discovery/kubernetes/access.h"

#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/quote.h"
#include "ingest/discovery/kubernetes/objects.h"

namespace tarsier::ingest {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{4} << 20;

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

/// The entry called `name` in a list of named ones, without the name: `clusters`, `users`, ...
const JsonValue* named(const JsonValue& root, std::string_view list, std::string_view inner,
                       const std::string& name) {
  const JsonValue* const entries = root.find(list);
  if (!entries) return nullptr;
  for (const JsonValue& entry : entries->items()) {
    if (kube_text(entry, "name") == name) return entry.find(inner);
  }
  return nullptr;
}

/// `<name>-data` in base64, or the file `name`, relative to the kubeconfig file.
Result<TextOrFile> read_material(const JsonValue& json, const std::string& name,
                                 const std::string& directory) {
  TextOrFile out;
  if (const std::string data = kube_text(json, name + "-data"); !data.empty()) {
    std::optional<std::string> text = decode_base64(data);
    if (!text) return invalid(name + "-data is not base64");
    out.text = std::move(*text);
  } else if (std::string path = kube_text(json, name); !path.empty()) {
    out.file = path.starts_with('/') ? std::move(path) : directory + path;
  }
  return out;
}

Result<KubeAccess> of_kubeconfig(const std::string& path, const DiscoveryDoor& door) {
  if (!door.yaml_to_json) return invalid("there is nobody who reads YAML");
  const std::string text = TRY(read_file(door.files, path, kFileBytesMax));
  const std::string json = TRY(door.yaml_to_json(text));
  const JsonValue root = TRY(parse_json(json));
  const std::string context_name = kube_text(root, "current-context");
  const JsonValue* const context = named(root, "contexts", "context", context_name);
  if (!context) {
    return invalid(fmt::format("context {} does not exist", quote(context_name)));
  }
  const std::string cluster_name = kube_text(*context, "cluster");
  const JsonValue* const cluster = named(root, "clusters", "cluster", cluster_name);
  if (!cluster) return invalid(fmt::format("cluster {} does not exist", quote(cluster_name)));
  KubeAccess out;
  out.server = without_slash(kube_text(*cluster, "server"));
  if (out.server.empty()) return invalid(fmt::format("cluster {} has no server", cluster_name));
  const std::string directory = directory_of(path);
  HttpClientConfig http;
  http.tls.ca = TRY(read_material(*cluster, "certificate-authority", directory));
  http.tls.insecure_skip_verify = kube_text(*cluster, "insecure-skip-tls-verify") == "true";
  http.tls.server_name = kube_text(*cluster, "tls-server-name");
  http.proxy.url = kube_text(*cluster, "proxy-url");
  const std::string user_name = kube_text(*context, "user");
  if (const JsonValue* const user = named(root, "users", "user", user_name)) {
    for (const char* plugin : {"exec", "auth-provider"}) {
      const JsonValue* const found = user->find(plugin);
      if (found && !found->is_null()) {
        return invalid(
            fmt::format("user {} authenticates by {}, which is not supported; use a "
                        "token, a token file or a certificate",
                        quote(user_name), plugin));
      }
    }
    http.tls.certificate = TRY(read_material(*user, "client-certificate", directory));
    http.tls.key = TRY(read_material(*user, "client-key", directory));
    const std::string token = kube_text(*user, "token");
    std::string token_file = kube_text(*user, "tokenFile");
    if (!token_file.empty() && !token_file.starts_with('/')) token_file = directory + token_file;
    if (!token.empty() || !token_file.empty()) {
      http.credentials = {.kind = HttpCredentials::Kind::kAuthorization,
                          .user = {},
                          .scheme = "Bearer",
                          .secret = {.text = token, .file = token_file}};
    } else if (const std::string name = kube_text(*user, "username"); !name.empty()) {
      http.credentials = {.kind = HttpCredentials::Kind::kBasic,
                          .user = {.text = name, .file = {}},
                          .scheme = {},
                          .secret = {.text = kube_text(*user, "password"), .file = {}}};
    }
  } else if (!user_name.empty()) {
    return invalid(fmt::format("user {} does not exist", quote(user_name)));
  }
  out.http = std::make_shared<const HttpClientConfig>(std::move(http));
  return out;
}

Result<KubeAccess> of_service_account(const KubernetesDiscoveryConfig& config,
                                      const DiscoveryDoor& door, const std::string& directory) {
  const auto variable = [&](const std::string& name) -> std::string {
    return door.environment ? door.environment(name).value_or("") : std::string();
  };
  const std::string host = variable("KUBERNETES_SERVICE_HOST");
  const std::string port = variable("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return unavailable(
        "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
        "KUBERNETES_SERVICE_PORT must be defined");
  }
  KubeAccess out;
  const bool is_v6 = host.find(':') != std::string::npos;
  out.server =
      is_v6 ? fmt::format("https://[{}]:{}", host, port) : fmt::format("https://{}:{}", host, port);
  HttpClientConfig http;
  http.tls.ca.file = directory + "/ca.crt";
  http.credentials = {.kind = HttpCredentials::Kind::kAuthorization,
                      .user = {},
                      .scheme = "Bearer",
                      .secret = {.text = {}, .file = directory + "/token"}};
  out.http = std::make_shared<const HttpClientConfig>(std::move(http));
  if (config.own_namespace) {
    Result<std::string> own = read_file(door.files, directory + "/namespace", kFileBytesMax);
    if (!own.ok()) {
      return unavailable("could not determine the pod's namespace: " + own.status().message());
    }
    out.own_namespace = trimmed(*own);
    if (out.own_namespace.empty()) {
      return unavailable("could not read own namespace name (empty file)");
    }
  }
  return out;
}

}  // namespace

Result<KubeAccess> kube_access(const KubernetesDiscoveryConfig& config, const DiscoveryDoor& door,
                               std::string_view service_account) {
  if (!config.kubeconfig_file.empty()) {
    Result<KubeAccess> out = of_kubeconfig(config.kubeconfig_file, door);
    if (!out.ok()) return std::move(out).status().with_prefix(config.kubeconfig_file);
    return out;
  }
  if (config.api_server.empty()) {
    return of_service_account(config, door, std::string(service_account));
  }
  return KubeAccess{.server = without_slash(config.api_server),
                    .http = std::make_shared<const HttpClientConfig>(config.http),
                    .own_namespace = {}};
}

}  // namespace tarsier::ingest
