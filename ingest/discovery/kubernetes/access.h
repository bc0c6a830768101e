#pragma once

#include <memory>
#include <string>

#include "base/http_client_config.h"
#include "base/result.h"
#include "ingest/discovery.h"

namespace tarsier::ingest {

/// Where the API is and how it is asked.
struct KubeAccess {
  std::string server;  ///< Without a slash at its end.
  std::shared_ptr<const HttpClientConfig> http;
  std::string own_namespace;  ///< Of the pod we run in, if that was asked for.
};

/// Where Kubernetes mounts the service account of a pod.
inline constexpr std::string_view kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";

/// As the configuration says: a server, what a kubeconfig file says of its current context, or the
/// service account of the pod we run in. Reads files; secrets in files of their own are read anew
/// for each request. kInvalid when something cannot be, kUnavailable when it may be there later.
Result<KubeAccess> kube_access(const KubernetesDiscoveryConfig& config, const DiscoveryDoor& door,
                               std::string_view service_account = kServiceAccountDirectory);

}  // namespace tarsier::ingest
