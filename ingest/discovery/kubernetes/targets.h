#pragma once

#include <set>
#include <vector>

#include "ingest/discovery/kubernetes/store.h"
#include "ingest/discovery_config.h"

namespace tarsier::ingest {

/// What one object means: the targets, each with all labels Prometheus gives it, and which other
/// objects were asked for, be they there or not: when one of those changes, the targets may.
struct KubeTargets {
  std::vector<TargetGroup> groups;
  std::set<KubeId> used;
};

/// The targets of `object`, whose kind is one of those a role is about.
KubeTargets kube_targets(const KubeObject& object, const KubeStore& store,
                         const KubernetesDiscoveryConfig::AttachMetadata& attach);

}  // namespace tarsier::ingest
